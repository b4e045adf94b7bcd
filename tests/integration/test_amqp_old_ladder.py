#!/usr/bin/python3
# brokers: rabbitmq
# seconds: 120
"""A namespace of the time of the first ladder (nine queues for each decimal unit from 100 ms on): what lies on its rungs
runs on time, older senders may go on, and it can be deleted once it is empty. And: shards come and go without a loss, and
workers share what is landed."""

import json
import sys
import time
import uuid

import pika

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.foreign import Foreign  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.rabbitmq import Server  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

SERVER = Server()  # of this file alone: an operator deletes queues on it
UNITS = [("100ms", 100)] + [(f"{10**n}s", 10**n * 1000) for n in range(7)]
TRIM_MS = 40
LATE_MS = 3000  # finds a message that waits for another one, on a machine that others use
QUORUM = {"x-queue-type": "quorum"}


def declare_old(foreign, queue):
    """Row by row what an older bide declared for one queue."""
    channel, name = foreign.channel, foreign.name
    beside = {"alternate-exchange": name("unrouted")}
    limit = {**QUORUM, "x-delivery-limit": 2**31 - 1}
    channel.exchange_declare(name("unrouted"), "fanout", durable=True)
    channel.queue_declare(name("unrouted"), durable=True, arguments=limit)
    channel.queue_bind(name("unrouted"), name("unrouted"))
    channel.exchange_declare(name("work"), "direct", durable=True, arguments=beside)
    channel.exchange_declare(name("due"), "topic", durable=True, arguments=beside)
    for end in ("", ".landing", ".dead"):
        channel.queue_declare(name(queue + end), durable=True, arguments=limit)
    channel.queue_bind(name(queue), name("work"), queue)
    channel.queue_bind(name(f"{queue}.landing"), name("due"), "*." * 8 + queue)
    for rung, (unit, unit_ms) in enumerate(UNITS):
        exchange, below = name(f"hold.{unit}"), name(f"hold.{UNITS[rung - 1][0]}" if rung else "due")
        channel.exchange_declare(exchange, "topic", durable=True, arguments=beside)
        before = "*." * (len(UNITS) - 1 - rung)
        for digit in range(1, 10):
            held = name(f"hold.{digit}{unit[1:]}")
            channel.queue_declare(held, durable=True, arguments={
                **QUORUM, "x-message-ttl": digit * unit_ms - TRIM_MS, "x-dead-letter-exchange": below,
                "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"})
            channel.queue_bind(held, exchange, f"{before}{digit}.#")
        channel.exchange_bind(below, exchange, f"{before}0.#")


def send_old(foreign, queue, identity, delay_ms):
    """As an older sender published it."""
    digits = f"{delay_ms // 100:08d}"
    first = next((place for place, digit in enumerate(digits) if digit != "0"), None)
    exchange = "due" if first is None else f"hold.{UNITS[7 - first][0]}"
    foreign.channel.basic_publish(
        foreign.name(exchange), ".".join(digits) + f".{queue}", b"{}",
        pika.BasicProperties(type="probe", message_id=identity, delivery_mode=2,
                             headers={"bide-due": int(time.time() * 1000) + delay_ms}), mandatory=True)


def old_namespace(project):
    project.url = SERVER.urls[0]
    project.configure()
    foreign = Foreign(project)
    declare_old(foreign, "default")
    return foreign


def rungs(project):
    found = {rung["name"].partition(".hold.")[2]: rung["messages"] for rung in project.status()["rungs"]}
    return {name: n for name, n in found.items() if name and n}


def of_old_ladder(project):
    rows = map(json.loads, project.bide("check", "--json").stdout.splitlines())
    return [row for row in rows if row["subject"] == "old ladder"]


DELAYS_MS = (50, 300, 1100, 2400, 5000, 9900, 12_300)


