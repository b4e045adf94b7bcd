#!/usr/bin/python3
# brokers: rabbitmq
# needs: named
# seconds: 280
# runs: alone
"""How late the messages of a plain AMQP client start, at 1000 and 3000 a second with random delays of 0.2 to 5 s, by each
entrance: never early, 99 % within 20 ms (on a quiet machine: by name)."""

import random
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest import lateness, ledger  # noqa: E402
from bidetest.foreign import Foreign  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.waiting import pace, wait_until  # noqa: E402

SECONDS, P99_MS = 10, 20
WAYS = {"later-due": ("later", False), "later-expiration": ("later", True), "work-due": ("work", False)}


def publish(project, name, rate):
    """Without confirms, as fast as asked; returns when each is due, in Unix ms."""
    exchange, by_expiration = WAYS[name]
    wanted, draw = {}, random.Random(rate)
    with Foreign(project) as foreign:
        foreign.channel = foreign.connection.channel()
        for n in pace(range(rate * SECONDS), rate):
            delay_ms, identity = draw.randrange(200, 5000), f"{name}-{rate}-{n}"
            wanted[identity] = time.time() * 1000 + delay_ms
            foreign.publish(
                "default", b"x" * 200, exchange=exchange, type="journal", message_id=identity, delivery_mode=2,
                expiration=str(delay_ms) if by_expiration else None,
                headers=None if by_expiration else {"bide-due": int(wanted[identity])})
    return wanted


def measured(project, name, rate):
    before, machine = project.journal_count(), lateness.control(SECONDS + 5)
    wanted = publish(project, name, rate)
    wait_until(lambda: project.journal_count() == before + len(wanted), 60, lambda: f"{project.journal_count()} have run")
    lines = project.journal()[before:]
    late = sorted(line["started_us"] / 1000 - int(wanted[line["id"]]) for line in lines)
    usual, worse, worst = machine.recv()
    p99 = ledger.percentile(late, 0.99)
    print(f"{name} at {rate}/s, ms late: first {late[0]:.3f} p50 {ledger.percentile(late, 0.5):.3f} "
          f"p95 {ledger.percentile(late, 0.95):.3f} p99 {p99:.3f} max {late[-1]:.3f}; "
          f"the machine's own: p50 {usual:.3f} p99 {worse:.3f} max {worst:.3f}", flush=True)
    expect(late[0] >= 0, f"one ran {-late[0]} ms early")
    expect(p99 <= P99_MS + (3 * worse if worse > lateness.USUAL_MS else 0), f"{name} at {rate}/s: p99 {p99} ms late")


def a_thousand_a_second(project):
    lateness.ready_worker(project)
    for name in WAYS:
        measured(project, name, 1000)


def three_thousand_a_second(project):
    lateness.ready_worker(project)
    for name in WAYS:
        measured(project, name, 3000)


main(a_thousand_a_second, three_thousand_a_second)
