#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 180
"""Handlers with `batch`: many messages in one call, each with its own outcome; of a batch that ends its process, or hangs, only the
message to blame is blamed (docs/batches.md). In a thread of the worker, in a process of its own, and in a program."""

import json
import os
import random
import signal
import sys
import time
from collections import defaultdict

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.console import LocalConsole  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.ledger import close  # noqa: E402
from bidetest.limiting import most_at_once, most_in, starts, store_of  # noqa: E402
from bidetest.programs import ENV  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

KINDS = ("thread", "process", "program")
N = 100  # messages in a batch
QUICK = {"attempts": 2, "crash_attempts": 2, "backoff": "fixed", "base": "50ms", "jitter": 0.0}

PROGRAM = """
import json, os, sys, time
sys.path.insert(0, os.environ["BIDE_SDK"])
import bide

@bide.batch_handler("program")
def program(messages):
    started_us, outcomes = time.time_ns() // 1000, []
    for message in messages:
        orders = json.loads(message.body or b"{}")
        if orders.get("crash"):
            os._exit(3)
        while orders.get("hang"):
            time.sleep(60)
        fails = message.attempt <= orders.get("fail", 0)
        outcomes.append(bide.Dead("no") if orders.get("dead") else bide.Retry("again") if fails else None)
    with open("journal.ndjson", "a", encoding="utf-8") as journal:
        journal.write("".join(json.dumps({
            "id": message.id, "type": message.type, "attempt": message.attempt, "worker_pid": os.getpid(), "started_us": started_us,
            "outcome": "done" if outcome is None else "dead" if isinstance(outcome, bide.Dead) else "retry"}) + "\\n"
            for message, outcome in zip(messages, outcomes)))
    return outcomes

bide.serve()
"""


def configure(project, kinds=KINDS, batch=N, batch_wait="300ms", worker=None, **changes):
    """A handler of each kind, with a queue of its own: its messages are a batch once they are there."""
    common = {"batch": batch, "batch_wait": batch_wait, "retry": QUICK, **changes}
    (project.dir / "batches.py").write_text(PROGRAM)
    rows = {
        "thread": project.probe(type="thread", queue="thread", **common),
        "process": project.probe(type="process", queue="process", isolation="process", **common),
        "program": {"type": "program", "queue": "program", "program": "batches", **common},
    }
    programs = [{"name": "batches", "run": ["/usr/bin/python3", "batches.py"], "env": ENV}] if "program" in kinds else []
    project.configure([rows[kind] for kind in kinds], programs=programs, worker=worker or {})


def calls(lines):
    """The sizes of the batches in which these runs were."""
    found = defaultdict(int)
    for line in lines:
        found[line["worker_pid"], line["started_us"]] += 1
    return sorted(found.values())


def each_has_its_outcome(project):
    """In one call: done, failed and hopeless ones; what failed is in another batch. Metrics count messages."""
    configure(project)
    orders = {"good": {}, "fails": {"fail": 1}, "hopeless": {"dead": True}}
    rows = [{"type": kind, "id": f"{kind}-{name}{i}", "body": body} for kind in KINDS for i in range(10) for name, body in orders.items()]
    project.send(rows)
    configure(project, batch=30)  # exactly what is there
    worker = project.worker()
    good = {row["id"] for row in rows if "hopeless" not in row["id"]}
    wait_until(lambda: {line["id"] for line in project.journal() if line["outcome"] == "done"} >= good and len(project.dead()) == 30, 60,
               lambda: f"{project.status()} {worker.log_tail()}")
    console = LocalConsole(project, worker)
    counts = (("done", 20), ("retried", 10), ("dead", 10))
    counted = lambda: all(f'bide_messages_total{{type="{kind}",outcome="{outcome}"}} {n}\n' in console.metrics_text()  # noqa: E731
                          for kind in KINDS for outcome, n in counts)
    wait_until(lambda: console.answers() and counted(), 60, lambda: f"{counts} of each: {console.metrics_text()}")
    for kind in KINDS:
        lines = [line for line in project.journal() if line["type"] == kind]
        first = [line for line in lines if line["attempt"] == 1]
        expect(calls(first)[-1] > 1, f"{kind}: no two in one call: {calls(first)}")
        expect(len(lines) == 40, f"{kind}: each runs once, and ten twice: {len(lines)}")
    expect({row["reason"] for row in project.dead()} == {"rejected"}, f"{project.dead()}")
    expect(worker.stop() == 0, worker.log_tail())


