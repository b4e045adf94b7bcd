#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 300
"""Handlers that never return: cancelled, then left behind with their process; only their own message pays."""

import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest import ledger  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

GOOD, HUNG, THREADS, ATTEMPTS, TOTAL_S = 10000, 20, 8, 2, 200


def mix():
    every = GOOD // HUNG
    for number in range(GOOD):
        yield {"type": "probe", "id": f"g{number:05d}", "body": {}}
        if number % every == every // 2:
            yield {"type": "probe", "id": f"h{number // every:05d}", "body": {"hang": True}}


def the_others_go_on(project):
    retry = {"attempts": ATTEMPTS, "backoff": "fixed", "base": "100ms", "jitter": 0.0}
    project.configure(handlers=[project.probe(retry=retry, timeout="1s", kill_after="2s")], threads=THREADS)
    sent = project.send(mix())
    began = time.monotonic()
    worker = project.worker()

    def ended():
        return project.left() == 0 and len(project.dead()) >= HUNG

    wait_until(ended, TOTAL_S, lambda: f"everything has ended: {project.status()}")
    print(f"{GOOD} good ones and {HUNG} that hang in {time.monotonic() - began:.1f} s")
    expect(worker.running(), "the worker is gone")
    journal, dead = project.journal(), project.dead()
    books = ledger.close(sent, journal, dead)
    expect(books.balanced() and not books.both and books.done == GOOD, str(books))
    burnt = [line for line in journal if line["id"][0] == "g" and line["attempt"] != 1]
    expect(not burnt, f"{len(burnt)} good ones lost an attempt, such as {burnt[:2]}")
    print(f"{books.duplicate_ends()} ended twice, {len({line['worker_pid'] for line in journal})} processes")
    expect(sorted(row["id"] for row in dead) == [f"h{number:05d}" for number in range(HUNG)], f"{dead}")
    for row in dead:
        expect(row["reason"] == "timeout" and row["attempts"] == ATTEMPTS, f"{row}")
        expect("did not return" in row["error"], f"{row} does not say what it did")
    expect(worker.stop() == 0, worker.log_tail())


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def all_hang_while_nobody_looks(project):
    """Every thread hangs, the process asks for a successor and ends, while the supervisor is held up."""
    project.configure(handlers=[project.probe(retry={"attempts": 1}, timeout="300ms", kill_after="1500ms")], threads=2)
    worker = project.worker()
    project.send([{"type": "probe", "id": "first"}])
    wait_until(lambda: project.journal_count() == 1, 60, worker.log_tail)
    child = project.journal()[0]["worker_pid"]
    os.kill(worker.pid, signal.SIGSTOP)
    sent = ["first", *project.send({"type": "probe", "id": f"h{number}", "body": {"hang": True}} for number in range(2))]
    wait_until(lambda: state(child) == "Z", 60, worker.log_tail)
    os.kill(worker.pid, signal.SIGCONT)
    sent += project.send([{"type": "probe", "id": "last"}])
    wait_until(lambda: project.all_ended(sent), 60, lambda: f"all have ended: {project.status()} {worker.log_tail()}")
    expect(sorted(row["id"] for row in project.dead()) == ["h0", "h1"], f"{project.dead()}")
    expect("worker process is replaced: a handler does not return" in worker.log_text(), worker.log_tail())
    expect(worker.stop() == 0, worker.log_tail())


main(the_others_go_on, all_hang_while_nobody_looks)
