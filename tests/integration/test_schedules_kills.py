#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named alone
# seconds: 200
"""Three supervisors fire `every = "1s"` for a minute of SIGKILLs: each slot runs, none is missing, and each starts within 5 ms of
its slot (as far as this machine wakes anybody in time) unless the worker that had it in hand was killed.

BIDE_KILL_S: for how long (default 60): half of it clocks alone are killed, then supervisors and workers, too."""

import os
import random
import signal
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.machine import Machine  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

SUPERVISORS, AHEAD_S, LATE_MS = 3, 6, 5
REDELIVERED_S = {"sqlite": 2, "rabbitmq": 2, "redis": 8}  # what a killed worker had runs elsewhere by then
KILL_S = float(os.environ.get("BIDE_KILL_S", 60))


def kill(project, workers, kinds, dice):
    """Kills a process of one of these kinds; a supervisor is started again. Returns what, or None."""
    number, kind = dice.randrange(SUPERVISORS), dice.choice(kinds)
    try:
        if kind == "supervisor":
            os.kill(workers[number].pid, signal.SIGKILL)
            workers[number].process.wait()
            workers[number] = project.worker()
        else:
            pids = workers[number].named("bide-clock" if kind == "clock" else "bide")
            os.kill(dice.choice(pids), signal.SIGKILL)
    except (OSError, IndexError):
        return None  # it is just being started again
    return kind


def a_phase(project, workers, kinds, seconds, dice):
    """Kills; returns when workers or supervisors were killed, as Unix ms, and how many deaths there were."""
    killed_ms, deaths, ends = [], 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(dice.uniform(0.3, 2))
        kind = kill(project, workers, kinds, dice)
        deaths += kind is not None
        if kind in ("worker", "supervisor"):
            killed_ms.append(time.time() * 1000)
    return killed_ms, deaths


def a_minute_of_kills(project):
    dice = random.Random(16)
    store = {"store": "sqlite:store.db"} if project.broker == "rabbitmq" else {}
    project.configure([project.journal_handler()], threads=2,
                      schedules=[{"name": "beat", "every": "1s", "type": "journal"}], **store)
    workers = [project.worker() for _ in range(SUPERVISORS)]
    wait_until(lambda: project.journal_count() > 3, 60, lambda: workers[0].log_tail())
    began_ms = int(time.time() + AHEAD_S) * 1000
    machine = Machine()
    _, clocks = a_phase(project, workers, ("clock",), KILL_S / 2, dice)
    killed_ms, others = a_phase(project, workers, ("clock", "supervisor", "worker"), KILL_S / 2, dice)
    ended_ms = int(time.time()) * 1000
    time.sleep(AHEAD_S + REDELIVERED_S[project.broker])
    worst_ms = machine.worst_ms()
    tolerance_ms = LATE_MS + 3 * worst_ms
    runs = {}
    for line in project.journal():
        runs.setdefault(int(line["id"].split("@")[1]), []).append(line)
    wanted = range(began_ms, ended_ms, 1000)
    missing = [slot for slot in wanted if slot not in runs]
    expect(not missing, f"missing: {missing}")
    twice = sum(len(runs[slot]) - 1 for slot in wanted)
    expect(twice <= len(killed_ms), f"{twice} slots ran again, and {len(killed_ms)} workers were killed")
    within, late = 0, []
    for slot in wanted:
        start_ms = min(line["started_us"] for line in runs[slot]) / 1000
        within += start_ms - slot <= LATE_MS
        hit = any(slot - AHEAD_S * 1000 < death < start_ms and start_ms - death < REDELIVERED_S[project.broker] * 1000
                  for death in killed_ms)
        if start_ms - slot > tolerance_ms and not hit:
            late.append((slot, round(start_ms - slot, 1)))
    print(f"{len(wanted)} slots, {clocks} + {others} kills ({len(killed_ms)} of workers and supervisors): none missing, {twice} ran "
          f"again, {within} within {LATE_MS} ms; the machine itself woke up to {worst_ms:.1f} ms late")
    expect(not late, f"late, and nobody had them in hand who was killed: {late}")
    for worker in workers:
        expect(worker.stop() == 0, worker.log_tail())


main(a_minute_of_kills)
