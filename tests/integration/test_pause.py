#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 90
"""What an operator pauses, a type or a queue, waits in the broker, burns no attempt, and goes on when it is resumed; and a
circuit that is open is shown."""

import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.console import LocalConsole  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

MESSAGES = 300
SLACK = 8  # a process may be about to look at the controls when the first ones come
ROUNDS = 5  # a second: how often a message that is held comes round at most; it is held for 0.5 s and longer


def ran(project, kind):
    return sum(line["type"] == kind and line["outcome"] == "done" for line in project.journal())


def rows(kind, count=MESSAGES, **more):
    return ({"type": kind, "id": f"{kind}-{number}-{len(more)}", "body": {}, **more} for number in range(count))


def configured(project, **queues):
    """Handlers by type, each with its queue."""
    project.configure(
        handlers=[project.probe(type=kind, queue=queue) for kind, queue in queues.items()],
        queues=[{"name": name} for name in sorted(set(queues.values()))], worker={"processes": 2},
    )
    worker = project.worker()
    project.send(row for kind in queues for row in rows(kind, 4, queue=queues[kind]))
    wait_until(lambda: all(ran(project, kind) >= 4 for kind in queues), 60, lambda: f"all run: {worker.log_tail()}")
    return worker, LocalConsole(project, worker)


def stays(console, kind):
    """What is held waits in the broker, and does not come and go all the time."""
    def came():
        return console.metrics().get(("bide_messages_total", "released", kind), 0)
    before, since = came(), time.monotonic()
    time.sleep(1)
    rate = (came() - before) / (time.monotonic() - since) / MESSAGES
    expect(rate <= ROUNDS, f"each message of '{kind}' came round {rate:.1f} times a second")


def holds(project, console, worker, name, paused, free):
    """`paused` waits while `free` runs; then all of it runs, at its first attempt."""
    expect(console.act(f"/pause/{name}")[0] == 200, f"{name} cannot be paused")
    expect(console.metrics()["bide_paused", name] == 1, "the metric does not say that it is paused")
    project.send(row for pair in zip(rows(paused), rows(free)) for row in pair)
    wait_until(lambda: ran(project, free) >= MESSAGES, 60, lambda: f"the other type runs: {worker.log_tail()}")
    stays(console, paused)
    expect(ran(project, paused) <= 4 + SLACK, f"{ran(project, paused)} of what is paused ran")
    expect(console.act(f"/resume/{name}")[0] == 200, f"{name} cannot be resumed")
    wait_until(lambda: ran(project, paused) >= 4 + MESSAGES, 60, lambda: f"resumed: {project.status()}")
    expect(all(line["attempt"] == 1 for line in project.journal()), "an attempt was burnt")
    expect(not project.dead() and worker.stop() == 0, worker.log_tail())


def a_type_with_a_queue_of_its_own(project):
    worker, console = configured(project, held="its", free="other")
    holds(project, console, worker, "held", "held", "free")


def a_type_that_shares_its_queue(project):
    worker, console = configured(project, held="all", free="all")
    holds(project, console, worker, "held", "held", "free")


def a_queue(project):
    worker, console = configured(project, held="its", free="other")
    holds(project, console, worker, "its", "held", "free")


def an_open_circuit_is_shown(project):
    breaker = {"failure_rate": 0.5, "min_runs": 5, "pause": "300ms", "max_pause": "600ms"}
    project.configure(handlers=[project.probe(breaker=breaker, retry={"attempts": 2, "backoff": "fixed", "base": "100ms"})])
    worker = project.worker()
    console = LocalConsole(project, worker)
    sent = project.send({"type": "probe", "id": f"f{number}", "body": {"fail": 1}} for number in range(20))
    wait_until(lambda: console.metrics().get(("bide_circuit_state", "probe"), 0) > 0, 60, "the metric says open")
    expect(console.handler("probe")["circuit"] != "closed", f"{console.handler('probe')}")
    sent += project.send({"type": "probe", "id": f"g{number}", "body": {}} for number in range(20))
    wait_until(lambda: console.metrics()["bide_circuit_state", "probe"] == 0, 60, lambda: f"closed: {worker.log_tail()}")
    wait_until(lambda: project.all_ended(sent), 60, lambda: f"all has ended: {project.status()}")
    expect(worker.stop() == 0, worker.log_tail())


main(a_type_with_a_queue_of_its_own, a_type_that_shares_its_queue, a_queue, an_open_circuit_is_shown)
