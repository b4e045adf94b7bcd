#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 240
# runs: alone
"""How late delayed messages start, at 1000 a second: never early; p50, p99 and the latest within the limits the project
promises (bidetest/lateness.py says what counts on a machine that is not quiet)."""

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest import lateness  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

RATE = 1000
LIMITS_MS = {"sqlite": (0.3, 1.5, 15), "rabbitmq": (0.3, 1.5, 15), "redis": (0.5, 2.0, 15)}
BUSY_MS = {"sqlite": (1, 50, 500), "rabbitmq": (1, 250, 1000), "redis": (1, 50, 500)}


def five_thousand_random_delays(project):
    lateness.on_time(project, RATE, LIMITS_MS[project.broker], BUSY_MS[project.broker], messages=5000, longest_ms=7000)


def short_after_long(project):
    lateness.ready_worker(project)
    project.send([{"type": "journal", "id": "long", "delay": "30s"}, {"type": "journal", "id": "hour", "delay": "1h"}])
    project.send([{"type": "journal", "id": "short", "delay": "1s"}])
    wait_until(lambda: project.journal_count() == 2, 60, "the short one has run")
    late = project.journal()[1]["lateness_us"] / 1000
    print(f"a 1 s message behind a 30 s and a 1 h one: {late:.3f} ms late")
    expect(project.journal()[1]["id"] == "short", f"{project.journal()}")
    expect(0 <= late <= 5000, f"{late} ms late")  # behind the long one it would be 29 s


main(five_thousand_random_delays, short_after_long)
