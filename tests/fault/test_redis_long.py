#!/usr/bin/python3
# brokers: redis
# needs: named
# seconds: 400
"""A delay and a handler of 70 s each, where a heartbeat lasts 3 s: every message runs once. And a worker that nobody wakes looks by
itself."""

import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest.faults import THREADS, close_books, configure  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.redis import Server  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

SECONDS = 70


def seventy_seconds(project):
    with Server() as server:
        configure(project, server.url, handlers=[project.probe(timeout="5m")])
        row = {"type": "probe", "delay": f"{SECONDS}s", "body": {"sleep_ms": SECONDS * 1000}}
        sent = project.send({**row, "id": f"long{n}"} for n in range(2 * THREADS))
        workers = [project.worker(), project.worker()]
        wait_until(lambda: project.left() == 0, 4 * SECONDS, lambda: f"all have run: {project.status()}")
        close_books(project, workers, sent, 0)


def nobody_wakes_it(project):
    """Somebody deletes the set of those that wait: the idle worker looks by itself within half a minute."""
    with Server() as server:
        configure(project, server.url)
        worker = project.worker()
        first = project.send([{"type": "probe", "id": "first"}])
        waiting = "{%s}:q:default:waiting" % project.name_space
        wait_until(lambda: project.all_ended(first) and server.ask("SCARD", waiting) == "1", 60, lambda: f"it waits: {worker.log_tail()}")
        expect(server.ask("DEL", waiting) == "1", "there was nothing to delete")
        sent = first + project.send([{"type": "probe", "id": "second"}])
        wait_until(lambda: project.all_ended(sent), 60, lambda: f"{project.status()} {worker.log_tail()}")
        close_books(project, [worker], sent, 0)


main(seventy_seconds, nobody_wakes_it)
