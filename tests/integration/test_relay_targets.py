#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named rabbitmq redis
# seconds: 300
"""A relay from each broker to each of the others, killed again and again: nothing is lost, and what comes twice is what it had in hand.

BIDE_MESSAGES: how many (5000)."""

import os
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.relaying import Hub  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

MESSAGES, KILLS, IN_HAND = int(os.environ.get("BIDE_MESSAGES", 5000)), 4, 500
TARGETS = {"sqlite": "sqlite:hub.db", "rabbitmq": os.environ.get("BIDE_TEST_RABBITMQ_URL"), "redis": os.environ.get("BIDE_TEST_REDIS_URL")}


def carried_to(project, name):
    hub, seen = Hub(project, TARGETS[name]), project.journal_count("hub.ndjson")
    hub.configure([project.journal_handler()])
    ids = project.send({"type": "journal", "id": f"{name}{number:05d}", "delay": f"{number % 7 * 100}ms"} for number in range(MESSAGES))
    worker, relay = hub.worker(), hub.relay()
    for kill in range(1, KILLS + 1):
        wait_until(lambda: project.journal_count("hub.ndjson") - seen >= MESSAGES * kill // (KILLS + 2), 60, relay.log_tail)
        relay.kill()
        relay = hub.relay()
    wait_until(lambda: set(ids) <= {line["id"] for line in project.journal("hub.ndjson")}, 120, relay.log_tail)
    wait_until(lambda: "relay carries" in relay.log_text() and project.left() == 0, 60, relay.log_tail)
    expect(relay.stop() == 0 and worker.stop() == 0, relay.log_tail())
    runs = [line for line in project.journal("hub.ndjson") if line["id"].startswith(name)]
    expect(all(line["lateness_us"] >= 0 for line in runs), "early")
    expect(len(runs) - MESSAGES <= KILLS * IN_HAND, f"{len(runs) - MESSAGES} ran twice")
    print(f"{project.broker} to {name}: {MESSAGES} ran, {len(runs) - MESSAGES} of them twice")


def to_each_of_the_others(project):
    for name in TARGETS:
        if name != project.broker:
            carried_to(project, name)


main(to_each_of_the_others)
