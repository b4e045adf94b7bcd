#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 120
"""Topics: every subscription gets everything that is sent after its join has returned, while workers are killed, and others join
and leave."""

import json
import shutil
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest import ledger  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

BATCHES, BATCH, THREADS, PREFETCH = 6, 200, 4, 16
JOINS_AT, LEAVES_AT, KILLS_AT = 2, 4, (1, 3, 5)


def batch(number):
    """Of twenty: four are delayed, one fails once, one is rejected."""
    for place in range(BATCH):
        row = {"type": "probe", "topic": "logs", "id": f"b{number}-{place}", "body": {}}
        if place % 5 == 1:
            row["delay"] = f"{place * 7919 % 2500}ms"
        elif place % 20 == 7:
            row["body"] = {"fail": 1}
        elif place % 20 == 13:
            row["body"] = {"dead": True}
        yield row


class Subscriber:
    """A worker of some subscriptions, with a configuration of its own; each has its journal."""

    def __init__(self, project, *names):
        self.project, self.names = project, names
        self.start()

    def start(self):
        """Returns once it has read its configuration: another one's is written to the same file."""
        self.configure()
        self.worker = self.project.worker()
        wait_until(lambda: "worker started" in self.worker.log_text(), 60, "the worker serves")

    def configure(self):
        handlers = [self.project.probe(on=f"{name}@logs", settings={"path": str(self.project.dir / f"{name}.ndjson")})
                    for name in self.names]
        self.project.configure(handlers=handlers, threads=THREADS, worker={"prefetch": PREFETCH})
        for name in self.names:
            shutil.copy(self.project.config, self.project.dir / f"{name}.conf")

    def kill(self):
        self.worker.kill()
        self.start()


def books_of(project, name, ids):
    """Of one subscription. By its own configuration: RabbitMQ cannot list those that others have."""
    dead = project.dead("--queue", f"{name}@logs", "-c", f"{name}.conf")
    return ledger.close(ids, project.journal(f"{name}.ndjson"), dead)


def ended(project, name, ids):
    """Whether all of these are done or dead in this subscription."""
    done = {line["id"] for line in project.journal(f"{name}.ndjson") if line["outcome"] == "done"}
    return len(done) > 0.9 * len(ids) and not books_of(project, name, ids).lost


def send(project, sender, rows):
    """Through one sender, which lives as long as the test; returns when all are confirmed."""
    rows = list(rows)
    before = project.journal_count("send.out")
    sender.stdin.write("".join(json.dumps(row) + "\n" for row in rows).encode())
    sender.stdin.flush()
    wait_until(lambda: project.journal_count("send.out") >= before + len(rows), 60, "all are confirmed")
    return [row["id"] for row in rows]


def every_subscription_gets_all(project):
    first = Subscriber(project, "geo", "errors")
    sent, late, sender = [], [], project.sender()
    for number in range(BATCHES):
        if number == JOINS_AT:
            project.bide("topic", "join", "late@logs")
            project.bide("topic", "join", "brief@logs")
            second = Subscriber(project, "late")
        if number == LEAVES_AT:
            project.bide("topic", "leave", "brief@logs", "--force")
        ids = send(project, sender, batch(number))
        sent += ids
        late += ids if number >= JOINS_AT else []
        if number in KILLS_AT:
            (second if number == KILLS_AT[1] else first).kill()
    sender.stdin.close()
    expect(sender.wait(60) == 0, "the sender failed")
    for name, ids in (("geo", sent), ("errors", sent), ("late", late)):
        wait_until(lambda: ended(project, name, ids), 60, lambda: f"{name} has all: {books_of(project, name, ids)}")
    expect(first.worker.stop() == 0 and second.worker.stop() == 0, "a worker did not end with 0")
    duplicates = 0
    for name, ids in (("geo", sent), ("errors", sent), ("late", late)):
        books = books_of(project, name, ids)
        print(f"{name}: {books}")
        expect(not books.lost, f"{name} lost {books}")
        expect(set(books.strangers) <= set(sent), f"{name} has what nobody sent: {books}")
        duplicates += books.duplicate_ends()
    in_flight = len(KILLS_AT) * 2 * 2 * (PREFETCH + THREADS)  # of two queues: handed out, or run and not yet settled
    expect(duplicates <= in_flight, f"{duplicates} duplicates, more than were in flight ({in_flight})")
    expect(not project.dead("--reason", "unrouted"), f"{project.dead('--reason', 'unrouted')}")
    brief = project.queue("brief@logs")
    expect(not brief or not (brief["ready"] or brief["delayed"]), f"what was left got more: {brief}")


def a_subscription_is_paused_alone(project):
    """Its handler is known as TYPE@SUB@TOPIC, in metrics and for `bide pause`."""
    worker = Subscriber(project, "geo", "errors").worker
    project.bide("pause", "probe@geo@logs")
    ids = project.send({"type": "probe", "topic": "logs", "id": f"p{number}", "body": {}} for number in range(20))
    wait_until(lambda: ended(project, "errors", ids), 60, "the other one runs")
    expect(not project.journal("geo.ndjson"), f"{project.journal('geo.ndjson')}")
    project.bide("resume", "probe@geo@logs")
    wait_until(lambda: ended(project, "geo", ids), 60, "it goes on")
    expect(worker.stop() == 0, worker.log_tail())


main(every_subscription_gets_all, a_subscription_is_paused_alone)