def one_is_to_blame(project, order, reason):
    """99 good ones and a bad one in a batch: only the bad one fails, though nobody knew which of them it was. In a thread it may take
    with it what else the process was just settling: that runs twice, and (RabbitMQ) may be parked twice."""
    for kinds in (("process", "program"), ("thread",)):
        configure(project, kinds, timeout="1s", kill_after="1s", retry={**QUICK, "attempts": 1, "crash_attempts": 1})
        rows = [{"type": kind, "id": f"{kind}-{i}", "body": {order: True} if i == 50 else {}} for kind in kinds for i in range(N)]
        project.send(rows)
        worker = project.worker()
        good = {row["id"] for row in rows if not row["body"]}
        bad = {row["id"] for row in rows if row["body"]}
        wait_until(lambda: {line["id"] for line in project.journal() if line["outcome"] == "done"} >= good
                   and {row["id"] for row in project.dead()} >= bad, 60, lambda: worker.log_tail())
        expect(worker.stop() == 0, worker.log_tail())
        dead = [row for row in project.dead() if row["type"] in kinds]
        expect({(row["id"], row["reason"], row["attempts"]) for row in dead} == {(one, reason, 1) for one in bad}, f"{dead}")
        lines = [line for line in project.journal() if line["type"] in kinds and line["outcome"] == "done"]
        expect({line["attempt"] for line in lines} == {1}, "a neighbour burnt an attempt")
        expect("thread" in kinds or (len(lines) == len(good) and len(dead) == len(bad)), f"some ran twice: {len(lines)}")
        expect(order == "hang" or "handler crashed in a batch" in worker.log_text(), worker.log_tail())


def a_crash_in_a_batch(project):
    one_is_to_blame(project, "crash", "crashed")


def a_batch_that_hangs(project):
    one_is_to_blame(project, "hang", "timeout")


def kills_lose_nothing(project):
    """kill -9 of worker processes while batches run, and while they fill: nothing is lost, nobody is blamed."""
    configure(project, kinds=("thread", "process"), batch=50, batch_wait="50ms", worker={"processes": 2, "prefetch": 200})
    draw = random.Random(17)
    sent = project.send([{"type": draw.choice(("thread", "process")), "id": f"k{i}", "body": {"sleep_ms": int(i % 25 == 0)},
                          **({"delay": f"{draw.randrange(900)}ms"} if i % 3 == 0 else {})} for i in range(4000)])
    worker = project.worker()
    for number in range(1, 4):
        wait_until(lambda: project.journal_count() > number * 800, 60, lambda: worker.log_tail())
        os.kill(wait_until(lambda: worker.named("bide"), 60, "a worker process runs")[0], signal.SIGKILL)
    wait_until(lambda: project.all_ended(sent), 60, lambda: f"{project.status()} {worker.log_tail()}")
    expect(worker.stop() == 0, worker.log_tail())
    books = close(sent, project.journal(), project.dead())
    print(f"  {books}; {calls(project.journal())[-1]} messages in the largest call")
    expect(books.balanced() and not project.dead(), f"{books}")
    expect({line["attempt"] for line in project.journal()} == {1}, "an attempt was burnt")
    expect(books.duplicate_ends() <= 3 * (200 * 2 + 100), f"{books}: more than was in hand")


