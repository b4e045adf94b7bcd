#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: dev
# seconds: 150
"""Streams with an end (docs/streams.md): `--wait`, counts, exit codes, end messages, the deadline, cancelling; and SIGKILL at each
step that is a stream's own. test_streams_long.py has a hundred thousand members."""

import json
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
os.environ["BIDE_BUILD"] = os.environ.get("BIDE_KILL_BUILD", str(ROOT / "build" / "dev"))
sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.streams import LINES, Streams  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402


def a_stream_ends_when_each_member_is_done_or_dead(project):
    """Retries, dead letters, several files, an empty one; the exit code says whether all are done."""
    streams = Streams(project)
    worker = project.worker()
    bodies = [{"fail": 1}, {"dead": True}, {"fail": 9}, *({} for _ in range(97))]
    rows, status = streams.wait(bodies, [{}] * 50, [])
    expect(status == 1, f"exit {status}")
    for row, total, dead in zip(rows, (100, 50, 0), (2, 0, 0)):
        expect(row["state"] == "complete", row)
        for part in row["queues"]:
            expect((part["total"], part["done"], part["dead"], part["dropped"]) == (total, total - dead, dead, 0), row)
    done = project.bide("stream", "send", "--queue", "geo@logs", "--type", LINES, "--wait", "--json", text="{}\n{}")
    expect(json.loads(done.stdout)["queues"][0]["done"] == 2, done.stdout)
    wait_until(lambda: len(streams.ends()) == 3 * streams.copies, 60, lambda: f"{streams.ends()}")
    told = sorted((end["queue"], end["state"], end["total"], end["done"], end["dead"]) for end in streams.ends())
    wanted = [(queue, "complete", total, total - dead, dead) for queue in ("errors@logs", "geo@logs") for total, dead in ((0, 0), (50, 0), (100, 2))]
    expect(told == wanted, told)
    expect(len(project.dead()) == 2 * streams.copies, project.dead())
    expect(worker.stop() == 0, worker.log_tail())


def a_stream_that_does_not_end_fails_at_its_deadline(project):
    streams = Streams(project)
    worker = project.worker()
    done = streams.send([{"until": "go"}], options=("--wait", "--deadline", "300ms"), expect_exit=69)
    expect("deadline" in done.stderr and '"failed"' in done.stdout, done)
    wait_until(lambda: streams.ends(), 60, lambda: worker.log_tail())
    end = streams.ends()[0]
    expect((end["state"], end["total"], end["done"]) == ("failed", 1, 0), end)
    project.release()
    expect(worker.stop() == 0, worker.log_tail())


def a_cancelled_stream_does_not_run(project):
    streams = Streams(project)
    identity = streams.send([{}] * 200).stdout.split()[0]
    other = streams.send([{}] * 20).stdout.split()[0]
    project.bide("stream", "cancel", identity)
    worker = project.worker()
    wait_until(lambda: streams.show(identity)["state"] == "cancelled", 60, lambda: f"{streams.show(identity)}")
    wait_until(lambda: streams.show(other)["state"] == "complete", 60, lambda: f"{streams.show(other)}")
    expect({part["dropped"] for part in streams.show(identity)["queues"]} == {200}, streams.show(identity))
    expect(len(project.journal()) == 20 * streams.copies, f"{len(project.journal())} ran")
    expect([row["stream"] for row in streams.list()] == sorted((identity, other)), streams.list())
    project.bide("stream", "cancel", "stream-00000000-0000-7000-8000-000000000000", expect=65)
    expect(worker.stop() == 0, worker.log_tail())


def a_stream_needs_a_store(project):
    """RabbitMQ cannot be one."""
    if project.broker != "rabbitmq":
        return
    streams = Streams(project, store={})
    done = project.bide("stream", "send", *streams.to, "--type", LINES, text="{}\n", expect=78)
    expect("store" in done.stderr, done.stderr)


def points(command):
    """Those that a stream adds: tests/fault/test_kill_points.py has the others."""
    found = set()
    for path in (ROOT / "framework").rglob("*.c"):
        found |= set(re.findall(rf'BIDE_KILL_POINT\("({command}/stream-[^"]+)"\)', path.read_text()))
    expect(found, f"no points of {command}")
    return sorted(found)


def a_worker_is_killed(project):
    """At each step of a member's end, also of the one that completes the stream: the counts are right, and the end is told."""
    streams = Streams(project)
    bodies = [{"dead": True}, *({} for _ in range(19))]
    for name in points("worker"):
        for passage in (2, 20 * streams.copies):  # the last: the member that completes the second set
            reached = project.dir / f"reached-{name.replace('/', '-')}-{passage}"
            worker = project.worker(env={"BIDE_KILL_AT": f"{name}:{passage}:{reached}"})
            before = len(streams.ends())
            rows, status = streams.wait(bodies)
            expect(reached.exists(), f"{name} was not reached {passage} times: {worker.log_tail()}")
            counts = [(part["done"], part["dead"], part["dropped"]) for part in rows[0]["queues"]]
            expect(status == 1 and counts == [(19, 1, 0)] * streams.copies, f"{name}, {passage}: {rows}")
            wait_until(lambda: len(streams.ends()) == before + streams.copies, 60, lambda: f"{name}, {passage}: no end; {worker.log_tail()}")
            wait_until(lambda: project.left() == streams.deadlines, 60, lambda: f"{project.status()}")
            expect(worker.stop() == 0, worker.log_tail())
    totals = {(end["total"], end["done"], end["dead"]) for end in streams.ends()}
    expect(totals == {(20, 19, 1)}, totals)


def a_sender_is_killed(project):
    """Its stream fails at the deadline; what it has sent runs."""
    streams = Streams(project)
    worker = project.worker()
    for name in points("send"):
        reached = project.dir / f"reached-{name.replace('/', '-')}"
        options = ("--deadline", "800ms")
        streams.send([{}] * 20, options=options, expect_exit=-9, env={"BIDE_KILL_AT": f"{name}:1:{reached}"})
        wait_until(lambda: len(streams.ends()) == streams.copies and len(project.journal()) == 19 * streams.copies, 60, lambda: worker.log_tail())
        expect(all(end["state"] == "failed" and end["done"] < 20 for end in streams.ends()), streams.ends())
        counts = lambda: [(part["total"], part["done"]) for part in streams.list()[-1]["queues"]]  # noqa: E731
        wait_until(lambda: counts() == [(20, 19)] * streams.copies, 60, lambda: f"{streams.list()[-1]}")
        expect(streams.list()[-1]["state"] == "failed", streams.list()[-1])
    expect(worker.stop() == 0, worker.log_tail())


main(
    a_stream_ends_when_each_member_is_done_or_dead,
    a_stream_that_does_not_end_fails_at_its_deadline,
    a_cancelled_stream_does_not_run,
    a_stream_needs_a_store,
    a_worker_is_killed,
    a_sender_is_killed,
)
