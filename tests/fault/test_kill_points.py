#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: dev
# seconds: 150
"""SIGKILL at each step of send, receive, retry, dead, replay and of changing what waits: every BIDE_KILL_POINT of the sources (base/killpoint.h),
one after another, and the books after each. A point that is never reached is a failure."""

import json
import os
import re
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
os.environ["BIDE_BUILD"] = os.environ.get("BIDE_KILL_BUILD", str(ROOT / "build" / "dev"))
sys.path.insert(0, str(ROOT / "tests" / "integration" / "lib"))
from bidetest import ledger  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.plugins import build_parent  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

MESSAGES, FOREIGN, THREADS, PREFETCH = 60, 12, 2, 8
BROKERS = ("sqlite", "rabbitmq", "redis")


def points(project, command):
    """The names in the sources that this command passes on this broker."""
    found = set()  # but those that a unique key, a stream or a transaction adds: test_unique.py, test_streams.py, test_transactions_kills.py
    for path in (ROOT / "framework").rglob("*.c"):
        found |= set(re.findall(r'BIDE_KILL_POINT\("([^"]+)"\)', path.read_text()))
    found = {name for name in found if not re.search("/(key|stream|transaction)-|^transaction/", name)}
    stores = "".join(path.read_text() for path in (ROOT / "tests" / "contract_store").glob("*.c"))
    walked = ("send", "worker", "replay", "change", "clock", "relay", "spool")
    strangers = [name for name in found if name.split("/")[0] not in walked and f'"{name}"' not in stores]
    expect(not strangers, f"nobody walks through {strangers}")
    others = tuple(f"{command}/{broker}-" for broker in BROKERS if broker != project.broker)
    mine = sorted(name for name in found if name.startswith(command + "/") and not name.startswith(others))
    expect(len(mine) > 1, f"no points of {command} in the sources")
    return mine


def bodies(prefix):
    """Good ones, some that fail once, some that are rejected, some delayed."""
    for number in range(MESSAGES):
        row = {"type": "probe", "id": f"{prefix}-{number:03d}", "body": {}}
        if number % 6 == 1:
            row["body"] = {"fail": 1}
        elif number % 6 == 2:
            row["body"] = {"dead": True}
        elif number % 6 == 3:
            row["delay"] = f"{100 + number}ms"
        yield row


def foreign(project, prefix):
    """Early messages of a plain AMQP client, by both entrances (RabbitMQ); their ids."""
    if project.broker != "rabbitmq":
        return []
    from bidetest.foreign import Foreign
    ids = [f"{prefix}-f{number:02d}" for number in range(FOREIGN)]
    with Foreign(project) as client:
        for number, identity in enumerate(ids):
            due = {"bide-due": int(time.time() * 1000) + 700}
            client.publish("default", exchange=("later", "work", "later")[number % 3], type="probe", message_id=identity,
                           headers=due if number % 3 else None, expiration=None if number % 3 else "700")
    return ids


def environment(project, name, passage):
    """BIDE_KILL_AT for a point, and the file that says that it was reached."""
    reached = project.dir / ("reached-" + name.replace("/", "-"))
    return {"BIDE_KILL_AT": f"{name}:{passage}:{reached}"}, reached


def close(project, prefix, sent, most, name):
    """Waits until all of `prefix` has ended; at most `most` ends beyond the first."""
    def books():
        runs = [line for line in project.journal() if line["id"].startswith(prefix)]
        return ledger.close(sent, runs, [row for row in project.dead() if row["id"].startswith(prefix)])
    wait_until(lambda: project.left() == 0 and not books().lost, 60, lambda: f"{name}: {books()}; {project.status()}")
    found = books()
    expect(found.balanced(), f"{name}: {found}")
    expect(found.duplicate_ends() <= most, f"{name}: more than {most} ended twice: {found}")
    print(f"{name}: {found.duplicate_ends()} of {found.sent} ended twice")


def a_sender_is_killed(project):
    """What it has printed is sent; what it has not is sent again by whoever cares, and may then be there twice."""
    project.configure(threads=THREADS)
    worker = project.worker()
    for number, name in enumerate(points(project, "send")):
        env, reached = environment(project, name, 1)
        rows = list(bodies(f"s{number}"))
        text = "".join(f"{line}\n" for line in map(json.dumps, rows))
        done = project.bide("send", "--lines", text=text, expect=None, env=env)
        expect(reached.exists() and done.returncode == -9, f"{name} was not reached: {done.returncode} {done.stderr}")
        confirmed = set(done.stdout.split())
        project.send(row for row in rows if row["id"] not in confirmed)
        close(project, f"s{number}-", [row["id"] for row in rows], len(rows) - len(confirmed), name)
    expect(worker.stop() == 0, worker.log_tail())


