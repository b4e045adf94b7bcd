#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 60
"""Schedules: one message a slot, in time; `bide cron`; SIGHUP; no clock without `schedules` (docs/schedules.md)."""

import json
import os
import signal
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.console import LocalConsole  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

BEAT = {"name": "beat", "every": "1s", "type": "journal", "body": "{}"}
NIGHTLY = {"name": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "type": "journal"}


def configure(project, *schedules, **settings):
    store = {"store": "sqlite:store.db"} if project.broker == "rabbitmq" else {}
    project.configure([project.journal_handler()], schedules=list(schedules), **store, **settings)


def slots(project, name):
    """Those that ran, in order."""
    ids = (line["id"].split("@") for line in project.journal() if "@" in line["id"])
    return sorted(int(slot) for schedule, slot in ids if schedule == name)


def cron(project, *words, **options):
    return project.bide("cron", *words, **options)


def listed(project):
    rows = (json.loads(line) for line in cron(project, "list", "--json").stdout.splitlines())
    return {row["name"]: row for row in rows}


def clocks(worker):
    return worker.named("bide-clock")


def reload(worker):
    os.kill(worker.pid, signal.SIGHUP)


def a_slot_is_a_message(project):
    configure(project, BEAT, NIGHTLY)
    expect(listed(project)["nightly"]["state"] == "new", "no worker has begun")
    worker = project.worker()
    without_a_gap = lambda ran: len(ran) >= 4 and set(ran) >= set(range(ran[0], ran[-1], 1000)) and ran  # noqa: E731
    ran = wait_until(lambda: without_a_gap(slots(project, "beat")), 60, lambda: f"four slots: {worker.log_tail()}")
    expect(ran == list(range(ran[0], ran[-1] + 1000, 1000)), f"the slots that ran: {ran}")
    for line in project.journal():
        expect(line["due_ms"] == int(line["id"].split("@")[1]) and line["lateness_us"] >= 0, f"not at its slot: {line}")
    wait_until(lambda: listed(project)["beat"]["fired"] >= 4, 60, lambda: f"{listed(project)}")  # noted after the message is sent
    rows = listed(project)
    expect(rows["beat"]["state"] == "active" and rows["beat"]["missed"] == 0, f"{rows}")
    expect(rows["nightly"]["next_ms"] % 60000 == 0 and rows["nightly"]["last_ms"] is None, f"{rows}")
    expect(worker.stop() == 0, worker.log_tail())


def operators_and_reloads(project):
    configure(project, BEAT)
    worker = project.worker()
    wait_until(lambda: listed(project)["beat"]["fired"] > 0, 60, lambda: worker.log_tail())
    cron(project, "add", "poll", "journal", "{}", "--every", "1s", "--overlap", "skip")
    cron(project, "add", "poll", "journal", "--every", "1s", expect=65)
    cron(project, "add", "bad", "journal", "--cron", "99 * * * *", expect=64)
    cron(project, "add", "bad", "journal", "--every", "1s", "--timezone", "Europe/Berlin", expect=64)
    wait_until(lambda: len(slots(project, "poll")) >= 2, 60, lambda: worker.log_tail())
    cron(project, "pause", "poll")
    expect(listed(project)["poll"]["state"] == "paused", "poll is paused")
    said = json.loads(cron(project, "run", "poll", "--json").stdout)
    identity = said.pop("id")
    expect(said == {"schedule": "poll", "result": "sent"}, f"{said}")
    wait_until(lambda: identity in {line["id"] for line in project.journal()}, 60, lambda: f"{identity}: {worker.log_tail()}")
    cron(project, "resume", "poll")
    cron(project, "remove", "beat", expect=65)
    cron(project, "remove", "poll")
    expect("poll" not in listed(project), "poll is gone")
    cron(project, "pause", "poll", expect=65)

    configure(project, {**BEAT, "every": "2s"}, NIGHTLY)
    reload(worker)
    wait_until(lambda: listed(project)["beat"]["times"] == "every 2s", 60, lambda: worker.log_tail())
    expect(listed(project)["beat"]["next_ms"] % 2000 == 0, "the next slot is one of the new definition")
    wait_until(lambda: listed(project)["nightly"]["state"] == "active", 60, lambda: worker.log_tail())
    expect(len(clocks(worker)) == 1, "one clock")
    store = {"store": "sqlite:store.db"} if project.broker == "rabbitmq" else {}
    project.configure([project.journal_handler()], **store)
    reload(worker)
    wait_until(lambda: not clocks(worker), 60, lambda: f"no schedules, no clock: {worker.log_tail()}")
    cron(project, "add", "poll", "journal", "--every", "1s", expect=78)
    expect(worker.stop() == 0, worker.log_tail())


