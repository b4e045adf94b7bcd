#!/usr/bin/python3
# brokers: rabbitmq
# needs: named
# seconds: 400
"""Three nodes, quorum queues: the node that leads the work queue goes, and work goes on with the other two.

RabbitMQ 3.10 has a flaw here (docs/decisions/0018): whoever first publishes to a quorum queue in the moment in which
the node of its leader goes is refused until that node is back. It strikes publishers, which then connect anew, and the
broker's own dead-letter workers of holding queues, which only an operator can replace. Drained in time, none is struck."""

import json
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest import ledger  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.rabbitmq import Server  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

SERVER = Server(nodes=3)
THREADS, PREFETCH, BACK_S, MESSAGES = 4, 32, 10, 8000
HELD_S = 30  # by then all that nothing holds up has run
LANDING = 200  # at most so many of the delayed wait with a worker for their last two seconds


# docs/rabbitmq.md gives this to operators: on each of the nodes that are left.
MOVE_LEADERS = (
    "[ra:transfer_leadership({Name, node()}, {Name, hd(nodes())}) || Q <- rabbit_amqqueue:list(), "
    "{Name, Node} <- [amqqueue:get_pid(Q)], Node == node(), "
    'binary:match(element(4, amqqueue:get_name(Q)), <<".hold.">>) =/= nomatch].')


def leaders(project):
    """The number of the node that leads each of the project's queues."""
    rows = (row.split("\t") for row in SERVER.ctl("list_queues", "name", "leader", node=1).splitlines())
    prefix = f"{project.name_space}."
    return {row[0].removeprefix(prefix): int(row[1].removeprefix("bide").partition("@")[0])
            for row in rows if row[0].startswith(prefix)}


def leader(project, queue="default"):
    return leaders(project)[queue]


def rows(numbers):
    for number in numbers:
        row = {"type": "probe", "id": f"c{number:05d}", "body": {"sleep_ms": 4}}
        if number % 20 == 3:
            row["delay"] = f"{number * 7919 % 8000}ms"
        elif number % 20 == 4:
            row["body"] = {"fail": 1}
        yield row


def where_it_hangs(project, sent, stopped):
    """What has not run, and what the broker has of it: ready, handed out."""
    missing = sorted(set(sent) - {line["id"] for line in project.journal() if line["outcome"] == "done"})
    columns = ("name", "messages", "messages_ready", "messages_unacknowledged", "leader")
    table = SERVER.ctl("list_queues", *columns, node=1 if stopped != 1 else 2).splitlines()
    busy = [row for row in table if project.name_space in row and "\t0\t0\t0" not in row]
    return f"{len(missing)} not: {missing[:20]}; {busy}"


def begin(project):
    """A worker at work on all nodes' addresses, much of its work delayed; which node leads its queue."""
    hosts = ",".join(url.split("@")[1] for url in SERVER.urls)
    project.url = f"amqp://guest:guest@{hosts}?heartbeat=4&connect_timeout=3"
    project.configure(threads=THREADS, worker={"prefetch": PREFETCH})
    sent = project.send(rows(range(MESSAGES)))
    worker = project.worker()
    wait_until(lambda: project.journal_count() > 1000, 60, worker.log_tail)
    return sent, worker, leader(project)


def done(project):
    return len({line["id"] for line in project.journal() if line["outcome"] == "done"})


def work_goes_on(project, worker, node):
    count, since = project.journal_count(), time.monotonic()
    wait_until(lambda: project.journal_count() > count, BACK_S, lambda: f"work goes on: {worker.log_tail()}")
    print(f"node {node} stopped: work goes on after {time.monotonic() - since:.2f} s")


def all_have_run(project, sent, node, seconds):
    wait_until(lambda: done(project) == len(sent), seconds, lambda: f"all have run: {where_it_hangs(project, sent, node)}")


def close_books(project, worker, sent):
    expect(worker.stop() == 0, worker.log_tail())
    books = ledger.close(sent, project.journal(), project.dead())
    print(books)
    expect(books.balanced() and books.done == len(sent), str(books))
    most = PREFETCH + THREADS + LANDING
    expect(books.duplicate_ends() <= most, f"more duplicates than were unacknowledged ({most}): {books}")


def drained_leader_stops(project):
    """Planned: what is refused while the leaders move is tried again as long as the node still answers, and runs."""
    sent, worker, node = begin(project)
    SERVER.drain_node(node)
    all_have_run(project, sent, node, 60)
    SERVER.stop_node(node)
    sent += project.send(rows(range(MESSAGES, MESSAGES + 1000)))
    all_have_run(project, sent, node, 60)
    SERVER.start_node(node)
    close_books(project, worker, sent)


def others(node):
    return [number for number in (1, 2, 3) if number != node]


def leader_stops(project):
    """Unplanned: what a dead-letter worker is refused runs when the rungs' leaders have been moved, without that node."""
    sent, worker, node = begin(project)
    SERVER.stop_node(node)
    work_goes_on(project, worker, node)
    since = time.monotonic()
    while done(project) < MESSAGES and time.monotonic() - since < HELD_S:
        time.sleep(0.2)
    if done(project) < MESSAGES:
        print(f"held up: {where_it_hangs(project, sent, node)}")
        for number in others(node):
            SERVER.ctl("eval", MOVE_LEADERS, node=number)
    all_have_run(project, sent, node, 60)
    SERVER.start_node(node)
    close_books(project, worker, sent)


def refused_publisher(project):
    """First published to a queue without a majority: taken as soon as it has one, though its last leader is down."""
    project.url = SERVER.urls[0]
    project.configure()
    project.bide("send", "probe", "{}", "--id", "declares")
    node = leader(project)
    third, near = others(node)
    project.url = f"{SERVER.urls[near - 1]}?connect_timeout=3"
    project.configure()
    sender = project.sender()
    sender.stdin.write(json.dumps({"type": "probe", "id": "elsewhere", "delay": "1h"}).encode() + b"\n")
    sender.stdin.flush()
    confirmed = lambda: (project.dir / "send.out").read_text().split()  # noqa: E731
    wait_until(lambda: confirmed() == ["elsewhere"], 60, "the sender runs")
    with SERVER.frozen_node(third):
        SERVER.kill_node(node)  # nobody can elect another leader yet
        sender.stdin.write(json.dumps({"type": "probe", "id": "waits"}).encode() + b"\n")
        sender.stdin.close()
        time.sleep(1.5)  # it is refused meanwhile, again and again
        expect(confirmed() == ["elsewhere"], f"{confirmed()}")
    wait_until(lambda: "waits" in confirmed(), BACK_S, lambda: (project.dir / "send.log").read_text()[-2000:])
    expect(sender.wait(60) == 0, (project.dir / "send.log").read_text()[-2000:])
    SERVER.start_node(node)


def shards_are_spread(project):
    """The shards of each time are led by more than one node, so that a time with many messages burdens several."""
    project.url = f"{SERVER.urls[0]}?ladder_shards=4"
    project.configure()
    project.bide("send", "probe", "{}", "--id", "declares")
    nodes = {}
    for queue, node in leaders(project).items():
        if queue.startswith("hold."):
            nodes.setdefault(queue.rpartition(".")[0], []).append(node)
    expect(len(nodes) == 113 and all(len(shards) == 4 for shards in nodes.values()), f"{nodes}")
    together = {time: shards for time, shards in nodes.items() if len(set(shards)) == 1}
    expect(not together, f"of {len(nodes)} times, {len(together)} have all shards on one node: {together}")


with SERVER:
    main(shards_are_spread, drained_leader_stops, leader_stops, refused_publisher)
