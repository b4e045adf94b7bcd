#!/usr/bin/python3
# brokers: rabbitmq
# seconds: 180
"""Programs that know nothing but AMQP send what shall run later: to <namespace>.later or <namespace>.work, with the header
bide-due or the standard expiration, from Python (pika) and Node (amqplib)."""

import decimal
import json
import os
import random
import shutil
import subprocess
import sys
import time
import uuid

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest import ledger  # noqa: E402
from bidetest.foreign import Foreign  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.process import die_with_parent, status_kib  # noqa: E402
from bidetest.project import ROOT  # noqa: E402
from bidetest.waiting import pace, wait_until  # noqa: E402

NAME_SPACE = "later-" + uuid.uuid4().hex[:12]  # one ladder for all cases, queues of its own for each
LATE_MS = 5000  # finds what waits for another message, or its expiration; test_amqp_later_fast.py has the figures


def configured(project, queue, **settings):
    project.name_space = NAME_SPACE
    project.configure(handlers=[project.probe(queue=queue)], queues=[{"name": queue, "weight": 1}], **settings)


def running(project, queue, **settings):
    configured(project, queue, **settings)
    worker, before = project.worker(), project.journal_count()
    project.send([{"type": "probe", "id": f"ready-{before}", "queue": queue}])
    wait_until(lambda: project.journal_count() > before, 60, "the worker runs")
    return worker


def now_ms():
    return int(time.time() * 1000)


def runs(project):
    """The journal's lines by id, without those that only showed that a worker is there."""
    found = {}
    for line in project.journal():
        if not line["id"].startswith("ready-"):
            found.setdefault(line["id"], []).append(line)
    return found


def on_time(project, wanted, most_ms=LATE_MS, seconds=60):
    """Each id of `wanted` has run once: not before its time in Unix ms, and not much later."""
    wait_until(lambda: len(runs(project)) >= len(wanted), seconds, lambda: f"{len(runs(project))} of {len(wanted)} have run")
    found = runs(project)
    twice = [identity for identity, lines in found.items() if len(lines) > 1]
    expect(set(found) == set(wanted) and not twice, f"{set(wanted) ^ set(found)}, twice: {twice}")
    late = sorted((found[identity][0]["started_us"] / 1000 - due_ms, identity) for identity, due_ms in wanted.items())
    print(f"{len(late)} runs: first {late[0]}, p99 {ledger.percentile(late, 0.99)}, last {late[-1]}")
    expect(0 <= late[0][0] and late[-1][0] <= most_ms, f"{late[0]}, {late[-1]}")


def both_entrances(project):
    """An instant by either entrance, a delay by the one for later, and what is due already."""
    running(project, "both")
    wanted = {}
    with Foreign(project) as foreign:
        for ahead_ms in (-5000, 0, 60, 700, 1500):
            for entrance in ("later", "work"):
                identity = f"{entrance}-due-{ahead_ms}"
                due_ms = now_ms() + ahead_ms
                wanted[identity] = max(due_ms, now_ms())
                foreign.publish("both", exchange=entrance, headers={"bide-due": due_ms}, type="probe", message_id=identity)
        for delay_ms in (0, 60, 700, 1500):
            identity = f"expiration-{delay_ms}"
            wanted[identity] = now_ms() + delay_ms
            foreign.publish("both", exchange="later", expiration=str(delay_ms), type="probe", message_id=identity)
        wanted["neither"] = now_ms()
        foreign.publish("both", exchange="later", type="probe", message_id="neither")
        wanted["instant-first"] = now_ms() + 800  # bide-due says when; the expiration is only a bound on the broker
        foreign.publish("both", exchange="later", headers={"bide-due": wanted["instant-first"]}, expiration="60000",
                        type="probe", message_id="instant-first")
        on_time(project, wanted)


