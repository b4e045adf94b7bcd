#!/usr/bin/python3
# brokers: rabbitmq
# seconds: 150
"""What finds no queue is parked where people see it, stands in nobody's way, and comes home when it has one."""

import json
import sys
import uuid

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.foreign import Foreign  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.machine import Machine  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

LISTINGS = 100
HELD_UP_MS = 3000  # what stands behind one that cannot go on waits for ever


def running(project, *queues):
    project.name_space = project.name_space if project.name_space.startswith("un") else "un" + uuid.uuid4().hex[:12]
    project.configure(handlers=[project.probe(queue=queues[0])], queues=[{"name": q, "weight": 1} for q in queues])
    project.worker()
    before = project.journal_count()
    project.send([{"type": "probe", "id": f"ready-{before}", "queue": queues[0]}])
    wait_until(lambda: project.journal_count() > before, 60, "the worker runs")


def feed(sender, rows):
    for row in rows:
        sender.stdin.write(json.dumps(row).encode() + b"\n")
    sender.stdin.flush()


def confirmed(project):
    return (project.dir / "send.out").read_text().split()


def unrouted(project):
    return {row["id"]: row for row in project.dead("--reason", "unrouted")}


def runs(project):
    """Ids and how often each has run, without those that only showed that a worker is there."""
    ids = [line["id"] for line in project.journal() if not line["id"].startswith("ready")]
    return {identity: ids.count(identity) for identity in ids}


def on_time(project, machine, prefix):
    """Only what is delayed: what runs at once waits for a thread, not for a clock."""
    late = [line["lateness_us"] / 1000 for line in project.journal() if line["id"].startswith(prefix)]
    machine.on_time({f"{prefix}… first": min(late), f"{prefix}… last": max(late)}, HELD_UP_MS)


def others(count=100):
    return [{"type": "probe", "id": f"o{n}", "delay": f"{3450 + n * 13 % 450}ms"} for n in range(count)]


def queue_that_does_not_exist(project):
    """A hundred, half of them by way of the ladder: more than the 32 that once stopped a holding queue for good."""
    running(project, "known")
    machine = Machine()
    lost = [{"type": "probe", "id": f"l{n}", "queue": "nowhere", **({"delay": "500ms"} if n % 2 else {})}
            for n in range(100)]
    project.send([row for pair in zip(lost, others()) for row in pair])
    wait_until(lambda: len(runs(project)) == 100, 60, lambda: f"the others run: {project.status()}")
    wait_until(lambda: len(unrouted(project)) == 100, 60, lambda: f"all are parked: {project.status()}")
    rows = unrouted(project)
    expect(set(rows) == {row["id"] for row in lost}, f"{sorted(rows)}")
    expect(all((row["type"], row["queue"]) == ("probe", "nowhere") for row in rows.values()), f"{rows}")
    expect(project.status()["unrouted"] == 100, f"{project.status()}")
    on_time(project, machine, "o")
    said = project.bide("dead", "retry", "--reason", "unrouted").stderr
    expect("their queue does not exist" in said and "nowhere" in said, f"not said why none went: {said}")
    expect(len(unrouted(project)) == 100, "a retry lost some whose queue still does not exist")
    running(project, "known", "nowhere")
    expect(not project.bide("dead", "retry", "--reason", "unrouted").stderr, "a complaint about those that went")
    wait_until(lambda: len(runs(project)) == 200, 60, lambda: f"all came home: {project.status()}")
    expect(set(runs(project).values()) == {1}, f"{runs(project)}")
    expect(not project.dead(), f"{project.dead()[:3]}")


