#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 300
"""SIGKILL: nothing lost, duplicates only of what was in flight, and the other worker takes over."""

import subprocess
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest import ledger  # noqa: E402
from bidetest.console import LocalConsole  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

MESSAGES, THREADS, PREFETCH, KILLS = 12000, 4, 32, 3
TAKE_OVER_S = {"sqlite": 5, "rabbitmq": 5, "redis": 15}  # on a busy machine; else a tenth of a second, or four


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
        wait_until(lambda: any(line["worker_pid"] in pids for line in project.journal()), 60, "the victim works")
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
    wait_until(lambda: len(started(project, first.tree())) == THREADS, 60, "the first runs them all")
    quick = project.probe(type="quick", queue="quick")
    project.configure(
        handlers=[slow, quick], threads=THREADS, queues=queues + [{"name": "quick", "weight": 1}]
    )
    second = project.worker()
    project.send([{"type": "quick", "id": "ready", "body": {}}])
    wait_until(lambda: any(line["id"] == "ready" for line in project.journal()), 60, "the second is ready")
    before = time.monotonic()
    first.kill()
    limit = TAKE_OVER_S[project.broker]
    wait_until(lambda: len(started(project, second.tree())) == THREADS, limit, "the second runs them all")
    print(f"taken over after {1000 * (time.monotonic() - before):.0f} ms")
    attempts = {line["attempt"] for line in started(project, second.tree())}
    expect(attempts == {1}, f"a kill burnt an attempt: {attempts}")
    second.kill()


def a_signal_lets_what_runs_finish(project):
    """Two run; the others in hand have not begun: they go back as they were, and run elsewhere."""
    project.configure(threads=2, worker={"prefetch": 64})
    worker = project.worker()
    rows = [{"type": "probe", "id": f"slow{number}", "body": {"until": "go"}} for number in range(2)]
    sent = project.send(rows + [{"type": "probe", "id": f"quick{number}", "body": {}} for number in range(40)])
    console = LocalConsole(project, worker)
    wait_until(lambda: project.queue("default")["ready"] == 0, 60, "all are in hand")
    wait_until(lambda: console.handler("probe")["running"] == 2, 60, "two of them run")
    worker.process.terminate()
    wait_until(lambda: "worker draining" in worker.log_text(), 60, worker.log_tail)
    project.release()
    expect(worker.wait(60) == 0, f"exit {worker.process.returncode}: {worker.log_tail()}")
    ran = sorted((line["id"], line["attempt"], line["outcome"]) for line in project.journal())
    expect(ran == [("slow0", 1, "done"), ("slow1", 1, "done")], f"{ran}")
    wait_until(lambda: project.queue("default")["ready"] == 40, 60, lambda: f"the rest is back: {project.status()}")
    project.worker()
    wait_until(lambda: project.all_ended(sent), 60, lambda: f"the rest has run: {project.status()}")
    lines = project.journal()
    expect(len(lines) == len(sent) and {line["attempt"] for line in lines} == {1}, f"{lines}")


def two_run(project, drain):
    """A worker with two that do not end: one listens to its cancellation, one does not."""
    project.configure(threads=2, worker={"drain": drain})
    worker = project.worker()
    project.send([{"type": "probe", "id": "deaf", "body": {"hang": True}},
                  {"type": "probe", "id": "slow", "body": {"until": "never"}}])
    wait_until(lambda: started(project, worker.tree()) and project.queue("default")["ready"] == 0, 60, "both run")
    return worker


def both_are_back(project, worker):
    """The worker leaves by itself and in order, although nothing ends; another one gets both, with the attempt they had."""
    code = worker.wait(60)
    expect(code == 0, f"exit {code}: {worker.log_tail()}")
    wait_until(lambda: project.left() == 2, 60, lambda: f"both were handed back: {project.status()}")
    expect(project.queue("default")["ready"] == 2, f"{project.status()}")
    successor = project.worker()
    wait_until(lambda: started(project, successor.tree()), 60, lambda: f"it runs again: {successor.log_tail()}")
    attempts = {line["attempt"] for line in project.journal()}
    expect(attempts == {1}, f"leaving burnt an attempt: {project.journal()}")
    successor.kill()


def a_second_signal_hands_back(project):
    worker = two_run(project, "30m")
    worker.process.terminate()
    try:
        worker.process.wait(0.5)
        raise AssertionError("the worker did not wait for what runs")
    except subprocess.TimeoutExpired:
        pass
    worker.process.terminate()
    both_are_back(project, worker)


def the_end_of_drain_hands_back(project):
    worker = two_run(project, "1s")
    worker.process.terminate()
    both_are_back(project, worker)


main(three_kills_lose_nothing, the_other_takes_over, a_signal_lets_what_runs_finish, a_second_signal_hands_back,
     the_end_of_drain_hands_back)
