#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named
# seconds: 600
"""A stream of 100 000 members while workers are killed (docs/streams.md): `--wait` returns when each is done or dead, not before, with
the right counts and exit code. BIDE_COUNT: how many members; BIDE_KILLS: how many kills."""

import json
import os
import subprocess
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.process import die_with_parent  # noqa: E402
from bidetest.project import BUILD  # noqa: E402
from bidetest.streams import LINES, Streams  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

COUNT, KILLS, EACH = int(os.environ.get("BIDE_COUNT", 100000)), int(os.environ.get("BIDE_KILLS", 12)), 500


def body(number):
    """One in EACH is told to be dead, as many fail once."""
    return {"dead": True} if number % EACH == 7 else {"fail": 1} if number % EACH == 9 else {}


def a_hundred_thousand_members(project):
    streams = Streams(project, worker={"prefetch": 200})
    path = streams.file(body(number) for number in range(COUNT))
    victims = [project.worker() for _ in range(2)]
    began = time.monotonic()
    with open(project.dir / "wait.log", "wb") as log:
        command = [BUILD / "bide", "stream", "send", *streams.to, "--type", LINES, "--wait", "--json", path]
        waiting = subprocess.Popen([*map(str, command)], cwd=project.dir, stdout=subprocess.PIPE, stderr=log, text=True,
                                   preexec_fn=die_with_parent)
    for kill in range(KILLS):
        goal = streams.copies * COUNT * (kill + 1) // (KILLS + 2)
        wait_until(lambda: project.journal_count() >= goal or waiting.poll() is not None, 300, f"{goal} lines in the journal")
        expect(waiting.poll() is None, f"--wait returned after {project.journal_count()} runs")
        victims[kill % 2].kill()
        victims[kill % 2] = project.worker()
    said, _ = waiting.communicate(timeout=300)
    took = time.monotonic() - began
    done = {(line["id"], line["queue"]) for line in project.journal() if line["outcome"] == "done"}
    dead = sum(body(number).get("dead", False) for number in range(COUNT))
    expect(waiting.returncode == 1, f"exit {waiting.returncode}")
    parts = json.loads(said)["queues"]
    expect(len(parts) == streams.copies, parts)
    for part in parts:
        expect((part["total"], part["done"], part["dead"], part["dropped"]) == (COUNT, COUNT - dead, dead, 0), parts)
        ran = sum(queue == part["queue"] for _, queue in done)
        expect(ran == COUNT - dead, f"{ran} of {COUNT - dead} had run in {part['queue']} when --wait returned")
    def letters():  # RabbitMQ may have two of one, after a kill
        return {(row["id"], row["queue"]) for row in project.dead()}
    wait_until(lambda: len(letters()) == dead * streams.copies, 60, lambda: f"{len(letters())} dead letters")
    runs = sum(line["outcome"] == "done" for line in project.journal())
    print(f"{COUNT} members, {streams.copies} queues, {KILLS} kills: {took:.1f} s, {runs - len(done)} ran twice")
    for worker in victims:
        expect(worker.stop() == 0, worker.log_tail())


main(a_hundred_thousand_members)
