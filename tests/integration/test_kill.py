#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 300
"""SIGKILL: nothing lost, duplicates only of what was in flight, and the other worker takes over."""

import subprocess
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest import ledger  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

MESSAGES, THREADS, PREFETCH, KILLS = 12000, 4, 32, 3
TAKE_OVER_S = {"sqlite": 1.0, "rabbitmq": 1.0, "redis": 5.0}


def rows():
    for number in range(MESSAGES):
        row = {"type": "probe", "id": f"k{number:06d}", "body": {"sleep_ms": 2}}
        if number % 10 == 3:
            row["delay"] = f"{number * 7919 % 4000}ms"
        elif number % 10 == 4:
            row["body"] = {"fail": 1}
        elif number % 50 == 5:
            row["body"] = {"dead": True}
        yield row


def three_kills_lose_nothing(project):
    project.configure(threads=THREADS, worker={"prefetch": PREFETCH})
    sent = project.send(rows())
    steady, victim = project.worker(), project.worker()
    for kill in range(1, KILLS + 1):
        goal = MESSAGES * kill // (KILLS + 2)
        wait_until(lambda: project.journal_count() >= goal, 60, f"{goal} lines in the journal")
        pids = set(victim.tree())
        wait_until(lambda: any(line["worker_pid"] in pids for line in project.journal()), 30, "the victim works")
        victim.kill()
        victim = project.worker()
    wait_until(lambda: project.all_ended(sent), 120, lambda: f"everything has ended: {project.status()}")
    expect(steady.stop() == 0 and victim.stop() == 0, "a worker did not end with 0")
    books = ledger.close(sent, project.journal(), project.dead())
    print(books)
    expect(books.balanced(), f"lost: {books}")
    in_flight = KILLS * 2 * (PREFETCH + THREADS)  # handed out, or run and not yet settled
    expect(books.duplicate_ends() <= in_flight, f"more duplicates than were in flight ({in_flight}): {books}")


def started(project, pids):
    return [line for line in project.journal() if line["outcome"] == "started" and line["worker_pid"] in pids]


def the_other_takes_over(project):
    """Four messages run on one worker when it is killed; the other has them running in time."""
    slow = project.probe(type="slow", queue="slow")
    queues = [{"name": "slow", "weight": 1}]
    project.configure(handlers=[slow], threads=THREADS, queues=queues)
    first = project.worker()
    project.send({"type": "slow", "id": f"s{number}", "body": {"hang": True}} for number in range(THREADS))
    wait_until(lambda: len(started(project, first.tree())) == THREADS, 30, "the first runs them all")
    quick = project.probe(type="quick", queue="quick")
    project.configure(
        handlers=[slow, quick], threads=THREADS, queues=queues + [{"name": "quick", "weight": 1}]
    )
    second = project.worker()
    project.send([{"type": "quick", "id": "ready", "body": {}}])
    wait_until(lambda: any(line["id"] == "ready" for line in project.journal()), 30, "the second is ready")
    before = time.monotonic()
    first.kill()
    limit = TAKE_OVER_S[project.broker]
    wait_until(lambda: len(started(project, second.tree())) == THREADS, limit, "the second runs them all")
    print(f"taken over after {1000 * (time.monotonic() - before):.0f} ms")
    attempts = {line["attempt"] for line in started(project, second.tree())}
    expect(attempts == {1}, f"a kill burnt an attempt: {attempts}")
    second.kill()


def a_second_signal_hands_back(project):
    project.configure(threads=2, worker={"drain": "60s"})
    first = project.worker()
    project.send({"type": "probe", "id": f"h{number}", "body": {"sleep_ms": 20000}} for number in range(2))
    wait_until(lambda: (project.queue("default") or {}).get("in_flight") in (2, None), 30, "both run")
    first.process.terminate()
    try:
        first.process.wait(0.5)
        raise AssertionError("the worker did not wait for what runs")
    except subprocess.TimeoutExpired:
        pass
    first.process.terminate()
    first.wait(10)
    wait_until(lambda: project.left() == 2, 10, lambda: f"both were handed back: {project.status()}")
    expect(project.queue("default")["ready"] == 2, f"{project.status()}")


main(three_kills_lose_nothing, the_other_takes_over, a_second_signal_hands_back)
