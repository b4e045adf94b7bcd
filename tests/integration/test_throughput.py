#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named
# seconds: 300
# runs: alone
"""How many messages a second, beside a bare C loop over the same broker with the same batches, in turns in one run.

256-byte bodies and a handler that does nothing; SQLite with synchronous=FULL. By name: a ratio means something on a quiet
machine only, where both cores are free for the sender's two threads."""

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.speed import compare, medians, row  # noqa: E402

# At least so many a second; at least this share of the bare loop's rate; at most so many times its CPU time a message.
LIMITS = {
    "sqlite": {"send": 40_000, "drain": 40_000, "send_ratio": 0.8, "drain_ratio": 0.8, "drain_cpu": 1.5},
    "rabbitmq": {"send_ratio": 0.9, "drain_ratio": 0.85, "drain_cpu": 2},
    "redis": {"send": 80_000, "drain": 80_000, "send_ratio": 0.75, "drain_ratio": 0.75, "drain_cpu": 2.5},
}


def beside_a_bare_loop(project):
    bare, bide = (medians(runs) for runs in compare(project.broker))
    have = {
        "send": bide.send,
        "drain": bide.drain,
        "send_ratio": bide.send / bare.send,
        "drain_ratio": bide.drain / bare.drain,
        "drain_cpu": bide.drain_us / bare.drain_us,
    }
    print(f"median bare: {row(bare)}\nmedian bide: {row(bide)}")
    print(f"ratio: send {have['send_ratio']:.2f}, drain {have['drain_ratio']:.2f}, worker CPU {have['drain_cpu']:.2f}")
    missed = []
    for name, limit in LIMITS[project.broker].items():
        kept = have[name] <= limit if name == "drain_cpu" else have[name] >= limit
        if not kept:
            missed.append(f"{name} is {have[name]:.2f}, the limit {limit}")
    expect(not missed, "; ".join(missed))


main(beside_a_bare_loop)
