#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named
# seconds: 1200
# runs: alone
"""Of ten thousand delayed messages a hundred are cancelled by id, a hundred by key, and a hundred rescheduled: those and only
those, on each broker. Then with many more waiting: how long it takes (BIDE_MANY, default a million; RabbitMQ 200 000)."""

import os
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

ALL, SOME = 10_000, 100
MANY = {"rabbitmq": 200_000}


def configure(project):
    """RabbitMQ has a store beside it."""
    project.configure(**({"store": "sqlite:store.db"} if project.broker == "rabbitmq" else {}))


def rows(number, delay, keyed):
    """Every (number / keyed)th has a key."""
    for k in range(number):
        row = {"type": "probe", "id": f"m{k:07d}", "body": {}, "delay": delay}
        yield {**row, "unique": f"k{k:07d}"} if k % (number // keyed) == 0 else row


def timed(what, command):
    begun = time.monotonic()
    done = command()
    print(f"{what}: {time.monotonic() - begun:.2f} s")
    return done


def those_and_only_those(project):
    configure(project)
    sent = project.send(rows(ALL, "90s", 2 * SOME))
    begun = time.monotonic()
    step = ALL // (2 * SOME)
    keys = [f"k{k:07d}" for k in range(0, ALL, step)]
    by_id = sent[7::ALL // SOME]
    fate = "marked" if project.broker == "rabbitmq" else "cancelled"
    done = timed("cancel 100 of 10 000 by id", lambda: project.bide("cancel", "-", text="\n".join(by_id)))
    expect(done.stdout.split("\n")[:-1] == [f"{one} {fate}" for one in by_id], done.stdout[:300])
    for key in keys[:SOME]:
        project.bide("cancel", "--key", key)
    for key in keys[SOME:]:
        project.bide("reschedule", "--key", key, "--delay", "150s")
    expect(time.monotonic() - begun < 80, "the machine is too slow for this: what was to be moved has landed")
    worker = project.worker()
    gone = {*by_id, *(f"m{key[1:]}" for key in keys[:SOME])}
    moved = {f"m{key[1:]}" for key in keys[SOME:]}
    first = {*sent} - gone - moved
    wait_until(lambda: project.journal_count() >= len(first), 120, lambda: f"{project.status()} {worker.log_tail()}")
    expect({line["id"] for line in project.journal()} == first, "others ran")
    wait_until(lambda: project.journal_count() >= len(first | moved) and project.left() == 0, 150, project.status)
    ran = sorted(line["id"] for line in project.journal())
    expect(ran == sorted(first | moved), "others ran, or some twice")
    expect(worker.stop() == 0, worker.log_tail())
    print(f"{len(first)} ran when due, {len(moved)} when they were moved to, {len(gone)} never")


def with_many_waiting(project):
    configure(project)
    number = int(os.environ.get("BIDE_MANY", MANY.get(project.broker, 1_000_000)))
    sent = timed(f"send {number}", lambda: project.send(rows(number, "10h", SOME)))
    ids = sent[7::number // SOME]
    timed("cancel the first id", lambda: project.bide("cancel", sent[3]))
    timed("cancel 100 by id", lambda: project.bide("cancel", "-", text="\n".join(ids)))
    timed("cancel by key", lambda: project.bide("cancel", "--key", "k0000000"))
    timed("reschedule by key", lambda: project.bide("reschedule", "--key", f"k{number // SOME:07d}", "--delay", "11h"))
    timed("show by key", lambda: project.bide("show", "--key", f"k{number // SOME:07d}"))
    timed("list 20", lambda: project.bide("list", "delayed", *(() if project.broker == "rabbitmq" else ("--limit", "20"))))


main(those_and_only_those, with_many_waiting)
