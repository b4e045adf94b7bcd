#!/usr/bin/python3
# brokers: rabbitmq
# needs: named
# seconds: 240
# runs: alone
"""The delays one has to wait for: 30 s, 99.9 s (three digits, three hops), 100 s (one), all on time."""

import sys
import uuid

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.machine import Machine  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

DELAYS = ("100s", "99.9s", "30s", "1s")


def long_delays_on_time(project):
    project.name_space = "long-" + uuid.uuid4().hex[:12]
    project.configure(handlers=[project.journal_handler()])
    project.worker()
    project.send([{"type": "journal", "id": "ready"}])
    wait_until(lambda: project.journal_count() == 1, 60, "the worker runs")
    machine = Machine()
    project.send([{"type": "journal", "id": delay, "delay": delay} for delay in DELAYS])
    wait_until(lambda: project.journal_count() == len(DELAYS) + 1, 130, lambda: f"all have run: {project.journal()}")
    lines = project.journal()[1:]
    expect([line["id"] for line in lines] == list(reversed(DELAYS)), f"{lines}")
    machine.on_time({line["id"]: line["lateness_us"] / 1000 for line in lines})


main(long_delays_on_time)
