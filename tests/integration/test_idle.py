#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 120
"""An idle worker costs next to nothing: CPU under 1 ms in a second, under 10 MiB resident."""

import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

SECONDS, CPU_MS, RSS_KIB = 12, 12, 10 * 1024


def ready_worker(project, delayed=0):
    project.configure(handlers=[project.journal_handler()], threads=8)
    project.send({"type": "journal", "delay": "1h"} for _ in range(delayed))
    worker = project.worker()
    project.send([{"type": "journal", "id": "ready"}])
    wait_until(lambda: project.journal_count() == 1, 60, "the worker runs")
    return worker


def cost_of_idling(worker, seconds):
    """(CPU ms, KiB resident) of seconds in which nothing happens; a measurement has to last that long."""
    before = worker.cpu_ns()
    time.sleep(seconds)
    cpu_ms = (worker.cpu_ns() - before) / 1e6
    print(f"{cpu_ms:.2f} ms of CPU in {seconds} s, {worker.rss_kib()} KiB resident")
    expect(worker.running(), f"the worker is gone: {worker.log_tail()}")
    return cpu_ms, worker.rss_kib()


def nothing_to_do(project):
    cpu_ms, rss_kib = cost_of_idling(ready_worker(project), SECONDS)
    expect(cpu_ms < CPU_MS, f"{cpu_ms} ms of CPU in {SECONDS} s")
    expect(rss_kib < RSS_KIB, f"{rss_kib} KiB resident")


def delayed_backlog(project):
    cpu_ms, rss_kib = cost_of_idling(ready_worker(project, delayed=20000), SECONDS / 2)
    expect(cpu_ms < CPU_MS / 2, f"{cpu_ms} ms of CPU in {SECONDS / 2} s")
    expect(rss_kib < RSS_KIB, f"{rss_kib} KiB resident")


main(nothing_to_do, delayed_backlog)