def what_is_no_delay(project):
    """What the broker takes and bide cannot read is parked, whole; it neither blocks the queue nor is lost."""
    running(project, "odd", worker={"max_body": "1KiB"})
    with Foreign(project) as foreign:
        rows = {
            "tomorrow": dict(headers={"bide-due": "tomorrow"}),
            "half": dict(headers={"bide-due": decimal.Decimal("1.5")}),
            "plus": dict(expiration="+60000"),
            "large": dict(expiration="60000", body=b"x" * 2000),
            "typeless": dict(expiration="0", type=None),
            "stranger": dict(expiration="300", type="nobody"),
        }
        for identity, row in rows.items():
            foreign.publish("odd", exchange="later", message_id=identity, **{"type": "probe", **row})
        foreign.publish("odd", exchange="later", message_id="good", type="probe", expiration="200")
        letters = {letter.message_id: (letter.headers["bide-reason"], letter.headers["bide-error"], body)
                   for letter, body in (foreign.take("odd.dead") for _ in rows)}
    print(letters)
    reasons = {identity: letter[0] for identity, letter in letters.items()}
    expect(reasons == {**dict.fromkeys(("tomorrow", "half", "plus"), "malformed"), "large": "oversized",
                       "typeless": "no-type", "stranger": "unknown-type"}, f"{reasons}")
    expect("expiration" in letters["plus"][1] and "bide-due" in letters["half"][1], f"{letters}")
    expect(letters["large"][2] == b"x" * 2000, "a body is another one")
    wait_until(lambda: set(runs(project)) == {"good"}, 60, lambda: f"{runs(project)}")


def waits_without_a_worker(project):
    """Instants stay, and count as delayed; what expires goes on to the work queue, and runs when somebody comes."""
    running(project, "alone").stop()
    wanted = {f"due-{n}": now_ms() + 3000 + n for n in range(50)}
    with Foreign(project) as foreign:
        for n in range(200):
            wanted[f"expired-{n}"] = now_ms() + n
            foreign.publish("alone", exchange="later", expiration=str(n), type="probe", message_id=f"expired-{n}",
                            headers={"CC": ["nobody"], "own": n})
        wait_until(lambda: foreign.depth("alone") == 200, 60, lambda: f"{foreign.depth('alone')} expired")
        for identity in (name for name in wanted if name.startswith("due-")):
            foreign.publish("alone", exchange="later", headers={"bide-due": wanted[identity]}, type="probe",
                            message_id=identity)
        wait_until(lambda: project.status()["delayed_total"] == 50, 60, lambda: f"{project.status()}")
    expect(project.queue("alone")["ready"] == 200, f"{project.queue('alone')}")
    running(project, "alone")
    on_time(project, wanted, most_ms=60000)


def no_such_queue(project):
    """It is parked with the others, though the broker would discard it there once its expiration has passed."""
    running(project, "known")
    with Foreign(project) as foreign:
        foreign.publish("unknown", exchange="later", expiration="300", type="probe", message_id="stray")
        wait_until(lambda: foreign.depth("unrouted") == 1, 60, "it is parked")
        foreign.publish("known", exchange="later", expiration="400", type="probe", message_id="behind")
        wait_until(lambda: "behind" in runs(project), 60, "the one behind it runs")
    row, = project.dead("--reason", "unrouted")
    expect((row["id"], row["queue"]) == ("stray", "unknown"), f"{row}")
    project.bide("dead", "drop", "--all", "--reason", "unrouted")


SLOW = 600


def in_hand(project, foreign):
    """How many of the slow ones the worker has taken and not run; those that have not arrived yet count too."""
    ran = sum(identity.startswith("slow-") for identity in runs(project))
    return SLOW - foreign.depth("narrow") - ran