def a_spooling_sender_is_killed(project):
    """The broker is away: what was printed is in the spool, and is carried and run when it is back."""
    nowhere = "amqp://127.0.0.1:1" if project.broker == "rabbitmq" else "redis://127.0.0.1:1"
    there, spool = project.url, {"url": "sqlite:out.db"}
    stored = ("send/sqlite-inserted", "send/sqlite-committed")
    names = points(project, "spool") + list(stored)
    for number, name in enumerate(names):
        env, reached = environment(project, name, 1)
        rows, project.url = list(bodies(f"o{number}")), nowhere
        project.configure(threads=THREADS, spool=spool)
        text = "".join(f"{line}\n" for line in map(json.dumps, rows))
        done = project.bide("send", "--lines", text=text, expect=None, env=env)
        expect(reached.exists() and done.returncode == -9, f"{name} was not reached: {done.returncode} {done.stderr}")
        confirmed = set(done.stdout.split())
        project.send(row for row in rows if row["id"] not in confirmed)
        project.url = there
        project.configure(threads=THREADS, spool=spool)
        worker = project.worker()
        wait_until(lambda: project.status()["relays"][0]["waiting"] == 0, 60, worker.log_tail)
        close(project, f"o{number}-", [row["id"] for row in rows], len(rows) - len(confirmed), name)
        expect(worker.stop() == 0, worker.log_tail())


def of_parents(rows):
    """Half of those that would end done come from another message with the same id."""
    for number, row in enumerate(rows):
        yield {**row, "type": "parent"} if number % 6 in (4, 5) else row