def rung_somebody_deleted(project):
    """Forty that need it, as their first hop or (large bodies: behind the tenths) their second; a sender at work does not notice, nothing is lost.
    No delay is near the bound of a rung: the sender takes some milliseconds, and a shorter way would be another."""
    running(project, "work-a")
    sender = project.sender()
    feed(sender, [{"type": "probe", "id": "first", "delay": "50ms"}])
    wait_until(lambda: confirmed(project) == ["first"], 60, "the sender runs")
    with Foreign(project) as foreign:
        foreign.delete_queue("hold.2s.1")
        machine = Machine()
        needing = [{"type": "probe", "id": f"n{n}", "delay": f"{2900 + n}ms", "body": {"pad": "x" * 5000 * (n % 2)}} for n in range(40)]
        feed(sender, [row for group in zip(needing, others(40)) for row in group])
        sender.stdin.close()
        expect(sender.wait(60) == 0, (project.dir / "send.log").read_text())
        wait_until(lambda: foreign.depth("unrouted") == 40, 60, lambda: f"parked: {foreign.depth('unrouted')}")
    wait_until(lambda: len(runs(project)) == 41, 60, lambda: f"the others run: {runs(project)}")
    on_time(project, machine, "o")
    wait_until(  # a listing cannot show what another one holds just now
        lambda: set(unrouted(project)) == {row["id"] for row in needing}, 60, lambda: f"{sorted(unrouted(project))}"
    )
    running(project, "work-a")  # declares what is missing
    project.bide("dead", "retry", "--all", "--reason", "unrouted")
    wait_until(lambda: len(runs(project)) == 81, 60, lambda: f"all came home: {project.status()}")
    expect(set(runs(project).values()) == {1}, f"{runs(project)}")
    early = [line for line in project.journal() if line["lateness_us"] < 0]
    expect(not early and not project.dead(), f"{early[:3]} {project.dead()[:3]}")


def looking_takes_nothing_away(project):
    """A dead letter and an unrouted message, each listed a hundred times and shown: still there, and whole."""
    running(project, "looked-at")
    project.send([{"type": "probe", "id": "dead", "body": {"dead": True}, "headers": {"own": "kept"}},
                  {"type": "probe", "id": "lost", "queue": "nobody", "body": {"n": 1}}])
    wait_until(lambda: len(project.dead()) == 2, 60, lambda: f"both are there: {project.dead()}")
    first = project.dead()
    for number in range(LISTINGS):
        listed = project.dead()
        expect(listed == first, f"listing {number}: {listed} instead of {first}")
    shown = project.bide("dead", "show", "dead").stdout
    expect("kept" in shown and '"dead": true' in shown.replace('"dead":true', '"dead": true'), shown)
    with Foreign(project) as foreign:
        expect(foreign.depth("looked-at.dead") == 1 and foreign.depth("unrouted") == 1, "gone from its queue")
        properties, body = foreign.take("looked-at.dead")
    expect(json.loads(body) == {"dead": True} and properties.headers["own"] == "kept", f"{properties}: {body}")


def retention_spares_what_never_ran(project):
    """Unrouted messages are not dropped for their number, only for their age since they were due. Listing would hold back
    what the round is to look at."""
    bounds = lambda **dead: project.configure(handlers=[project.probe(queue="known")], queues=[{"name": "known"}], dead=dead)  # noqa: E731
    project.name_space = "un" + uuid.uuid4().hex[:12]
    bounds()
    worker = project.worker()
    project.send([{"type": "probe", "queue": "known", "body": {"dead": True}, "id": f"dead-{n}"} for n in range(3)])
    wait_until(lambda: len(project.dead()) == 3, 60, lambda: f"{project.dead()}")
    project.send([{"type": "probe", "queue": "nowhere", "id": f"lost-{n}"} for n in range(3)])
    wait_until(lambda: len(unrouted(project)) == 3, 60, lambda: f"parked: {project.status()}")
    expect(worker.stop() == 0, worker.log_tail())
    bounds(max_count=1)
    worker = project.worker()
    wait_until(lambda: "old dead letters dropped" in worker.log_text(), 60, worker.log_tail)
    expect(worker.stop() == 0, worker.log_tail())
    expect(len(project.dead("--queue", "known")) == 1 and len(unrouted(project)) == 3, f"{project.dead()}")
    bounds(max_age="1ms")
    worker = project.worker()

    def left():
        status = project.status()
        return status["unrouted"] + sum(queue["dead"] for queue in status["queues"])
    wait_until(lambda: left() == 0, 60, lambda: f"{project.status()} {worker.log_tail()}")
    expect(not project.dead(), f"{project.dead()}")


main(queue_that_does_not_exist, rung_somebody_deleted, looking_takes_nothing_away, retention_spares_what_never_ran)