def early_ones_hold_nothing_up(project):
    """Two thousand early messages in the work queue of a worker that begins with two at a time: they are planned at once,
    what is due behind them does not wait for them, and once handlers are slow the worker takes few at a time again."""
    running(project, "narrow", threads=1)
    wanted, draw = {}, random.Random(1)
    with Foreign(project) as foreign:
        foreign.channel = foreign.connection.channel()  # without confirms: they would be slower than the worker
        for n in range(2000):
            wanted[f"early-{n}"] = now_ms() + draw.randrange(2500, 5500)
            foreign.publish("narrow", headers={"bide-due": wanted[f"early-{n}"]}, type="probe", message_id=f"early-{n}")
        wanted["now"] = now_ms()
        foreign.publish("narrow", type="probe", message_id="now")
        on_time(project, wanted, most_ms=20_000, seconds=60)  # held up two at a time, they would take an hour
        found = {identity: lines[0]["started_us"] for identity, lines in runs(project).items()}
        later = [identity for identity, due_ms in wanted.items() if due_ms > wanted["now"]]
        before = sum(found[identity] < found["now"] for identity in later)
        expect(before < len(later) / 2, f"what was due at once ran behind {before} of {len(later)} that were not")
        for n in range(SLOW):
            foreign.publish("narrow", b'{"sleep_ms": 50}', type="probe", message_id=f"slow-{n}")
        wait_until(lambda: "slow-1" in runs(project) and in_hand(project, foreign) <= 10, 60,
                   lambda: f"the worker takes few slow ones, now {in_hand(project, foreign)}")
        expect(foreign.depth("narrow") > 0, "it has taken all")