def emptied_on_time(project):
    """Messages on several rungs, some sent while the worker runs: each once, on time; an hour stays where it is."""
    with old_namespace(project) as foreign:
        for delay_ms in DELAYS_MS:
            send_old(foreign, "default", f"before-{delay_ms}", delay_ms + 2000)
        send_old(foreign, "default", "hour", 3_600_000)
        worker = project.worker()
        project.send([{"type": "probe", "id": "ready"}])
        wait_until(lambda: project.journal_count(), 60, worker.log_tail)
        for delay_ms in DELAYS_MS:
            send_old(foreign, "default", f"during-{delay_ms}", delay_ms)
        project.send([{"type": "probe", "id": f"new-{delay_ms}", "delay": f"{delay_ms}ms"} for delay_ms in DELAYS_MS])
        wait_until(lambda: project.journal_count() >= 1 + 3 * len(DELAYS_MS), 60, lambda: f"{project.journal()}")
        project.send([{"type": "probe", "id": "later", "delay": "1h"}])
        expect(rungs(project) == {"3000s": 1, "60min.1": 1}, f"{rungs(project)}")
        ready = next(line for line in project.journal() if line["id"] == "ready")
        lines = [line for line in project.journal() if line["id"] != "ready"]
        expect(len({line["id"] for line in lines}) == len(lines) == 3 * len(DELAYS_MS), f"{lines}")
        # What fell due while the worker was still starting is late by that.
        late = {line["id"]: min(line["lateness_us"], max(0, line["started_us"] - ready["started_us"])) / 1000 for line in lines}
        expect(all(line["lateness_us"] >= 0 for line in lines), f"{lines}")
        expect(0 <= min(late.values()) and max(late.values()) <= LATE_MS, f"{late}")
        found = of_old_ladder(project)
        expect(len(found) == 1 and found[0]["severity"] == "ok" and "holds 1 message" in found[0]["text"], f"{found}")
        method, _, _ = foreign.get("hold.3000s")
        expect(method.routing_key == "0.0.0.3.6.0.0.0.default", f"{method}")
        found = of_old_ladder(project)
        expect(len(found) == 1 and found[0]["severity"] == "warning" and "docs/rabbitmq.md" in found[0]["remedy"], f"{found}")
        expect(worker.stop() == 0, worker.log_tail())


def a_queue_that_is_new(project):
    """The old ladder leads to the landing queue of a queue that did not exist in its time."""
    with old_namespace(project) as foreign:
        project.configure(handlers=[project.probe(queue="fresh")], queues=[{"name": "fresh", "weight": 1}])
        worker = project.worker()
        project.send([{"type": "probe", "id": "ready", "queue": "fresh"}])
        wait_until(lambda: project.journal_count() == 1, 60, worker.log_tail)
        send_old(foreign, "fresh", "old", 1300)
        wait_until(lambda: project.journal_count() == 2, 60, worker.log_tail)
        expect(worker.stop() == 0, worker.log_tail())


def a_new_namespace_has_none(project):
    project.url = SERVER.urls[0]
    project.configure()
    project.send([{"type": "probe", "delay": "5900ms"}])
    with Foreign(project) as foreign:
        expect(foreign.depth("hold.100ms") is None and foreign.depth("hold.5s") is None, "the old ladder is there")
        expect(foreign.depth("hold.5s.1") == 1, f"{rungs(project)}")
    expect(of_old_ladder(project) == [], f"{of_old_ladder(project)}")


def with_shards(project, shards):
    project.url = f"{SERVER.urls[0]}?ladder_shards={shards}"
    project.configure()


def sent_on_shards(project, name, delay, count):
    """As many with this delay, which run, and as many that stay for an hour: how many of these each shard has."""
    project.send([{"type": "probe", "id": f"{name}-{n}", "delay": delay} for n in range(count)])
    project.send([{"type": "probe", "id": f"{name}-hour-{n}", "delay": "1h"} for n in range(count)])
    return {rung: n for rung, n in rungs(project).items() if rung.startswith("60min.")}


