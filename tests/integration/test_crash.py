#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 400
"""Handlers that bring their process down: only their own message pays, and the worker stays up."""

import json
import sys
import time
from collections import Counter

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest import ledger  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

GOOD, BAD, THREADS, CRASH_ATTEMPTS, TOTAL_S = 10000, 20, 8, 3, 150
FLOOD, FLOOD_S = 1000, 150
ALONE = 3


def mix(order, good=GOOD, bad=BAD):
    """Good messages, and evenly among them the bad ones with this order in their body."""
    every = good // bad
    for number in range(good):
        yield {"type": "probe", "id": f"g{number:05d}", "body": {}}
        if number % every == every // 2:
            yield {"type": "probe", "id": f"b{number // every:05d}", "body": {order: True}}


def check_good_ones(project, done, processes):
    """All were done at their first attempt; again only what was in flight when a process died."""
    expect(len(done) == GOOD, f"{GOOD - len(done)} good ones are not done")
    burnt = [line for line in project.journal() if line["id"][0] == "g" and line["attempt"] != 1]
    expect(not burnt, f"a neighbour's crash burnt {len(burnt)} attempts, such as {burnt[:2]}")
    again = sum(done.values()) - len(done)
    print(f"{processes} processes, {again} runs of good messages repeated")
    return again


def check_bad_ones(project, worker, how):
    """One that a dying process left copies of (published again, not acknowledged yet) may be parked at an earlier attempt of
    one of them: the crashes of all count together."""
    log = worker.log_text()
    dead = {row["id"]: row for row in project.dead()}
    expect(set(dead) == {f"b{number:05d}" for number in range(BAD)}, f"dead are {sorted(dead)}")
    for row in dead.values():
        copies = log.count(f'"message parked","id":"{row["id"]}"')
        enough = row["attempts"] == CRASH_ATTEMPTS or (copies > 1 and row["attempts"] < CRASH_ATTEMPTS)
        expect(row["reason"] == "crashed" and enough, f"{row}, parked {copies} times")
        expect(how in row["error"] and "probe" in row["error"], f"{row} does not say {how}")


def crashes_hurt_nobody_else(project, order, how):
    retry = {"attempts": 5, "backoff": "fixed", "base": "100ms", "jitter": 0.0, "crash_attempts": CRASH_ATTEMPTS}
    project.configure(handlers=[project.probe(retry=retry)], threads=THREADS)
    sent = project.send(mix(order))
    began = time.monotonic()
    worker = project.worker()

    def ended():
        return project.left() == 0 and len({row["id"] for row in project.dead()}) == BAD

    wait_until(ended, TOTAL_S, lambda: f"everything has ended: {project.status()}")
    print(f"{GOOD} good and {BAD} bad ones in {time.monotonic() - began:.1f} s")
    expect(worker.running(), "the worker is gone")
    journal = project.journal()
    books = ledger.close(sent, journal, project.dead())
    expect(books.balanced() and not books.both and books.dead == BAD, str(books))
    runs = Counter(line["id"] for line in journal if line["outcome"] == "done" and line["id"][0] == "g")
    again = check_good_ones(project, runs, len({line["worker_pid"] for line in journal}))
    expect(again <= BAD * CRASH_ATTEMPTS * THREADS * 64, f"{again} repeated runs are more than were in flight")
    check_bad_ones(project, worker, how)
    expect(worker.stop() == 0, worker.log_tail())


def a_fault(project):
    crashes_hurt_nobody_else(project, "crash", "SIGSEGV")


def an_exit(project):
    crashes_hurt_nobody_else(project, "exit", "exit status 1")


def its_neighbours_wait_for_the_verdict(project):
    """Three processes: a broker hands the message on while the first is still dying; each run is a new attempt.

    On RabbitMQ a retry is published and then acknowledged: where a neighbour's crash ends the process between the two,
    there are two copies of the attempt, and both may run.
    """
    retry = {"attempts": 5, "backoff": "fixed", "base": "100ms", "jitter": 0.0, "crash_attempts": CRASH_ATTEMPTS}
    project.configure(handlers=[project.probe(retry=retry)], threads=2, worker={"processes": 3})
    worker = project.worker()
    wait_until(lambda: worker.log_text().count("worker started") == 3, 60, lambda: f"all serve: {worker.log_tail()}")
    sent = project.send({"type": "probe", "id": f"b{number}", "body": {"crash": True}} for number in range(ALONE))
    wait_until(lambda: {row["id"] for row in project.dead()} == set(sent), TOTAL_S, lambda: f"all are dead: {project.status()}")
    lines = [json.loads(line) for line in worker.log_text().splitlines()]
    crashes = [line for line in lines if line["message"] == "handler crashed"]
    for one in sent:
        attempts = [line["attempt"] for line in crashes if line["id"] == one]
        counted = sorted(set(attempts)) if project.broker == "rabbitmq" else attempts
        expect(counted == list(range(1, CRASH_ATTEMPTS + 1)), f"{one} crashed at its attempts {attempts}")
    expect(worker.stop() == 0, worker.log_tail())


def the_other_types_are_served(project):
    """Every message of a type crashes: those of another type, one for one among them, run on all the same."""
    good = project.probe(type="good", settings={"path": str(project.dir / "good.ndjson")})
    project.configure(handlers=[good, project.probe(type="bad")], threads=THREADS)
    rows = [
        {"type": kind, "id": f"{kind}{number:04d}", "body": body}
        for number in range(FLOOD)
        for kind, body in (("bad", {"crash": True}), ("good", {"sleep_ms": 5}))
    ]
    project.send(rows)
    began = time.monotonic()
    worker = project.worker()

    def done():
        return {line["id"] for line in project.journal("good.ndjson")}

    wait_until(lambda: len(done()) == FLOOD, FLOOD_S, lambda: f"{len(done())} of {FLOOD} good ones are done")
    print(f"{FLOOD} good ones among {FLOOD} that crash in {time.monotonic() - began:.1f} s")
    lines, crashes = project.journal("good.ndjson"), project.journal()
    expect({line["attempt"] for line in lines} == {1}, "a neighbour's crash burnt an attempt")
    print(f"{len(lines) - FLOOD} repeated, {len({line['worker_pid'] for line in lines})} processes")
    expect(worker.running() and "keeps crashing" in worker.log_text(), worker.log_tail())
    expect(all(line["attempt"] <= CRASH_ATTEMPTS for line in crashes), "an attempt too many")
    expect({row["reason"] for row in project.dead()} <= {"crashed"}, f"{project.dead()[:3]}")
    worker.stop()
    books = ledger.close([row["id"] for row in rows], lines, project.dead())
    lost = len(books.lost)
    wait_until(lambda: project.left() >= lost, 60, lambda: f"the rest is back with the broker: {project.left()} of {lost}")


main(a_fault, an_exit, its_neighbours_wait_for_the_verdict, the_other_types_are_served)