def node_amqplib(project):
    """Numbers of every kind that this client can send; bare numbers as it chooses itself."""
    folder = project.dir / "interop"
    shutil.copytree(ROOT / "tests" / "interop", folder)
    done = subprocess.run(["npm", "ci", "--prefer-offline", "--fetch-retries=5", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, capture_output=True,
                          text=True, timeout=120, preexec_fn=die_with_parent)
    expect(done.returncode == 0, f"npm ci: {done.stdout}{done.stderr}")
    running(project, "node")
    start, wanted, lines = now_ms(), {}, []

    def add(identity, due_ms, exchange="later", headers=None, **options):
        wanted[identity] = due_ms
        lines.append({"exchange": f"{NAME_SPACE}.{exchange}", "key": "node", "options": {
            "type": "probe", "messageId": identity, "headers": headers or {}, **options}})

    for exchange in ("later", "work"):
        for kind in ("long", "double"):
            due = start + 2500
            add(f"{exchange}-{kind}", due, exchange, {"bide-due": {"!": kind, "value": due}})
        add(f"{exchange}-bare", start + 2500, exchange, {"bide-due": start + 2500})
        add(f"{exchange}-text", start + 2500, exchange, {"bide-due": str(start + 2500)})
        for kind, value in (("int8", 100), ("byte", 100), ("short", 30000), ("int", 2**31 - 1), ("float", 2**40),
                            ("decimal", {"digits": 12300, "places": 2})):
            add(f"{exchange}-{kind}", start, exchange, {"bide-due": {"!": kind, "value": value}})
    add("number", start + 1000, expiration=1000)
    add("string", start + 1000, expiration="1000")
    done = subprocess.run(["node", "send.js", os.environ["BIDE_TEST_BROKER_URL"] + "/%2F"], cwd=folder, text=True,
                          input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, timeout=120,
                          preexec_fn=die_with_parent)
    expect(done.returncode == 0, f"{done.stdout}{done.stderr}")
    on_time(project, wanted, most_ms=5000)


def planned_during_a_pause(project):
    """While its queue is paused, what comes to the later queue is planned all the same. What falls due waits, and does not
    go round meanwhile as fast as the broker can; all run when the queue is resumed."""
    worker = running(project, "held")
    with Foreign(project) as foreign:
        project.bide("pause", "held")
        for n in range(40):
            foreign.publish("held", exchange="later", type="probe", message_id=f"delay-{n}", expiration=str(200 + n))
            foreign.publish("held", exchange="later", type="probe", message_id=f"due-{n}",
                            headers={"bide-due": now_ms() + 2500 + n})
        wait_until(lambda: foreign.depth("held.later") == 0, 60, lambda: f"{project.status()}")
        time.sleep(3)  # it must not run in this time, nor go round
        expect(not runs(project), f"{runs(project)}")
        project.bide("resume", "held")
    wait_until(lambda: len(runs(project)) == 80, 60, lambda: f"{len(runs(project))} ran: {worker.log_tail()}")
    expect(all(len(lines) == 1 and lines[0]["attempt"] == 1 for lines in runs(project).values()), f"{runs(project)}")
    expect(worker.stop() == 0, worker.log_tail())
    released = json.loads(worker.log_text().splitlines()[-1])["released"]
    print(f"80 messages were held back {released} times")
    expect(released < 80 * 30, f"held back {released} times")


def killed_again_and_again(project):
    """SIGKILL while messages come in by all ways: nothing is lost or early, and few run twice."""
    running(project, "killed")
    wanted, draw = {}, random.Random(7)
    with Foreign(project) as foreign:
        for n in pace(range(1200), 400):
            delay_ms, way = draw.randrange(50, 3000), n % 3
            wanted[f"k{n}"] = now_ms() + delay_ms
            foreign.publish("killed", exchange=("later", "later", "work")[way], type="probe", message_id=f"k{n}",
                            expiration=str(delay_ms) if way == 0 else None,
                            headers={"bide-due": wanted[f"k{n}"]} if way else None)
            if n % 300 == 150:
                project.workers[-1].kill()
            elif n % 300 == 250:
                project.worker()
    wait_until(lambda: len(runs(project)) >= len(wanted), 60, lambda: f"{len(runs(project))} have run")
    wait_until(lambda: project.left() == 0, 60, lambda: f"{project.status()}")
    found = runs(project)
    early = {identity: due - lines[0]["started_us"] / 1000 for identity, lines in found.items()
             if lines[0]["started_us"] / 1000 < (due := wanted[identity])}
    print(f"{sum(map(len, found.values())) - len(found)} of {len(found)} ran twice")
    expect(set(found) == set(wanted) and not early, f"{set(wanted) ^ set(found)}, early: {early}")
    expect(not project.dead(), f"{project.dead()}")


def moved_with_its_delay(project):
    """bide move takes it along: an expiration is a delay there, too."""
    running(project, "moved").stop()
    due_ms = now_ms() + 3600000
    with Foreign(project) as foreign:
        foreign.publish("moved", exchange="later", headers={"bide-due": due_ms}, type="probe", message_id="instant")
        foreign.publish("moved", exchange="later", expiration="7200000", type="probe", message_id="delay")
    project.bide("move", "--from", project.url, "--to", "sqlite:to.db", "--queue", "moved")
    project.url = "sqlite:to.db"
    configured(project, "moved")
    expect(project.queue("moved")["delayed"] == 2, f"{project.status()}")


def large_headers_take_room_too(project):
    """What a worker takes out of the later queue is bounded by worker.max_in_flight also where it is nearly all headers."""
    worker = running(project, "heads", worker={"max_in_flight": "2MiB", "max_body": "1MiB"})
    before = project.status()["delayed_total"]
    with Foreign(project) as foreign:
        for n in range(800):
            foreign.publish("heads", exchange="later", headers={"bide-due": now_ms() + 3600000, "x": "x" * 60000}, type="probe",
                            message_id=f"h{n}")
    wait_until(lambda: project.status()["delayed_total"] >= before + 800, 60, worker.log_tail)
    peak = max(status_kib(pid, "VmHWM") for pid in worker.tree())
    print(f"a worker process took {peak // 1024} MiB at most for 48 MB of headers")
    expect(peak < 32 * 1024, f"{peak} KiB")


main(both_entrances, what_is_no_delay, waits_without_a_worker, no_such_queue, early_ones_hold_nothing_up, node_amqplib,
     planned_during_a_pause, killed_again_and_again, moved_with_its_delay, large_headers_take_room_too)
