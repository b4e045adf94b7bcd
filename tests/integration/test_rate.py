#!/usr/bin/python3
# brokers: sqlite
# seconds: 120
# runs: alone
"""One worker process beside one `send --lines`, both at work at the same time: 256-byte bodies, synchronous=FULL, a
handler that does nothing."""

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.speed import BARE, TYPICAL, measure_bide, medians, row  # noqa: E402

AT_LEAST = 40_000  # a second, each; where a machine is too slow for that:
PART = 0.15  # of a bare loop over SQLite that does one after the other, each with the machine to itself


def sender_and_worker_at_once(project):
    runs = [measure_bide(project.broker, TYPICAL[project.broker], together=True) for _ in range(3)]
    have = medians(runs)
    print(f"at the same time: {row(have)}")
    if min(have.send, have.drain) >= AT_LEAST:
        return
    bare = medians([BARE[project.broker](TYPICAL[project.broker]) for _ in range(3)])
    print(f"a bare loop: {row(bare)}")
    expect(have.send >= PART * bare.send, f"sent {have.send:.0f}/s, the bare loop {bare.send:.0f}")
    expect(have.drain >= PART * bare.drain, f"drained {have.drain:.0f}/s, the bare loop {bare.drain:.0f}")


main(sender_and_worker_at_once)
