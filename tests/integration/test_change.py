#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 150
"""`bide list`, `show`, `cancel` and `reschedule`: of ten thousand delayed messages a hundred, those and only those; beside
workers, each message runs or is cancelled."""

import json
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.project import BUILD  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

MANY, SOME = 10_000, 100


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def refused(project):
    """RabbitMQ cannot search its queues, and says so; it can tell how many wait on each rung."""
    project.configure()
    project.send({"type": "probe", "id": f"m{k}", "body": {}, "delay": "1h"} for k in range(7))
    done = project.bide("cancel", "m1", expect=78)
    expect("cancelling by id needs a store" in done.stderr, done.stderr)
    for command in (("list", "ready"), ("reschedule", "m1", "--delay", "1s"), ("list",), ("cancel", "--all", "--type", "probe")):
        done = project.bide(*command, expect=78)
        expect("cannot search" in done.stderr, done.stderr)
    done = project.bide("show", "m1", expect=65)
    expect("nobody can tell" in done.stderr, done.stderr)
    wait_until(lambda: sum(row["messages"] for row in lines(project.bide("list", "delayed", "--json").stdout)) == 7, 60, project.status)
    expect("HELD IN" in project.bide("list", "delayed").stdout, "no table of rungs")


def marked(project):
    """RabbitMQ: a worker drops what has a mark when it lands, frees its key, and nothing else."""
    if project.broker != "rabbitmq":
        return
    number, some = 1000, 20
    rows = [{"type": "probe", "id": f"d{k:04d}", "body": {}, "delay": "5s"} for k in range(number)]
    rows[0]["unique"] = "key"
    project.configure(store="sqlite:store.db")
    sent = project.send(rows)
    wanted = sent[:: number // some]
    done = project.bide("cancel", "-", "nobody", text="\n".join(wanted))
    expect(done.stdout.split("\n")[:-1] == [f"{one} marked" for one in [*wanted, "nobody"]], done.stdout[:500])
    again = project.send([{"type": "probe", "id": wanted[1], "body": {"fail": 0}, "delay": "5s"}])  # sent after the command
    expect("no worker has met" in project.bide("show", wanted[0], expect=65).stderr, "show, before it lands")
    worker = project.worker()
    ran = sorted({*sent} - {*wanted} | {*again})
    wait_until(lambda: project.journal_count() >= len(ran) and project.left() == 0, 60, lambda: f"{project.status()} {worker.log_tail()}")
    expect(sorted(line["id"] for line in project.journal()) == ran, "others ran")
    wait_until(lambda: "has met it" in project.bide("show", wanted[0], expect=65).stderr, 60, "show, after it landed")
    wait_until(lambda: project.send([rows[0] | {"id": "next"}]) == ["next"], 60, "the key of what was cancelled is taken")
    expect(worker.stop() == 0, worker.log_tail())


def those_and_only_those(project):
    if project.broker == "rabbitmq":
        refused(project)
        return
    project.configure()
    project.send({"type": "probe", "id": f"m{k:05d}", "body": {}, "delay": "1h"} for k in range(MANY))
    cancelled = [f"m{k:05d}" for k in range(7, MANY, MANY // SOME)]
    moved = [f"m{k:05d}" for k in range(11, MANY, MANY // SOME)]
    done = project.bide("cancel", "-", "--json", text="\n".join(cancelled))
    expect(lines(done.stdout) == [{"id": one, "result": "cancelled"} for one in cancelled], done.stdout[:500])
    worker = project.worker()
    wait_until(lambda: "worker started" in worker.log_text(), 60, worker.log_tail)
    done = project.bide("reschedule", *moved, "--delay", "0s")
    expect(done.stdout.split("\n")[:-1] == [f"{one} rescheduled" for one in moved], done.stdout[:500])
    wait_until(lambda: project.journal_count() == SOME and project.queue("default")["in_flight"] == 0, 60, worker.log_tail)
    expect(worker.stop() == 0, worker.log_tail())
    expect(sorted(line["id"] for line in project.journal()) == moved, "others ran")
    listed = lines(project.bide("list", "delayed", "--json", "--type", "probe").stdout)
    left = sorted(set(f"m{k:05d}" for k in range(MANY)) - set(cancelled) - set(moved))
    expect(sorted(row["id"] for row in listed) == left, f"{len(listed)} are listed, {len(left)} should be left")
    done = project.bide("cancel", cancelled[0], moved[0], expect=65)
    expect(done.stdout == f"{cancelled[0]} unknown\n{moved[0]} unknown\n", done.stdout)
    expect(project.queue("default")["cancelled"] == SOME, project.status())
    done = project.bide("cancel", "--all", "--type", "probe", "--json")
    expect(json.loads(done.stdout) == {"cancelled": len(left), "running": 0}, done.stdout)
    expect(project.left() == 0, project.status())


def beside_workers(project):
    """Two workers run what a command cancels at the same time: each message is done or cancelled, and the answers say
    which."""
    if project.broker == "rabbitmq":
        return
    number = 3000
    project.configure(handlers=[project.probe(), project.probe(type="other")])
    workers = [project.worker(), project.worker()]
    for worker in workers:
        wait_until(lambda worker=worker: "worker started" in worker.log_text(), 60, worker.log_tail)
    rows = [{"type": "probe", "id": f"b{k:04d}", "body": {"sleep_ms": 1}, "delay": f"{k % 3}s"} for k in range(number)]
    ids = [row["id"] for row in rows]
    sender = subprocess.Popen(
        [BUILD / "bide", "send", "--lines"], cwd=project.dir, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    sender.stdin.write("".join(f"{line}\n" for line in map(json.dumps, rows)))
    sender.stdin.close()
    expect(sender.wait(60) == 0, "send --lines failed")
    said = lines(project.bide("cancel", "-", "--json", text="\n".join(ids), expect=None).stdout)
    expect([row["id"] for row in said] == ids, "one line an id, in the order given")
    cancelled = {row["id"] for row in said if row["result"] == "cancelled"}
    wait_until(lambda: project.left() == 0, 60, lambda: project.status())
    for worker in workers:
        expect(worker.stop() == 0, worker.log_tail())
    runs = [line["id"] for line in project.journal() if line["outcome"] == "done"]
    print(f"{len(runs)} ran, {len(cancelled)} were cancelled")
    expect(len(runs) == len(set(runs)), "some ran twice")
    expect(not cancelled & set(runs), f"cancelled, and ran: {sorted(cancelled & set(runs))[:5]}")
    expect(cancelled | set(runs) == set(ids), f"neither: {sorted(set(ids) - cancelled - set(runs))[:5]}")
    expect(project.queue("default")["cancelled"] == len(cancelled), project.status())


def usage(project):
    """What cannot be meant is refused before anything is done."""
    project.configure()
    for arguments in (
        ("cancel",), ("cancel", "--all"), ("cancel", "--type", "probe"), ("cancel", "m1", "--all", "--type", "probe"),
        ("reschedule", "m1"), ("reschedule", "m1", "--delay", "1s", "--at", "2030-01-01T00:00:00Z"), ("list", "dead"),
    ):
        project.bide(*arguments, expect=64)
    project.bide("cancel", "x" * 300, expect=65)
    expect(project.bide("cancel", "-", text="").stdout == "", "nothing is given, nothing is done")


main(those_and_only_those, marked, beside_workers, usage)