def limits_count_messages(project):
    """No more messages at once than there are places, and no more in any second than the rate says, batches or not."""
    common = {"batch": 20, "batch_wait": "100ms", "retry": QUICK}
    project.configure(
        [project.probe(type="placed", limited_by="places", queue="placed", **common),
         project.journal_handler(type="rated", limited_by="rate", queue="rated", **common)],
        limits=[{"name": "places", "concurrency": 3}, {"name": "rate", "rate": "60/1s"}], **store_of(project))
    sent = project.send([{"type": "placed", "id": f"p{i}", "body": {"sleep_ms": 10}} for i in range(12)])
    sent += project.send([{"type": "rated", "id": f"r{i}"} for i in range(90)])
    worker = project.worker()
    wait_until(lambda: project.journal_count() >= len(sent), 60, lambda: f"{project.status()} {worker.log_tail()}")
    expect(worker.stop() == 0, worker.log_tail())
    journal = project.journal()
    placed = [line for line in journal if line["type"] == "placed"]
    rated = starts([line for line in journal if line["type"] == "rated"])
    print(f"  calls of {calls(placed)}; {most_in(rated, 1)} began in a second, in calls of {calls([line for line in journal if line['type'] == 'rated'])}")
    expect(len(journal) == len(sent) and {line["attempt"] for line in journal} == {1}, "each runs once")
    expect(calls(placed)[-1] <= 3 and most_at_once(placed, 10) <= 3, f"more than 3 at once: {calls(placed)}")
    expect(most_in(rated, 1) <= 60, f"{most_in(rated, 1)} in a second")


def a_worker_leaves_while_a_batch_fills(project):
    """It hands back what waits for more, at once; paused, too. Another runs it, at its first attempt."""
    configure(project, batch_wait="1m")
    sent = project.send([{"type": kind, "id": f"{kind}-{i}"} for kind in KINDS for i in range(5)])
    worker = project.worker()
    console = LocalConsole(project, worker)
    wait_until(console.answers, 60, "the console answers")
    in_hand = lambda: console.metrics()["bide_messages_in_flight",]  # noqa: E731
    wait_until(lambda: in_hand() == len(sent), 60, lambda: worker.log_tail())
    project.bide("pause", "thread")
    wait_until(lambda: in_hand() == 10, 60, lambda: f"{in_hand()} in hand")
    project.bide("resume", "thread")
    began = time.monotonic()
    expect(worker.stop() == 0, worker.log_tail())
    expect(time.monotonic() - began < 45, "it waited for the batches to fill")
    expect(not project.journal(), "something ran")
    configure(project, batch_wait="10ms")
    worker = project.worker()
    wait_until(lambda: {line["id"] for line in project.journal()} >= set(sent), 60,
               lambda: f"{project.status()} {worker.log_tail()}")
    expect(sorted(line["id"] for line in project.journal()) == sorted(sent), "one ran twice")
    expect({line["attempt"] for line in project.journal()} == {1}, "an attempt was burnt")
    expect(worker.stop() == 0, worker.log_tail())


def who_takes_no_batches_is_refused(project):
    (project.dir / "batches.py").write_text(PROGRAM.replace("batch_handler", "handler"))
    row = {"type": "program", "program": "batches", "batch": 10}
    project.configure([row], programs=[{"name": "batches", "run": ["/usr/bin/python3", "batches.py"], "env": ENV}])
    said = project.bide("check", expect=None).stdout
    expect("takes no batches of the type 'program'" in said, said)
    project.configure([{"type": "x", "plugin": "command", "batch": 10, "settings": {"run": ["/bin/true"]}}])
    said = project.bide("check", expect=None)
    expect("plugin 'command' takes no batches" in said.stdout + said.stderr, said.stdout + said.stderr)


main(each_has_its_outcome, a_crash_in_a_batch, a_batch_that_hangs, kills_lose_nothing, limits_count_messages,
     a_worker_leaves_while_a_batch_fills, who_takes_no_batches_is_refused)