def shards_come_and_go(project):
    """Four, one, two: what lies in a shard that nobody publishes to any more runs on time; `status` and `move` see it."""
    with_shards(project, 4)
    four = sent_on_shards(project, "four", "5500ms", 40)
    expect(sum(four.values()) == 40 and len(four) == 4 and min(four.values()) > 2, f"{four}")
    with_shards(project, 1)
    worker = project.worker()
    one = sent_on_shards(project, "one", "2900ms", 20)
    expect(one == {**four, "60min.1": four["60min.1"] + 20}, f"{four} became {one}")
    with_shards(project, 2)
    second = project.worker()
    two = sent_on_shards(project, "two", "2900ms", 20)
    expect(sum(two.values()) == 80 and all(two[rung] > one[rung] for rung in ("60min.1", "60min.2")), f"{one} became {two}")
    wait_until(lambda: project.journal_count() == 80, 60, lambda: f"{project.status()}")
    lines = project.journal()
    expect(len({line["id"] for line in lines}) == 80, f"{len(lines)} runs")
    late = {line["id"]: line["lateness_us"] / 1000 for line in lines}
    expect(0 <= min(late.values()) and max(late.values()) <= LATE_MS, f"{late}")
    expect(worker.stop() == 0 and second.stop() == 0, worker.log_tail())


def moved_over_few_channels(project):
    """A broker with channel_max 8: move reads 226 holding queues and more, and leaves what belongs to another queue."""
    with_shards(project, 2)
    project.configure(queues=[{"name": "default"}, {"name": "other"}])
    rows = [{"type": "probe", "id": f"{queue}-{n}", "queue": queue, "delay": f"{n}s"} for queue in ("default", "other")
            for n in (0, 1, 20, 30, 40, 50, 90, 600, 3601, 7777, 86400, 999999, 9999999)]
    project.send(rows)
    SERVER.ctl("eval", "application:set_env(rabbit, channel_max, 8).")
    try:
        for queue in ("default", "other"):
            said = project.bide("move", "--from", project.url, "--to", f"sqlite:{queue}.db", "--queue", queue).stdout
            expect(f"moved {len(rows) // 2} messages" in said, said)
        expect(not rungs(project) and project.left() == 0, f"{project.status()}")
    finally:
        SERVER.ctl("eval", "application:set_env(rabbit, channel_max, 2047).")


LANDED_MAX = 8000  # all workers together; BIDE_RMQ_LANDED_MAX


def prefetches(project):
    """Of the consumers of the landing queue, as the broker shows them."""
    rows = map(str.split, SERVER.ctl("list_consumers", "queue_name", "prefetch_count").splitlines())
    return [int(row[1]) for row in rows if row[0] == f"{project.name_space}.default.landing"]


def workers_share(project):
    """Three workers begin with all places each, and at the first message that is landed take a share of them."""
    project.url = SERVER.urls[0]
    project.configure()
    workers = [project.worker() for _ in range(3)]
    wait_until(lambda: prefetches(project) == [LANDED_MAX] * 3, 60, lambda: f"{prefetches(project)}")
    project.send([{"type": "probe", "id": f"{n}", "delay": f"{400 + n}ms"} for n in range(300)])
    wait_until(lambda: prefetches(project) == [LANDED_MAX // 4] * 3, 60, lambda: f"{prefetches(project)}")
    wait_until(lambda: project.journal_count() >= 300, 60, workers[0].log_tail)
    expect(len({line["id"] for line in project.journal()}) == project.journal_count() == 300, f"{project.journal()}")
    expect([worker.stop() for worker in workers] == [0, 0, 0], workers[0].log_tail())


with SERVER:
    main(emptied_on_time, a_queue_that_is_new, a_new_namespace_has_none, shards_come_and_go, moved_over_few_channels, workers_share)
