#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 180
"""Limits across workers hold in any time, on every broker, and a place comes back from a worker that was killed
(docs/limits.md). test_limits_long.py has the figures."""

import json
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.console import LocalConsole  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest import too_much  # noqa: E402
from bidetest.limiting import configure, most_at_once, rate_holds, store_of, wait_for  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

RATE, COUNT = 50, 100
PLACES, RUNS, TOOK_MS = 3, 9, 100
EXPIRES_S = 4
# Redis: a session lasts 3 s, and after a silence of the server nobody is declared dead for 4 s; SQLite: at once. What starts
# on a busy machine, and who was told to come back a little later, take some time.
SESSION_S = 30


def a_rate_holds_without_a_key(project):
    rate_holds(project, RATE, COUNT)


def a_rate_holds_by_key(project):
    rate_holds(project, RATE, COUNT, "header:T")


def no_more_at_once_than_places_and_a_killed_worker_leaves_its_own(project):
    """What one worker runs when it is killed holds all places; two others get them within the time of a session. (What it
    ran has expired when it is handed out again, so that it does not hold them once more.)"""
    limit = {"name": "api", "concurrency": PLACES}
    configure(project, (limit,), project.probe(limited_by="api"))
    holders = [{"type": "probe", "id": f"hold{number}", "body": {"hang": True}, "expires": f"{EXPIRES_S}s"} for number in range(PLACES)]
    killed = project.worker()
    wait_until(lambda: "worker started" in killed.log_text(), 60, killed.log_tail)
    project.send(holders)
    began = time.monotonic()
    wait_until(lambda: project.journal_count() >= PLACES, 60, "not all places were taken")
    sent = project.send([{"type": "probe", "id": f"go{number}", "body": {"sleep_ms": TOOK_MS}} for number in range(RUNS)])
    time.sleep(max(0.0, EXPIRES_S + 0.1 - (time.monotonic() - began)))
    expect(project.journal_count() == PLACES, "one more ran than there are places")
    killed.kill()
    killed_us = time.time() * 1e6
    workers = [project.worker(), project.worker()]
    ran = lambda: [line for line in project.journal() if line["id"] in set(sent)]  # noqa: E731
    wait_until(lambda: {line["id"] for line in ran()} == set(sent), 60, lambda: f"{len(ran())} of {RUNS} ran")
    journal = ran()  # a copy may run, too, of what the killed worker was just giving back (RabbitMQ)
    first_s = (min(line["started_us"] for line in journal) - killed_us) / 1e6
    print(f"  {PLACES} places; the first run {first_s:.1f} s after the kill, at most {most_at_once(journal, TOOK_MS)} at once")
    expect(most_at_once(journal, TOOK_MS) <= PLACES, "more at once than there are places")
    expect(first_s < SESSION_S, f"the places were free only after {first_s:.1f} s")
    for worker in workers:
        worker.stop()


def operators_look_at_them_and_set_them(project):
    """`bide limits`, its twins by HTTP, the metrics; and who is told "too much"."""
    if project.broker != "sqlite":
        return
    # Half a minute to the next run: on a slow machine all of this is seen before.
    limit = {"name": "api", "rate": "2/1m", "key": "json:/tenant"}
    configure(project, (limit,), project.journal_handler(limited_by="api"))
    look = lambda: [json.loads(line) for line in project.bide("limits", "--json").stdout.splitlines()]  # noqa: E731
    expect(look() == [{"limit": "api", "key": "", "rate": "2/1m", "concurrency": None, "in_use": None, "waiting": 0,
                       "wait_ms": 0, "set": False}], f"nothing ran: {look()}")
    project.send([{"type": "journal", "body": {"tenant": "ann"}} for _ in range(4)])
    worker = project.worker()
    console = LocalConsole(project, worker)
    console.wait_ready()
    wait_until(lambda: look()[0]["waiting"] == 3, 60, lambda: f"{look()}")
    row = look()[0]
    expect(row["key"] == "ann" and 90000 < row["wait_ms"] <= 120100, f"{row}")
    wait_until(lambda: project.journal_count() == 1, 60, worker.log_tail)
    listed = console.read_json("/limits")["limits"]
    expect(listed[0]["key"] == "ann" and listed[0]["waiting"] == row["waiting"], f"{listed}")
    allowed = lambda: 'bide_limit_allowed_total{limit="api"} 1' in console.metrics_text()  # noqa: E731
    wait_until(allowed, 60, "the metrics do not count the run")
    moved = lambda: 'bide_limit_moved_total{limit="api"} 3' in console.metrics_text()  # noqa: E731
    wait_until(moved, 60, "the metrics do not count what moved")
    project.bide("limits", "set", "api", "--rate", "100/1s")
    expect(look() == [{**row, "key": "", "rate": "100/1s", "waiting": 0, "wait_ms": 0, "set": True}] or look()[0]["set"], f"{look()}")
    more = project.send([{"type": "journal", "id": f"new{number}", "body": {"tenant": "ann"}} for number in range(10)])
    wait_until(lambda: len({line["id"] for line in project.journal()} & set(more)) == len(more), 60, "what was set does not hold")
    for query in ("rates=1/1s", "rate", "rate=1/1s&rate=2/1s", "rate=1/0s", "concurrency=0"):
        expect(console.post(f"/limits/api?{query}", {})[0] == 400 and look()[0]["set"], f"{query}: it is not refused")
    console.post("/limits/api", {})
    expect(not look()[0]["set"] and look()[0]["rate"] == "2/1m", f"{look()}")
    for arguments, code in ((("nope", "--rate", "1/1s"), 65), (("api", "--concurrency", "3"), 65), (("api",), 64), (("api", "--rate", "x"), 64)):
        project.bide("limits", "set", *arguments, expect=code)
    expect(worker.stop() == 0, worker.log_tail())


