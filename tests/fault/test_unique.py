#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: dev
# seconds: 180
"""Unique keys (docs/unique.md): many senders, pushing, triggers meanwhile, dead letters; SIGKILL at each step of a sender and a
worker that a key adds."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
os.environ["BIDE_BUILD"] = os.environ.get("BIDE_KILL_BUILD", str(ROOT / "build" / "dev"))
sys.path.insert(0, str(ROOT / "tests" / "integration" / "lib"))
from bidetest.console import LocalConsole  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.process import die_with_parent  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

SENDERS, KEYS, PUSHES = 8, 25, 300
SENDER_STEPS = ("send/begin", "send/confirmed", "send/key-reserved", "send/key-confirmed")
WORKER_STEPS = ("worker/key-runs", "worker/key-ran", "worker/key-freed")


def configure(project, **settings):
    if project.broker == "rabbitmq":
        settings["store"] = "sqlite:store.db"
    project.configure(**settings)


def have_run(project, wanted):
    """All these ids have run, and nothing is left (what a worker of RabbitMQ has in hand, the broker does not show)."""
    return set(wanted) <= {line["id"] for line in project.journal()} and project.left() == 0


def run_all(project, wanted):
    """A worker until all these ids have run; the lines of the journal."""
    worker = project.worker()
    wait_until(lambda: have_run(project, wanted), 60, lambda: f"{wanted} ran: {project.status()} {worker.log_tail()}")
    expect(worker.stop() == 0, worker.log_tail())
    return project.journal()


def start(project, name, rows):
    """`send --lines` in the background; its output goes to files."""
    with open(project.dir / f"{name}.in", "w+", encoding="utf-8") as text:
        text.writelines(f"{json.dumps(row)}\n" for row in rows)
        text.seek(0)
        with open(project.dir / f"{name}.out", "w", encoding="utf-8") as out, open(project.dir / f"{name}.err", "w", encoding="utf-8") as err:
            return subprocess.Popen([Path(os.environ["BIDE_BUILD"]) / "bide", "send", "--lines"], cwd=project.dir, stdin=text,
                                    stdout=out, stderr=err, preexec_fn=die_with_parent)


def many_senders_one_message(project):
    """Eight at once with the same keys: each key has one message, and all are told its id."""
    configure(project)
    rows = [{"type": "probe", "unique": f"key {number}", "body": {}} for number in range(KEYS)]
    senders = [start(project, f"sender-{number}", rows) for number in range(SENDERS)]
    for sender in senders:
        expect(sender.wait(60) == 0, f"a sender ended with {sender.returncode}")
    answers = [(project.dir / f"sender-{number}.out").read_text(encoding="utf-8").split() for number in range(SENDERS)]
    expect(all(len(ids) == KEYS for ids in answers), "an answer is missing")
    for number in range(KEYS):
        expect(len({ids[number] for ids in answers}) == 1, f"key {number} has several messages")
    ran = [line["id"] for line in run_all(project, answers[0])]
    expect(sorted(ran) == sorted(answers[0]), f"{len(ran)} runs of {KEYS} messages")
    again = project.send(rows[:1])
    expect(again != answers[0][:1], "the key is still taken by a message that is done")


def many_pushes_one_run(project):
    """Debounce: one run, of the latest, and not before it is due; max_wait ends the pushing."""
    configure(project)
    push = {"type": "probe", "unique": "report", "on_conflict": "replace", "delay": "30s"}
    sent = project.send({**push, "body": "x" * number} for number in range(1, PUSHES + 1))
    expect(len(set(sent)) == PUSHES, "a replacement is a message of its own")
    last = project.send([{**push, "body": "y" * 2000, "delay": "2s"}])
    bounded = project.send([{**push, "unique": "bounded", "max_wait": "2s", "delay": f"{delay}s"} for delay in (1, 60, 90)])
    worker = project.worker()
    wait_until(lambda: len(project.journal()) == 2, 60, lambda: f"two have run: {project.journal()} {worker.log_tail()}")
    done = {line["id"]: line for line in project.journal()}
    expect(set(done) == {last[0], bounded[-1]}, f"not the latest ran: {done}")
    expect(done[last[0]]["body_bytes"] == 2000, f"not the latest body: {done}")
    expect(all(line["lateness_us"] >= 0 for line in done.values()), f"early: {done}")
    expect(worker.stop() == 0, worker.log_tail())


def what_was_replaced_never_runs(project):
    """The copies lie in the broker until they are due; each is acknowledged then."""
    configure(project)
    push = {"type": "probe", "unique": "k", "on_conflict": "replace", "body": {}}
    project.send({**push, "delay": f"{delay}ms"} for delay in range(500, 520))
    last = project.send([{**push, "delay": "1s"}, {**push, "delay": "100ms"}])[-1]
    expect([line["id"] for line in run_all(project, [last])] == [last], f"{project.journal()}")


def extending_keeps_the_message(project):
    configure(project)
    first = project.send([{"type": "probe", "unique": "k", "delay": "500ms", "body": {}}])
    begun = time.time()
    second = project.bide("send", "probe", "--unique", "k", "--on-conflict", "extend", "--delay", "3s")
    expect(second.stdout.split() == first and "duplicate" in second.stderr, f"{second}")
    lines = run_all(project, first)
    expect([line["id"] for line in lines] == first, f"{lines}")
    expect(lines[0]["started_us"] / 1e6 - begun >= 2.99, f"it was not moved: {lines}")


def a_trigger_meanwhile_is_one_more_run(project):
    configure(project)
    first = project.send([{"type": "probe", "unique": "k", "body": {"until": "go"}}])
    worker = project.worker()
    console = LocalConsole(project, worker)
    wait_until(lambda: console.is_ready() and console.handler("probe")["running"] == 1, 60, "it runs")
    trigger = {"type": "probe", "unique": "k", "on_conflict": "replace", "delay": "3s", "body": {}}  # longer than a worker takes it early
    more = project.send([trigger] * 3)
    project.release()
    wait_until(lambda: have_run(project, [first[0], more[-1]]), 60, lambda: f"both ran: {project.status()}")
    expect([line["id"] for line in project.journal()] == [first[0], more[-1]], f"{project.journal()}")
    expect(worker.stop() == 0, worker.log_tail())


def cancelled_and_moved_by_key(project):
    configure(project)
    row, first = {"type": "probe", "body": {}}, time.time()
    ids = dict(zip("abc", project.send({**row, "unique": key, "delay": "6s" if key == "c" else "2s"} for key in "abc")))
    earlier = project.bide("reschedule", "--key", "c", "--delay", "0s", expect=78 if project.broker == "rabbitmq" else 0)
    expect(("replace" in earlier.stderr) == (project.broker == "rabbitmq"), f"{earlier}")
    expect(project.bide("cancel", "--key", "a").stdout.split() == [ids["a"], "cancelled"], "cancel")
    expect(project.bide("reschedule", "--key", "b", "--delay", "4s").stdout.split() == [ids["b"], "rescheduled"], "reschedule")
    expect(project.bide("cancel", "--key", "nobody", expect=65).stdout.split() == ["nobody", "unknown"], "of no key")
    again = project.send([{**row, "unique": "a", "delay": "500ms"}])
    ran = {line["id"]: line["started_us"] / 1e6 - first for line in run_all(project, [ids["b"], ids["c"], *again])}
    expect(set(ran) == {ids["b"], ids["c"], again[0]}, f"{ran} of {ids} and {again}")
    expect(ran[ids["b"]] > 4, f"it was not moved: {ran}")


def a_dead_letter_frees_its_key(project):
    configure(project)
    dead = project.send([{"type": "probe", "unique": "k", "body": {"dead": True}}, {"type": "nobody", "unique": "n", "body": {}}])
    project.work_until(lambda: sorted(row["id"] for row in project.dead()) == sorted(dead) and project.left() == 0)
    later = project.send([{"type": "probe", "unique": key, "delay": "1h", "body": {}} for key in ("k", "n")])
    expect(not set(later) & set(dead), "the key of a dead letter is taken")


def a_retried_letter_takes_its_key_again(project):
    """Or stays dead where another message has the key; other letters are not concerned."""
    configure(project)
    push = {"type": "probe", "unique": "pushed", "on_conflict": "replace", "body": {"dead": True}}
    sent = project.send([{"type": "probe", "unique": "k", "body": {"dead": True}}, {"type": "probe", "unique": "n", "body": {"dead": True}},
                         {"type": "probe", "body": {"dead": True}}, {**push, "delay": "1h"}, push])
    dead = [*sent[:3], sent[4]]
    project.work_until(lambda: sorted(row["id"] for row in project.dead()) == sorted(dead))
    waits = {"type": "probe", "delay": "1h", "body": {}}
    holder = project.send([{**waits, "unique": "k"}, {**waits, "unique": "pushed"}])
    done = project.bide("dead", "retry", "--all", "--spread", "1s", "--json", expect=65)
    expect(json.loads(done.stdout) == {"retried": 2}, f"{done}")
    expect(f"'{sent[0]}' stays: its unique key 'k' is held by '{holder[0]}'" in done.stderr, f"{done}")
    expect(sorted(row["id"] for row in project.dead()) == sorted([sent[0], sent[4]]), f"{project.dead()}")
    expect(project.send([{**waits, "unique": "n"}]) == [sent[1]], "its key is not taken")
    expect(json.loads(project.bide("show", "--key", "n", "--json").stdout)["id"] == sent[1], "show --key")
    project.bide("cancel", "--key", "pushed")
    project.bide("dead", "retry", sent[4])
    expect(project.send([{**waits, "unique": "pushed"}]) == [sent[4]], "the letter has no key")
    project.work_until(lambda: sorted(row["id"] for row in project.dead()) == sorted(dead))
    free = project.send([{**waits, "unique": key} for key in ("n", "pushed")])
    expect(not set(free) & set(sent), "a letter that died again keeps its key")


def cancelling_frees_the_key(project):
    """By id, by type, by HTTP; also one that --unique-for holds, and one that has replaced others."""
    if project.broker == "rabbitmq":
        return
    configure(project, handlers=[project.probe(), project.probe(type="other")])
    row = {"type": "probe", "delay": "1h", "body": {}}
    rows = [{**row, "unique": "a"}, {**row, "unique": "b", "unique_for": "2h"}, {**row, "unique": "c"}, {**row, "type": "other", "unique": "d"},
            {**row, "unique": "e", "type": "other", "on_conflict": "replace"}, {**row, "unique": "h"}]
    replaced = project.send([rows[4]])
    sent = project.send(rows)
    project.bide("cancel", sent[0], sent[1])
    project.bide("cancel", "--all", "--type", "other")
    worker = project.worker()
    console = LocalConsole(project, worker)
    wait_until(console.is_ready, 60, "the console answers")
    said = console.post("/messages/cancel", {"ids": [sent[2]]})
    expect(json.loads(said[1]) == [{"id": sent[2], "result": "cancelled"}], f"{said}")
    said = console.post("/messages/cancel", {"key": "h"})
    expect(json.loads(said[1]) == [{"id": sent[5], "result": "cancelled"}], f"{said}")
    expect(worker.stop() == 0, worker.log_tail())
    again = project.send({**one, "on_conflict": "skip"} for one in rows)
    expect(not set(again) & {*sent, *replaced}, f"a key is taken: {sent} {again}")
    expect(project.send(rows[:1]) == again[:1], "the new message has the key")


def the_store_is_away(project):
    """A sender is told so, and nobody is told "duplicate"; a message is cancelled, and its key is said to stay taken.
    Each try waits for the store: on one broker it is enough."""
    if project.broker != "sqlite":
        return
    configure(project)
    row = {"type": "probe", "delay": "1h", "unique": "k", "body": {}}
    sent = project.send([row])
    project.configure(store="redis://127.0.0.1:1/0")
    done = project.bide("send", "probe", "--unique", "k", expect=69)
    expect(done.stdout == "" and "duplicate" not in done.stderr, f"{done}")
    expect(project.left() == 1, project.status())
    done = project.bide("cancel", sent[0], expect=69)
    expect(done.stdout.split() == [sent[0], "cancelled"] and "'k'" in done.stderr and "stay taken" in done.stderr, f"{done}")
    configure(project)
    expect(project.send([row]) == sent, "the key is free, although nobody could free it")
    project.bide("cancel", "--key", "k")
    expect(project.send([row]) != sent, "the key is still taken")


def a_key_for_a_time(project):
    """--unique-for: taken whether the message is done or not; when the time is over, both run."""
    configure(project)
    row = {"type": "probe", "unique_for": "4s", "body": {}}
    before = time.monotonic()
    first = project.send([{**row, "unique": "done"}, {**row, "unique": "waits", "delay": "5s"}])
    since = time.monotonic()
    worker = project.worker()
    wait_until(lambda: len(project.journal()) == 1, 60, lambda: f"one is done: {project.status()}")
    again = [{**row, "unique": "done"}, {**row, "unique": "waits"}]
    told = project.send(again)
    expect(told == first or time.monotonic() - before >= 4, "a key was free before its time")
    wait_until(lambda: time.monotonic() - since > 4.2, 60, lambda: "the time is over")
    second = project.send(again)
    expect(not set(second) & set(first), "a key was taken after its time")
    every = {*first, *told, *second}
    wait_until(lambda: have_run(project, every), 60, lambda: f"all ran: {project.status()}")
    expect(sorted(line["id"] for line in project.journal()) == sorted(every), f"{project.journal()}")
    expect(worker.stop() == 0, worker.log_tail())


def killed_at(project, step):
    reached = project.dir / ("reached-" + step.replace("/", "-"))
    return {"BIDE_KILL_AT": f"{step}:1:{reached}"}, reached


def a_sender_is_killed(project):
    """At each step; another one sends after it, and one message of the key runs, whatever the first has done."""
    configure(project)
    rows = {step: {"type": "probe", "unique": step, "body": {}} for step in SENDER_STEPS}
    printed = {}
    for step, row in rows.items():
        env, reached = killed_at(project, step)
        done = project.bide("send", "--lines", text=json.dumps(row) + "\n", expect=None, env=env)
        expect(reached.exists() and done.returncode == -9, f"{step} was not reached: {done.returncode} {done.stderr}")
        printed[step] = done.stdout.split()
    senders = {step: start(project, step.replace("/", "-"), [row]) for step, row in rows.items()}
    for step, sender in senders.items():
        expect(sender.wait(60) == 0, f"{step}: the second sender ended with {sender.returncode}")
    told = {step: (project.dir / f"{step.replace('/', '-')}.out").read_text(encoding="utf-8").split()[0] for step in rows}
    ran = [line["id"] for line in run_all(project, told.values())]
    expect(sorted(ran) == sorted(told.values()), f"told {told}, ran {ran}; printed before {printed}")


def a_worker_is_killed(project):
    """At each step; its successor runs the message once more at most, and the key is free then."""
    configure(project)
    for left, step in enumerate(WORKER_STEPS):
        env, reached = killed_at(project, step)
        row = {"type": "probe", "unique": step, "body": {}}
        sent = project.send([row])
        worker = project.worker(env=env)
        wait_until(lambda: reached.exists() and "SIGKILL" in worker.log_text(), 60, lambda: f"{step}: nobody was killed: {worker.log_tail()}")
        ran = lambda: sum(line["id"] == sent[0] for line in project.journal())  # noqa: E731
        wait_until(ran, 60, lambda: f"{step}: {project.status()} {worker.log_tail()}")
        wait_until(lambda: project.send([{**row, "delay": "1h"}]) != sent, 60, f"{step}: the key is still taken")
        wait_until(lambda: project.left() == left + 1, 60, lambda: f"{step}: {project.status()} {worker.log_tail()}")
        expect(worker.stop() == 0, worker.log_tail())
        expect(project.left() == left + 1, f"{step}: it has not ended: {project.status()}")
        most = 1 if step == "worker/key-runs" else 2
        expect(1 <= ran() <= most, f"{step}: {ran()} runs")


main(many_senders_one_message, many_pushes_one_run, what_was_replaced_never_runs, extending_keeps_the_message, a_trigger_meanwhile_is_one_more_run,
     cancelled_and_moved_by_key, a_dead_letter_frees_its_key, a_retried_letter_takes_its_key_again, cancelling_frees_the_key, the_store_is_away,
     a_key_for_a_time, a_sender_is_killed, a_worker_is_killed)