def a_worker_is_killed(project):
    """Its successor goes on; twice runs at most what was in its hands."""
    parent = build_parent(project)
    for number, name in enumerate(points(project, "worker")):
        asks_store = name.startswith(("worker/once-", "worker/limit-"))
        more = {"once": "1h"} if "/once-" in name else {"limited_by": "api"} if asks_store else {}
        handlers = [project.probe(**more), {**parent, **more}]
        store = {"store": "sqlite:store.db"} if asks_store else {}
        rate = "25/1s" if name.endswith("-moves") else "1000/1s"  # of PREFETCH messages some wait for longer than in hand
        limits = ({"name": "api", "rate": rate, "key": "queue"},)
        project.configure(handlers, threads=THREADS, worker={"prefetch": PREFETCH}, limits=limits, **store)
        env, reached = environment(project, name, 2)
        sent = project.send(of_parents(bodies(f"w{number}"))) + foreign(project, f"w{number}")
        os.environ.update(env)
        worker = project.worker()
        os.environ.pop("BIDE_KILL_AT")
        wait_until(reached.exists, 60, lambda: f"{name} was not reached: {worker.log_tail()}")
        close(project, f"w{number}-", sent, PREFETCH + THREADS + MESSAGES // 6 + FOREIGN, name)
        wait_until(lambda: "SIGKILL" in worker.log_text(), 60, lambda: f"{name}: nobody was killed: {worker.log_tail()}")
        expect(worker.stop() == 0, worker.log_tail())


def a_replay_is_killed(project):
    """Each dead letter is replayed or still dead; those between may be both. With and without `--spread`."""
    project.configure(handlers=[project.probe(retry={"attempts": 1})], threads=THREADS)
    ways = [(name, spread) for name in points(project, "replay") for spread in ((), ("--spread", "200ms"))]
    for number, (name, spread) in enumerate(ways):
        env, reached = environment(project, name, 1)
        sent = project.send({"type": "probe", "id": f"r{number}-{k:03d}", "body": {"dead": True}} for k in range(MESSAGES))
        all_dead = lambda: {row["id"] for row in project.dead()} == set(sent) and project.left() == 0  # noqa: E731
        project.work_off(all_dead)
        done = project.bide("dead", "retry", "--all", *spread, expect=None, env=env)
        expect(reached.exists() and done.returncode == -9, f"{name} was not reached: {done.returncode} {done.stderr}")
        project.work_off(all_dead)
        close(project, f"r{number}-", sent, MESSAGES, name)
        project.bide("dead", "retry", "--all")
        project.work_off(all_dead)
        close(project, f"r{number}-", sent, MESSAGES, f"{name}, again")
        project.bide("dead", "drop", "--all")
        reached.unlink()


def a_change_is_killed(project):
    """`cancel` and `reschedule`: each message is changed or as it was, none is lost or there twice."""
    if project.broker == "rabbitmq":
        return
    project.configure(threads=THREADS)
    for number, (name, way) in enumerate((name, way) for name in points(project, "change") for way in ("cancel", "reschedule")):
        env, reached = environment(project, name, 1)
        rows = [{"type": "probe", "id": f"c{number}-{k:03d}", "body": {}} for k in range(MESSAGES)]
        sent = project.send({**row, "delay": "1h"} if k % 2 else row for k, row in enumerate(rows))
        before = project.queue("default")["cancelled"]
        choice = ("--all", "--type", "probe", *(() if way == "cancel" else ("--delay", "2h")))
        done = project.bide(way, *choice, expect=None, env=env)
        expect(reached.exists() and done.returncode == -9, f"{name} was not reached: {done.returncode} {done.stderr}")
        left = [json.loads(line)["id"] for line in project.bide("list", "--json").stdout.splitlines()]
        cancelled = project.queue("default")["cancelled"] - before
        expect(len(left) == len(set(left)) and len(left) + cancelled == len(sent), f"{name}: {len(left)} left, {cancelled} cancelled")
        expect(way == "cancel" or cancelled == 0, f"{name}: {cancelled} were cancelled by a reschedule")
        project.bide(way, *choice)
        expect(project.left() == (0 if way == "cancel" else len(sent)), f"{name}, again: {project.status()}")
        project.bide("cancel", "--all", "--type", "probe")
        expect(project.left() == 0, f"{name}, at the end: {project.status()}")
        reached.unlink()


def a_clock_is_killed(project):
    """Others send the slot's message again where they must; each slot runs once, and none is missing."""
    store = {"store": "sqlite:store.db"} if project.broker == "rabbitmq" else {}
    project.configure(schedules=[{"name": "beat", "every": "1s", "type": "probe", "body": "{}"}], **store)
    environments = [environment(project, name, 1) for name in points(project, "clock")]
    workers = [project.worker(env=env) for env, _ in environments]  # each dies at a point of its own
    for env, reached in environments:
        wait_until(reached.exists, 60, lambda: f"{env} was not reached: {[worker.log_tail() for worker in workers]}")
    died_ms = int(time.time() * 1000)

    def slots():
        return sorted(int(line["id"].split("@")[1]) for line in project.journal() if "@" in line["id"])

    def without_a_gap():
        ran = slots()
        return ran and ran[-1] > died_ms + 6000 and set(ran) >= set(range(ran[0], ran[-1], 1000))
    wait_until(without_a_gap, 60, lambda: f"{slots()}; {workers[0].log_tail()}")
    for worker in workers:
        wait_until(lambda: "console, clock or relay died" in worker.log_text(), 60, lambda: f"nobody was killed: {worker.log_tail()}")
        expect(worker.stop() == 0, worker.log_tail())
    ran = slots()
    expect(ran == list(range(ran[0], ran[-1] + 1000, 1000)), f"{ran}")


def a_relay_is_killed(project):
    """What its application committed runs; at most what a relay had in hand runs twice."""
    from bidetest.outbox import Shop
    shop = Shop(project)
    project.configure([project.journal_handler()], threads=THREADS)
    worker, seen = project.worker(), 0
    for number, name in enumerate(points(project, "relay")):
        env, reached = environment(project, name, 1)
        ids = [shop.order(k, prefix=f"{number}-") for k in range(MESSAGES)]
        killed = shop.relay("--to", project.url, env=env)
        wait_until(reached.exists, 60, lambda: f"{name} was not reached: {killed.log_tail()}")
        expect(killed.wait(60) == -9, f"{name}: nobody was killed")
        second = shop.relay("--to", project.url)
        wait_until(lambda: set(ids) <= {line["id"] for line in project.journal()}, 60, lambda: f"{name}: {second.log_tail()}")
        wait_until(lambda: "relay carries" in second.log_text() and shop.waiting() == 0, 60, lambda: f"{name}: {second.log_tail()}")
        expect(second.stop() == 0, second.log_tail())
        seen += MESSAGES
    wait_until(lambda: project.left() == 0, 60, project.status)
    runs = [line["id"] for line in project.journal()]
    expect(len(set(runs)) == seen and len(runs) <= 2 * seen, f"{len(runs)} runs of {seen}")
    expect(worker.stop() == 0, worker.log_tail())
    shop.close()


main(a_sender_is_killed, a_spooling_sender_is_killed, a_worker_is_killed, a_replay_is_killed, a_change_is_killed, a_clock_is_killed, a_relay_is_killed)
