#!/usr/bin/python3
# brokers: redis
# seconds: 240
"""A Redis that is restarted, killed, cut off its power while thousands of messages are sent and worked off. With
appendfsync always nothing confirmed is lost; with everysec the ledger says what was: at most what the last second
confirmed."""

import json
import os
import signal
import sys
import threading
import time
from bisect import bisect_right

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest import ledger  # noqa: E402
from bidetest.faults import PREFETCH, THREADS, close_books, configure, goes_on, mix, reaches  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.redis import Server  # noqa: E402
from bidetest.waiting import pace, wait_until  # noqa: E402

MESSAGES, FEWER, RESTARTS = 20_000, 8000, 3
# Of a worker: what is in hand, and nearly due. Of a sender: eight commands of 128 messages, sent again unless answered.
UNANSWERED = PREFETCH + THREADS + 1024 + 8 * 128
LAST_S = 3.0  # everysec: a second, and how long a write waits for an fsync on a busy machine
PRINTED_S = 1.0  # a sender prints an id a moment after it has the answer: what it had before the cut, it may print after it


class Feeder:
    """Sends rows at a steady rate beside what else happens; knows when how many were confirmed."""

    def __init__(self, project, rows, per_second):
        self.project, self.rows, self.per_second = project, rows, per_second
        self.out = project.dir / "send.out"
        self.samples, self.ended = [], threading.Event()  # (when, how many bytes of confirmed ids)
        self.threads = [threading.Thread(target=work) for work in (self.feed, self.watch)]
        for thread in self.threads:
            thread.start()

    def feed(self):
        sender = self.project.sender()
        for row in pace(self.rows, self.per_second):
            sender.stdin.write(json.dumps(row).encode() + b"\n")
            sender.stdin.flush()
        sender.stdin.close()
        self.code = sender.wait(60)
        self.ended.set()

    def watch(self):
        while not self.ended.wait(0.01):
            self.samples.append((time.monotonic(), self.out.stat().st_size if self.out.exists() else 0))

    def finish(self):
        for thread in self.threads:
            thread.join(120)
        said = (self.project.dir / "send.log").read_text()
        expect(self.code == 0, f"the sender ended with {self.code}: {said[-500:]}")
        return self.out.read_text().split()

    def confirmed_between(self, start, end):
        """The ids whose confirmation came in this span."""
        times = [when for when, _ in self.samples]
        sizes = [size for _, size in self.samples]
        low, high = bisect_right(times, start) - 1, min(bisect_right(times, end) + 1, len(sizes) - 1)
        return set(self.out.read_bytes()[sizes[max(low, 0)]:sizes[high]].decode().split())


