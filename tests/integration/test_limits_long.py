#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named
# seconds: 900
# runs: alone
"""The figures of limits (docs/limits.md): eight processes at 50 a second, two tenants of which one floods, and what a limit
of 10 000 a second costs. BIDE_COUNT: messages of the first two (default 1000)."""

import os
import statistics
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.limiting import configure, rate_holds, starts  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

COUNT = int(os.environ.get("BIDE_COUNT", 1000))
FLOOD, OTHERS, COSTS = 10000, 40, 30000


def eight_processes_without_a_key(project):
    rate_holds(project, 50, COUNT, strict=True)


def eight_processes_by_key(project):
    rate_holds(project, 50, COUNT, "header:T", strict=True)


def one_tenant_floods(project):
    """10 000 messages of one wait; the other's, one each quarter of a second, wait less than a second (median)."""
    limit = {"name": "api", "rate": "50/1s", "key": "header:T"}
    configure(project, (limit,), project.journal_handler(limited_by="api"), processes=2, threads=4)
    project.send([{"type": "journal", "body": {}, "headers": {"T": "flood"}} for _ in range(FLOOD)])
    worker = project.worker()
    ids = []
    for number in range(OTHERS):
        ids += project.send([{"type": "journal", "id": f"other{number}", "body": {}, "headers": {"T": "other"}}])
        time.sleep(0.25)
    ran = lambda: [line for line in project.journal() if line["id"] in ids]  # noqa: E731
    wait_until(lambda: len(ran()) == OTHERS, 60, lambda: f"{len(ran())} of {OTHERS}")
    waits = sorted(line["started_us"] / 1e3 - line["sent_ms"] for line in ran())
    median, most = statistics.median(waits), waits[-1]
    print(f"  {FLOOD} of one wait: the other's wait {median:.0f} ms (median), {most:.0f} ms (longest)")
    expect(median < 1000, f"the other tenant waits {median:.0f} ms")
    worker.kill()


def cpu_of(project, name, limits, limited_by):
    """Microseconds of CPU that a message costs a worker process; and how long all took."""
    handler = project.journal_handler(settings={"path": str(project.dir / f"{name}.ndjson")}, **limited_by)
    configure(project, limits, handler, threads=4)
    sent = project.send([{"type": "journal", "body": {}, "headers": {"T": "one"}} for _ in range(COSTS)])
    worker = project.worker()
    wait_until(lambda: project.journal_count(f"{name}.ndjson") >= len(sent), 120, name)
    cpu_us = worker.cpu_ns() / 1e3 / COSTS
    begun = starts(project.journal(f"{name}.ndjson"))
    took_s = (begun[-1] - begun[0]) / 1e6
    worker.stop()
    print(f"  {name}: {cpu_us:.1f} µs of CPU a message, {took_s:.2f} s, {COSTS / took_s:.0f} a second")
    return cpu_us


def what_it_costs(project):
    """A handler at 10 000 permits a second, and an unlimited one."""
    rate = {"name": "api", "rate": "10000/1s"}
    plain = cpu_of(project, "unlimited", (), {})
    without_key = cpu_of(project, "limited, no key", (rate,), {"limited_by": "api"})
    by_key = cpu_of(project, "limited by key", ({**rate, "key": "header:T"},), {"limited_by": "api"})
    print(f"  {without_key / plain:.2f} times without a key, {by_key / plain:.2f} by key")
    expect(without_key <= 2 * plain, f"a limit costs {without_key / plain:.2f} times")


main(eight_processes_without_a_key, eight_processes_by_key, one_tenant_floods, what_it_costs)