def check_says_who_shares_a_queue(project):
    """`bide check`: a limit without a key wants a queue of its own; one with a key does not mind."""
    if project.broker != "sqlite":
        return
    limits = [{"name": "api", "rate": "100/1m"}, {"name": "keyed", "rate": "5/1s", "key": "type"}]
    rows = [project.probe(type="a", limited_by="api"), project.probe(type="b", limited_by="keyed")]
    said = lambda: [row["text"] for row in map(json.loads, project.bide("check", "--json").stdout.splitlines())  # noqa: E731
                    if row["severity"] == "warning" and "limit without a key" in row["text"]]
    project.configure(rows, limits=limits)
    expect(len(said()) == 1 and "shares queue default with b" in said()[0], f"{said()}")
    project.configure([{**rows[0], "queue": "api"}, rows[1]], limits=limits, queues=[{"name": "default"}, {"name": "api"}])
    expect(said() == [], f"{said()}")


def who_is_told_too_much_waits_with_all_others(project):
    """A webhook by Retry-After, programs by their SDKs: the tenant's messages of all three handlers and of both workers wait, those
    of another tenant do not, and no attempt is burnt."""
    kinds = ("hook", "python", "node")
    target = too_much.Target()
    project.configure(too_much.handlers(target), programs=too_much.programs(project),
                      limits=[{"name": "api", "rate": "100/1s", "key": "header:T"}], **store_of(project))
    send = lambda tenant, type, id: {"type": type, "id": id, "headers": {"T": tenant}}  # noqa: E731
    runs = lambda prefix="": [line for line in too_much.runs(project, target) if line["id"].startswith(prefix)]  # noqa: E731
    workers = [project.worker(), project.worker()]
    project.send(send("nobody", kind, f"warm-{kind}-{number}") for kind in kinds for number in range(8))  # all processes run
    wait_until(lambda: len(runs("warm")) >= 24, 60, lambda: f"{runs()} {workers[0].log_tail()}")
    project.send(send(kind, kind, f"told-{kind}") for kind in kinds)
    wait_until(lambda: len(runs("told")) >= 3, 60, lambda: f"{runs()} {workers[0].log_tail()}")
    seen, began = set(), time.monotonic()
    while not seen >= set(kinds) and time.monotonic() - began < too_much.WAIT_S:  # what comes now has no permit yet
        rows = map(json.loads, project.bide("limits", "--json").stdout.splitlines())
        seen |= {row["key"] for row in rows if row["wait_ms"] > 500}
    told = {kind: runs(f"told-{kind}")[0]["started_s"] for kind in kinds}
    project.send(send(tenant, kind, f"{tenant}-{kind}") for tenant in (*kinds, "free") for kind in kinds)
    wait_until(lambda: len(runs("free")) == 3, 60, lambda: f"the other tenant waits, too: {runs()}")
    wait_until(lambda: len(runs()) >= 24 + 6 + 12, 60, lambda: f"{runs()} {workers[0].log_tail()}")
    for kind in kinds:
        first, again = runs(f"told-{kind}")
        expect((first["attempt"], again["attempt"]) == (1, 1), f"an attempt is burnt: {first} {again}")
        for line in (again, *runs(f"{kind}-")):
            expect(line["started_s"] - told[kind] >= too_much.WAIT_S, f"{line} ran {line['started_s'] - told[kind]:.2f} s after {first}")
    free_s = max(line["started_s"] for line in runs("free")) - min(told.values())
    print(f"  the other tenant's ran {free_s:.1f} s after the first 429, the tenants' that were told after {too_much.WAIT_S} s")
    for worker in workers:
        expect(worker.stop() == 0, worker.log_tail())


main(
    a_rate_holds_without_a_key,
    a_rate_holds_by_key,
    no_more_at_once_than_places_and_a_killed_worker_leaves_its_own,
    operators_look_at_them_and_set_them,
    check_says_who_shares_a_queue,
    who_is_told_too_much_waits_with_all_others,
)
