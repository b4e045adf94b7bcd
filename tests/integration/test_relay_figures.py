#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named alone
# seconds: 200
"""What a relay does from an outbox: messages a second of a backlog, how long one message takes at 1000 a second, what idling costs.

BIDE_ROWS: of the backlog (60000)."""

import os
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.console import Console, free_port  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.ledger import percentile  # noqa: E402
from bidetest.outbox import Shop, bide  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

ROWS, RATE, SECONDS, IDLE_S = int(os.environ.get("BIDE_ROWS", 60000)), 1000, 8, 10
LEAST = {"sqlite": 10000, "rabbitmq": 10000, "redis": 40000}  # messages a second
LAG_MS, IDLE_MS = 20, 20


def a_backlog(project):
    """Committed before the relay begins; from its first to its last row."""
    shop = Shop(project)
    project.configure([project.journal_handler()])
    for number in range(ROWS):
        bide.outbox_send(shop.db, "journal", "x" * 100)
    shop.db.commit()
    before = time.monotonic()
    relay = shop.relay("--to", project.url)
    wait_until(lambda: shop.waiting() < ROWS, 60, relay.log_tail)
    began, left = time.monotonic(), shop.waiting()
    wait_until(lambda: shop.waiting() == 0, 60, relay.log_tail)
    ended = time.monotonic()
    print(f"{left / (ended - began):.0f} messages/s, {relay.cpu_ns() / ROWS / 1000:.1f} us of CPU each; {ended - before:.2f} s in all")
    expect(left / (ended - began) >= LEAST[project.broker], "slower than that")
    expect(relay.stop() == 0, relay.log_tail())
    shop.close()


def one_by_one(project):
    """From the insertion of a row to the start of its handler: the relay's share, and the worker's."""
    shop = Shop(project)
    shop.db.execute("PRAGMA synchronous = NORMAL")
    port = free_port()
    project.configure([project.journal_handler()], relays=[{"from": shop.url, "to": project.url}], http={"listen": f"127.0.0.1:{port}"})
    worker = project.worker()
    shop.order(0, prefix="w")
    wait_until(lambda: project.journal_count() == 1, 60, worker.log_tail)
    start = time.monotonic()
    for number in range(RATE * SECONDS):
        pause = start + number / RATE - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        shop.order(number)
    wait_until(lambda: project.journal_count() == RATE * SECONDS + 1, 60, worker.log_tail)
    lags = sorted(line["started_us"] / 1000 - line["sent_ms"] for line in project.journal())
    lag_ms = percentile(lags, 0.99)
    own_ms = Console(port).read_json("/status")["worker"]["relays"][0]["lag_p99_ms"]
    print(f"sent to started p50 {percentile(lags, 0.5):.1f} ms, p99 {lag_ms:.1f} ms; to the target's confirm p99 {own_ms:.1f} ms")
    expect(lag_ms <= LAG_MS and own_ms <= LAG_MS, f"{lag_ms} ms, {own_ms} ms")
    relay = worker.named("bide-relay")[0]
    before = cpu_ms(relay)
    time.sleep(IDLE_S)
    idle_ms = cpu_ms(relay) - before
    print(f"idle: {idle_ms:.2f} ms of CPU in {IDLE_S} s")
    expect(idle_ms <= IDLE_MS, f"{idle_ms} ms of CPU in {IDLE_S} s")
    expect(worker.stop() == 0, worker.log_tail())
    shop.close()


def cpu_ms(pid):
    with open(f"/proc/{pid}/schedstat") as figures:
        return int(figures.read().split()[0]) / 1e6


main(a_backlog, one_by_one)
