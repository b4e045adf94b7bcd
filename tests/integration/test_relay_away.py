#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named
# seconds: 3000
"""One end of a relay is away for long while 10 000 messages are sent or wait: nothing is lost or early, the order within a queue stays,
what is due later keeps its time, and all is carried soon after.

BIDE_AWAY_S, BIDE_ORDERS: how long, how many (30, 10000)."""

import contextlib
import os
import sqlite3
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest import rabbitmq, redis  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.outbox import Shop  # noqa: E402
from bidetest.relaying import Hub  # noqa: E402
from bidetest.waiting import pace, wait_until  # noqa: E402

AWAY_S, ORDERS = float(os.environ.get("BIDE_AWAY_S", 30)), int(os.environ.get("BIDE_ORDERS", 10000))
QUEUES, SOON_S, IN_HAND = ("default", "mail"), 120, 500


@contextlib.contextmanager
def locked(path):
    """A SQLite file that nobody else can use."""
    with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield


@contextlib.contextmanager
def stopped(stop, start):
    stop()
    yield
    start()


@contextlib.contextmanager
def own_broker(project):
    """Becomes the project's broker. Yields what makes a context in which it is away."""
    if project.broker == "sqlite":
        yield lambda: locked(project.dir / "bide.db")
    elif project.broker == "redis":
        with redis.Server("appendonly yes", "appendfsync always") as server:
            project.url = server.url
            yield lambda: stopped(server.kill, server.restart)
    else:
        with rabbitmq.Server() as server:
            project.url = server.urls[0]
            yield lambda: stopped(server.stop_node, server.start_node)


def delay_ms(number):
    """One in five is due later: in the time of absence, or after it."""
    return 1000 + number * 7919 % int(AWAY_S * 1500) if number % 5 == 4 else 0


def rows(numbers):
    for number in numbers:
        later = {"delay": f"{delay_ms(number)}ms"} if delay_ms(number) else {}
        yield {"type": "journal", "id": f"o{number:06d}", "queue": QUEUES[number % 2], **later}


def configure(project):
    project.configure([project.journal_handler(concurrency=1)], threads=1, queues=[{"name": name} for name in QUEUES])


def all_ran_in_order(project, worker, most_twice, name="journal.ndjson"):
    wanted = {row["id"] for row in rows(range(ORDERS))}
    longest_s = SOON_S + AWAY_S * 1.5
    wait_until(lambda: project.journal_count(name) >= ORDERS and {line["id"] for line in project.journal(name)} == wanted, longest_s,
               lambda: f"{project.journal_count(name)} ran: {worker.log_tail()}")
    runs, seen = project.journal(name), {}
    for at, line in enumerate(runs):
        seen.setdefault(line["id"], at)
    twice = len(runs) - len(seen)
    early = [line for line in runs if line["started_us"] / 1000 < line["sent_ms"] + delay_ms(int(line["id"][1:])) or line["lateness_us"] < 0]
    expect(not early, f"early: {early[:3]}")
    for queue in QUEUES:
        order = sorted((number for number in range(ORDERS) if QUEUES[number % 2] == queue and not delay_ms(number)), key=lambda n: seen[f"o{n:06d}"])
        behind = [after for before, after in zip(order, order[1:]) if after < before]
        expect(not behind, f"{len(behind)} of {queue} came after later ones, such as {behind[:5]}")
    expect(twice <= most_twice, f"{twice} ran twice")
    print(f"{len(seen)} ran in order, {twice} of them twice")
    expect(worker.stop() == 0, worker.log_tail())


def carried_soon(is_done, relay):
    began = time.monotonic()
    wait_until(is_done, SOON_S + AWAY_S * 1.5, relay.log_tail)
    print(f"all carried {time.monotonic() - began:.1f} s after the end was back")


def a_target_is_away(project):
    with own_broker(project) as away:
        configure(project)
        shop = Shop(project)
        relay, worker = shop.relay("--to", project.url), project.worker()
        shop.order(0, queue=QUEUES[0])
        wait_until(lambda: project.journal_count() == 1, 60, relay.log_tail)
        expect(worker.stop() == 0, worker.log_tail())
        began = time.monotonic()
        with away():
            for number in pace(range(1, ORDERS), ORDERS / AWAY_S * 1.5):
                shop.order(number, queue=QUEUES[number % 2], delay=delay_ms(number) / 1000 or None)
            time.sleep(max(0, began + AWAY_S - time.monotonic()))
            expect(shop.waiting() == ORDERS - 1, f"{shop.waiting()} wait")
        carried_soon(lambda: shop.waiting() == 0, relay)
        all_ran_in_order(project, project.worker(), IN_HAND)
        expect(relay.stop() == 0, relay.log_tail())
        shop.close()


def a_source_is_away(project):
    with own_broker(project) as away:
        hub = Hub(project, queues=QUEUES, worker={"threads": 1})
        hub.configure([project.journal_handler(concurrency=1)])
        project.send(rows(range(1)))
        relay = hub.relay()
        wait_until(lambda: (project.dir / "hub.db").exists() and hub.waiting() > 0, 60, relay.log_tail)
        project.send(rows(range(1, ORDERS)))
        with away():
            time.sleep(AWAY_S)
        carried_soon(lambda: project.left() == 0, relay)
        all_ran_in_order(project, hub.worker(), 2 * IN_HAND, "hub.ndjson")
        expect(relay.stop() == 0, relay.log_tail())


def a_target_is_away_from_a_broker(project):
    """What the relay has in hand goes back after a minute: RabbitMQ would take it away in the end."""
    hub = Hub(project, queues=QUEUES, worker={"threads": 1})
    hub.configure([project.journal_handler(concurrency=1)])
    project.send(rows(range(1)))
    relay = hub.relay()
    wait_until(lambda: (project.dir / "hub.db").exists() and hub.waiting() > 0, 60, relay.log_tail)
    with locked(project.dir / "hub.db"):
        project.send(rows(range(1, ORDERS)))
        time.sleep(AWAY_S)
    carried_soon(lambda: project.left() == 0, relay)
    all_ran_in_order(project, hub.worker(), IN_HAND, "hub.ndjson")
    expect(relay.stop() == 0, relay.log_tail())


main(a_target_is_away, a_source_is_away, a_target_is_away_from_a_broker)
