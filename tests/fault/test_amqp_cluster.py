#!/usr/bin/python3
# brokers: rabbitmq
# needs: named
# seconds: 400
"""Three nodes, quorum queues: the node that leads the work queue stops, and work goes on with the other two."""

import sys
import time

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest import ledger  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.rabbitmq import Server  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

SERVER = Server(nodes=3)
THREADS, PREFETCH, BACK_S, MESSAGES = 4, 32, 10, 8000
LANDING = 150  # at most so many of the delayed wait with a worker for their last half second


def leader(project):
    """The number of the node that leads the work queue."""
    wanted = f"{project.name_space}.default"
    for row in SERVER.ctl("list_queues", "name", "leader", node=1).splitlines():
        name, _, node = row.partition("\t")
        if name == wanted:
            return int(node.removeprefix("bide").partition("@")[0])
    raise AssertionError(f"{wanted} has no leader")


def rows():
    for number in range(MESSAGES):
        row = {"type": "probe", "id": f"c{number:05d}", "body": {"sleep_ms": 4}}
        if number % 20 == 3:
            row["delay"] = f"{number * 7919 % 8000}ms"
        elif number % 20 == 4:
            row["body"] = {"fail": 1}
        yield row


def leader_stops(project):
    hosts = ",".join(url.split("@")[1] for url in SERVER.urls)
    project.url = f"amqp://guest:guest@{hosts}?heartbeat=4&connect_timeout=3"
    project.configure(threads=THREADS, worker={"prefetch": PREFETCH})
    sent = project.send(rows())
    worker = project.worker()
    wait_until(lambda: project.journal_count() > 1000, 60, worker.log_tail)
    node = leader(project)
    SERVER.stop_node(node)
    count, since = project.journal_count(), time.monotonic()
    wait_until(lambda: project.journal_count() > count, BACK_S, lambda: f"work goes on: {worker.log_tail()}")
    print(f"node {node} stopped: work goes on after {time.monotonic() - since:.2f} s")
    wait_until(lambda: len({line["id"] for line in project.journal() if line["outcome"] == "done"}) == MESSAGES, 120,
               lambda: f"all have run: {project.status()}: {worker.log_tail()}")
    SERVER.start_node(node)
    expect(worker.stop() == 0, worker.log_tail())
    books = ledger.close(sent, project.journal(), project.dead())
    print(books)
    expect(books.balanced() and books.done == MESSAGES, str(books))
    most = PREFETCH + THREADS + LANDING
    expect(books.duplicate_ends() <= most, f"more duplicates than were unacknowledged ({most}): {books}")


with SERVER:
    main(leader_stops)
