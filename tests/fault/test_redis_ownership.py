#!/usr/bin/python3
# brokers: redis
# seconds: 180
"""Who owns a message: a worker that stands still loses it to others, a slow one keeps it, however long it takes."""

import os
import signal
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest.faults import PREFETCH, THREADS, close_books, configure, mix, reaches  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.proxy import Proxy  # noqa: E402
from bidetest.redis import Server  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

EARLY = 1024  # a worker claims at most so many that are nearly due
IN_FLIGHT = PREFETCH + THREADS + EARLY
STOPPED_S = float(os.environ.get("BIDE_STOPPED_S", 8))  # dead after 3 s, taken over a second later


def runs(project):
    return sorted((line["id"], line["attempt"], line["outcome"]) for line in project.journal())


def stopped_worker(project):
    """All its processes stop for longer than it takes to count as dead. When it goes on, it settles nothing of what others
    have by then: the ends of its runs are all that it adds."""
    with Server() as server:
        configure(project, server.url)
        sent = project.send(mix(3000, sleep_ms=20))
        sleeper, steady = project.worker(), project.worker()
        wait_until(lambda: {line["worker_pid"] for line in project.journal()} & set(sleeper.tree()), 60, "it works")
        pids = sleeper.tree()
        for pid in reversed(pids):
            os.kill(pid, signal.SIGSTOP)
        since, before = time.monotonic(), project.journal_count()
        wait_until(lambda: "gave back what a worker had in hand" in steady.log_text(), 60, steady.log_tail)
        print(f"taken over after {time.monotonic() - since:.1f} s")
        wait_until(lambda: time.monotonic() - since > STOPPED_S, STOPPED_S + 60, "the time of standing still is over")
        expect(project.journal_count() > before, "the other one has not worked")
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: "others took over" in sleeper.log_text(), 60, lambda: f"it notices: {sleeper.log_tail()}")
        more = project.send(mix(400, "later"))
        reached = project.journal_count()
        wait_until(lambda: {line["worker_pid"] for line in project.journal()[reached:]} & set(pids), 60,
                   lambda: f"it works again: {sleeper.log_tail()}")
        close_books(project, [sleeper, steady], [*sent, *more], IN_FLIGHT)


def longer_than_the_lease(project):
    """A delay and handlers that both outlast a heartbeat (3 s), two workers, no thread left: once each."""
    with Server() as server:
        configure(project, server.url)
        rows = [{"type": "probe", "id": f"long{n}", "delay": "3500ms", "body": {"sleep_ms": 7000}}
                for n in range(2 * THREADS)]
        sent = project.send(rows)
        workers = [project.worker(), project.worker()]
        wait_until(lambda: project.journal_count() == len(rows), 60, lambda: f"all have run: {runs(project)}")
        close_books(project, workers, sent, 0)
        expect({line["attempt"] for line in project.journal()} == {1}, f"{runs(project)}")


def the_server_stands_still(project):
    """For longer than a heartbeat lasts: whoever beats first must not take the others for dead. Each message runs once."""
    with Server() as server:
        configure(project, server.url)
        workers = [project.worker() for _ in range(3)]
        known = "{%s}:workers" % project.name_space
        wait_until(lambda: server.ask("HLEN", known) == str(len(workers)), 60, "all have joined")
        time.sleep(2.5)  # who has just started judges nobody
        sent = project.send({"type": "probe", "id": f"s{n}", "body": {"sleep_ms": 5500}} for n in range(THREADS))
        wait_until(lambda: project.queue("default")["in_flight"] == len(sent), 60, lambda: f"{project.status()}")
        server.freeze()
        time.sleep(3.5)
        server.resume()
        close_books(project, workers, sent, 0)
        expect(project.journal_count() == len(sent), f"ran twice: {runs(project)}")
        taken = [worker.log_tail() for worker in workers if "others took over" in worker.log_text()]
        expect(not taken, f"taken for dead: {taken}")


def declared_dead_while_it_reads(project):
    """A worker that others have taken over from (it stood still) asks for more before it learns that. What the server hands out
    under its old name runs within seconds all the same, not only when somebody looks for orphans (every 30 s)."""
    with Server() as server:
        project.url = server.url
        project.configure(threads=THREADS, worker={"prefetch": 512})
        workers, alive = (f"{{{project.name_space}}}:{key}" for key in ("workers", "alive:"))
        worker, beats = project.worker(), set()

        def has_looked():  # for orphans: with its first beat, and then with each 30th
            beats.add(server.ask("GET", alive + server.ask("HKEYS", workers)))
            return len(beats - {""}) > 2

        wait_until(has_looked, 60, worker.log_tail)
        sent = project.send({"type": "probe", "id": f"r{n:06d}", "body": {}} for n in range(30000))
        reaches(project, worker, 1000)
        name = server.ask("HKEYS", workers)
        server.ask("HDEL", workers, name)
        wait_until(lambda: "others took over" in worker.log_text(), 60, worker.log_tail)

        def who_has_some():
            return server.ask("XINFO", "CONSUMERS", "{%s}:q:default:ready" % project.name_space, "bide")

        wait_until(lambda: name not in who_has_some().split(), 25, who_has_some)
        close_books(project, [worker], sent, 512)


def very_many_in_hand(project):
    """A worker with 12000 messages in hand loses its connections: it has them still, and each runs once."""
    with Server() as server:
        project.url = server.url
        project.configure(threads=THREADS, worker={"prefetch": 15000})
        rows = [{"type": "probe", "id": f"v{n:06d}", "body": {"until": "go"} if n < THREADS else {}} for n in range(12000)]
        sent = project.send(rows)
        worker = project.worker()
        wait_until(lambda: project.queue("default")["in_flight"] == len(rows), 60, lambda: f"{project.status()}")
        server.ask("CLIENT", "KILL", "TYPE", "normal")
        project.release()
        close_books(project, [worker], sent, 0)
        expect(project.journal_count() == len(rows), f"{project.journal_count()} runs of {len(rows)} messages")


QUEUES, DELAY_S = 250, 0.02  # one command for each: ten seconds


def taking_over_far_away(project):
    """A worker whose server is far away looks through very many queues for what a dead one had: its own heart goes on."""
    with Server() as server, Proxy(server.port()) as proxy:
        server.ask("SADD", "{%s}:queues" % project.name_space, *(f"q{n}" for n in range(QUEUES)))
        configure(project, f"redis://127.0.0.1:{proxy.port}/0")
        sent = project.send([{"type": "probe", "id": "long", "body": {"sleep_ms": 8000}}])
        far = project.worker()
        wait_until(lambda: "worker started" in far.log_text(), 60, far.log_tail)
        configure(project, server.url)  # of the others, and of the commands, which ask about each queue
        wait_until(lambda: project.queue("default")["in_flight"] == 1, 60, "it runs")
        known = "{%s}:workers" % project.name_space
        dead = project.worker()
        wait_until(lambda: server.ask("HLEN", known) == "2", 60, "another has joined")
        dead.kill()
        proxy.delay = DELAY_S
        wait_until(lambda: server.ask("HLEN", known) == "1", 60, "it counts as dead, and is looked for in all queues")
        judge = project.worker()
        wait_until(lambda: project.journal(), 15, lambda: f"it has run: {far.log_tail()}")
        proxy.delay = 0
        close_books(project, [far, judge], sent, 0)
        expect(runs(project) == [("long", 1, "done")], f"ran twice: {runs(project)}")
        expect("others took over" not in far.log_text(), far.log_tail())


main(declared_dead_while_it_reads, very_many_in_hand, stopped_worker, the_server_stands_still, taking_over_far_away, longer_than_the_lease)
