#!/usr/bin/python3
# brokers: rabbitmq
# needs: named
# seconds: 240
# runs: alone
"""How late delayed messages start, at 3000 a second: never early, 99 % within 3 ms (on a quiet machine: by name)."""

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest import lateness  # noqa: E402
from bidetest.harness import main  # noqa: E402

RATE, LIMITS_MS, BUSY_MS = 3000, (1, 3, 100), (1, 250, 1000)


def three_thousand_a_second(project):
    lateness.on_time(project, RATE, LIMITS_MS, BUSY_MS)


main(three_thousand_a_second)