def the_console(project):
    """`GET /schedules`, its actions, and the metrics."""
    configure(project, BEAT, {**NIGHTLY, "overlap": "skip"})
    worker = project.worker()
    console = LocalConsole(project, worker)
    console.wait_ready()

    def row(name):
        return next(row for row in console.read_json("/schedules")["schedules"] if row["name"] == name)
    wait_until(lambda: row("beat")["fired"] > 0, 60, lambda: worker.log_tail())
    expect(console.read_json("/status")["worker"]["schedules"] is True, "the page is not told that there are schedules")
    sent = json.loads(console.act("/schedules/nightly/run")[1])
    wait_until(lambda: sent["id"] in {line["id"] for line in project.journal()}, 60, lambda: f"{sent}: {worker.log_tail()}")
    console.act("/schedules/nightly/pause")
    expect(row("nightly")["state"] == "paused", f"{row('nightly')}")
    for line in ('bide_schedule_paused{schedule="nightly"} 1', 'bide_schedule_overdue_seconds{schedule="beat"} 0',
                 'bide_schedule_last_seconds{schedule="nightly"} 0', 'bide_schedule_missed_total{schedule="beat"} 0'):
        wait_until(lambda: line in console.metrics_text(), 60, lambda: f"the metrics lack {line}: {console.metrics_text()}")
    console.act("/schedules/nightly/resume")
    expect(row("nightly")["state"] == "active", f"{row('nightly')}")
    for path, status in (("/schedules/nosuch/pause", 404), ("/schedules/nosuch/run", 404)):
        have = console.act(path)[0]
        expect(have == status, f"{path}: {have}, not {status}")
    expect(worker.stop() == 0, worker.log_tail())


def a_store_is_needed(project):
    if project.broker != "rabbitmq":
        return
    project.configure([project.journal_handler()], schedules=[BEAT])
    for command in (("worker", "--no-wait"), ("check",), ("cron", "list")):
        said = project.bide(*command, expect=78)
        expect("`schedules` needs a store" in said.stdout + said.stderr, f"{command}: {said.stdout}{said.stderr}")


def check_says_who_runs_them(project):
    """`bide check`: when each fires next, and whether anybody here runs its messages."""
    if project.broker != "sqlite":
        return
    configure(project, BEAT, NIGHTLY, {**BEAT, "name": "untaken", "queue": "elsewhere"}, {**BEAT, "name": "unknown", "type": "nosuch"})
    found = [json.loads(line) for line in project.bide("check", "--json").stdout.splitlines()]
    warned = {row["subject"]: row["text"] for row in found if row["severity"] == "warning" and row["subject"].startswith("schedule")}
    expect(warned == {"schedule untaken": "its queue is not in `queues`",
                      "schedule unknown": "no handler of this configuration runs its type"}, f"{warned}")
    nightly = next(row["text"] for row in found if row["subject"] == "schedule nightly")
    expect(nightly.startswith("30 2 * * * Europe/Berlin, next ") and nightly.endswith(":30:00.000Z, type journal, queue default"), nightly)


main(a_slot_is_a_message, operators_and_reloads, the_console, a_store_is_needed, check_says_who_runs_them)