def begin(project, server, messages):
    """Half is there, half is being sent."""
    configure(project, server.url)
    first = project.send(mix(messages // 2, sleep_ms=1))
    feeder = Feeder(project, list(mix(messages // 2, "later", sleep_ms=1)), 1200)
    worker = project.worker()
    return first, feeder, worker


def always(project):
    """Stopped in an orderly way once, killed twice: every id that was confirmed ends."""
    with Server("appendonly yes", "appendfsync always") as server:
        first, feeder, worker = begin(project, server, MESSAGES)
        for restart in range(1, RESTARTS + 1):
            reaches(project, worker, 3500 * restart)
            if restart > 1:
                server.kill()
            server.restart()
            goes_on(project, worker, f"{'kill' if restart > 1 else 'restart'} {restart}")
        close_books(project, [worker], [*first, *feeder.finish()], RESTARTS * UNANSWERED)


def books_say(project, feeder, worker, sent, since, until):
    """What a rollback loses was confirmed in its last moments; what it forgot was done is done again."""
    wait_until(lambda: project.left() == 0, 60, lambda: f"{project.status()} {worker.log_tail()}")
    expect(worker.stop() == 0, worker.log_tail())
    books = ledger.close(sent, project.journal(), project.dead())
    last = feeder.confirmed_between(since, until + PRINTED_S)
    print(f"confirmed in the last {until - since:.1f} s: {len(last)}; {books}")
    expect(not books.strangers, f"strangers: {books}")
    expect(set(books.lost) <= last, f"lost, and confirmed long before: {sorted(set(books.lost) - last)[:10]}")
    return books


def everysec_killed(project):
    """SIGKILL to the server alone: the kernel has what it was given, whatever was synced."""
    with Server("appendonly yes", "appendfsync everysec") as server:
        first, feeder, worker = begin(project, server, FEWER)
        reaches(project, worker, 1500)
        since = time.monotonic() - LAST_S
        server.kill()
        killed = time.monotonic()
        server.restart()
        goes_on(project, worker, "kill")
        books_say(project, feeder, worker, [*first, *feeder.finish()], since, killed)


def last_file(server):
    return max((server.dir / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)


def everysec_power_cut(project):
    """As if nothing that was written in the last second had reached the disk."""
    with Server("appendonly yes", "appendfsync everysec", "aof-load-truncated yes") as server:
        first, feeder, worker = begin(project, server, FEWER)
        reaches(project, worker, 1500)
        wait_until(lambda: len(feeder.samples) > 100, 60, "the sender sends")
        file, since = last_file(server), time.monotonic()
        size = file.stat().st_size
        wait_until(lambda: time.monotonic() - since >= 1, 60, "a second has passed")
        server.kill()
        cut = time.monotonic()
        os.truncate(file, size)
        ran = project.journal_count()
        server.restart()
        goes_on(project, worker, "power cut")
        print(f"{ran} had run at the cut")
        books = books_say(project, feeder, worker, [*first, *feeder.finish()], since - LAST_S, cut)
        expect(books.lost, "nothing was lost: the cut has cut nothing")


def killed_while_one_runs(project, server):
    """Returns the worker, the server's file, and the size up to which it knows nothing of the message that runs."""
    configure(project, server.url)
    worker = project.worker()
    project.send([{"type": "probe", "id": "first"}])
    reaches(project, worker, 1)
    wait_until(lambda: project.left() == 0, 60, "settled")
    file = last_file(server)
    size = file.stat().st_size
    project.send([{"type": "probe", "id": "forgotten", "delay": "300ms", "body": {"until": "go"}}])
    wait_until(lambda: in_hand(server, project) and project.queue("default")["delayed"] == 0, 60, "it runs")
    server.kill()
    return worker, file, size


def tokens_given_out_again(project):
    """What a worker still runs was forgotten, and its place given to another message: that one must not end with it."""
    with Server("appendonly yes", "appendfsync everysec", "aof-load-truncated yes") as server:
        worker, file, size = killed_while_one_runs(project, server)
        os.truncate(file, size)
        server.restart()
        wait_until(lambda: "redis: connected" in worker.log_text(), 60, worker.log_tail)
        project.send([{"type": "probe", "id": "second", "delay": "300ms", "body": {"until": "heir"}}])
        wait_until(lambda: in_hand(server, project) and project.queue("default")["delayed"] == 0, 60, "the second one runs")
        project.release()
        reaches(project, worker, 2)  # the forgotten one has ended, and wants to settle
        expect(project.journal()[-1]["id"] == "forgotten", f"{project.journal()}")
        for _ in pace(range(10), 10):
            expect(project.left() == 1, f"the second one was settled with the forgotten one: {project.status()}")
        worker.kill()
        project.release("heir")
        heir = project.worker()
        wait_until(lambda: any(line["id"] == "second" for line in project.journal()), 25,
                   lambda: f"the second one has run: {project.status()} {heir.log_tail()}")
        expect(heir.stop() == 0, heir.log_tail())


def ended_while_it_was_away(project):
    """As before, but the forgotten one has ended before the server is back: its settlement waits, and meets another message in
    its place."""
    with Server("appendonly yes", "appendfsync everysec", "aof-load-truncated yes") as server:
        worker, file, size = killed_while_one_runs(project, server)
        project.release()
        reaches(project, worker, 2)
        pids = worker.tree()
        for pid in reversed(pids):
            os.kill(pid, signal.SIGSTOP)  # so that the other message is there before it
        os.truncate(file, size)
        server.restart()
        project.send([{"type": "probe", "id": "second", "delay": "2500ms"}])
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        reaches(project, worker, 3)
        wait_until(lambda: project.left() == 0, 60, lambda: f"{project.status()}")
        expect([line["id"] for line in project.journal()] == ["first", "forgotten", "second"], f"{project.journal()}")
        expect(not project.dead() and worker.stop() == 0, f"{project.dead()} {worker.log_tail()}")


def in_hand(server, project):
    """Tokens in workers' hands."""
    keys = server.ask("KEYS", "{%s}:q:default:claimed:*" % project.name_space).split()
    return sum(int(server.ask("ZCARD", key)) for key in keys)


main(tokens_given_out_again, ended_while_it_was_away, always, everysec_killed, everysec_power_cut)
