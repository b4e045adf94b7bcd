#!/usr/bin/python3
# brokers: sqlite
# seconds: 120
# runs: alone
"""One worker process beside one `send --lines`, both at work at the same time: 256-byte bodies, synchronous=FULL, a
handler that does nothing."""

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.speed import TYPICAL, measure_bide, medians, row  # noqa: E402

AT_LEAST = 40_000  # a second, each


def sender_and_worker_at_once(project):
    runs = [measure_bide(project.broker, TYPICAL[project.broker], together=True) for _ in range(3)]
    have = medians(runs)
    print(f"at the same time: {row(have)}")
    expect(have.send >= AT_LEAST, f"sent {have.send:.0f}/s")
    expect(have.drain >= AT_LEAST, f"drained {have.drain:.0f}/s")


main(sender_and_worker_at_once)
