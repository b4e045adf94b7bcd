#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 120
"""Somebody sets the wall clock of a worker's machine while messages wait: each runs once, never before its due time by the
clock of then, and at most as much later as the clock was moved."""

import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.machine import Machine  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402
from bidetest.wall_clock import WallClock  # noqa: E402

JUMP_MS, LATEST_MS, MESSAGES = 2000, 3000, 60
MORE_MS = 1500  # of lateness, beyond the jump and what the machine itself is late: a retry's hop, and processes that wait for each other


def rows():
    """Due all along the time around the jump; some fail once, and wait for their retry when it comes."""
    for number in range(MESSAGES):
        body = {"fail": 1} if number % 6 == 0 else {}
        yield {"type": "probe", "id": f"c{number}", "body": body, "delay": f"{LATEST_MS * number // MESSAGES}ms"}


def jump(project, ahead_ms):
    clock = WallClock(project)
    project.configure()
    worker, machine = project.worker(env=clock.env), Machine()
    wait_until(lambda: "worker started" in worker.log_text(), 60, worker.log_tail)
    sent = project.send(rows())
    wait_until(lambda: project.journal_count() >= MESSAGES // 4, 60, worker.log_tail)
    clock.set(ahead_ms)
    moved_ms = time.time() * 1000
    wait_until(lambda: project.all_ended(sent), 60, lambda: f"all have run: {project.status()} {worker.log_tail()}")
    expect(worker.stop() == 0, worker.log_tail())
    lines = project.journal()
    runs = sorted((line["id"], line["attempt"]) for line in lines)
    wanted = sorted((row["id"], attempt) for row in rows() for attempt in range(1, 2 + bool(row["body"])))
    expect(runs == wanted, f"not each once: {runs}")
    # What was due already and in a thread's hands is not taken from it.
    late = sorted(line["lateness_us"] / 1000 for line in lines if line["lateness_us"] >= 0 or line["due_ms"] > moved_ms)
    print(f"the clock moved by {ahead_ms} ms: lateness {late[0]:.1f} to {late[-1]:.1f} ms")
    expect(len(late) > MESSAGES // 2 and late[0] >= 0, f"one ran {-late[0]} ms early by the clock of then")
    machine.on_time({"the last": late[-1]}, abs(ahead_ms) + MORE_MS)


def forward(project):
    jump(project, JUMP_MS)


def back(project):
    jump(project, -JUMP_MS)


main(forward, back)
