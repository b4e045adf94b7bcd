#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named
# seconds: 900
# runs: alone
"""The figures of limits (docs/limits.md): eight processes at 50 a second, two tenants of which one floods, and what a limit
of 10 000 a second costs. BIDE_COUNT: messages of the first two (default 1000)."""

import json
import os
import statistics
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.limiting import configure, rate_holds, starts  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

COUNT = int(os.environ.get("BIDE_COUNT", 1000))
FLOOD, OTHERS, COSTS, STEP = 10000, 40, 30000, 50


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


def cpu_of(project, name, limits, limited_by, feed=None):
    """Microseconds of CPU that a message costs a worker: with all of them in the broker before it starts, or `feed` a second."""
    journal = f"{name.replace(' ', '-')}.ndjson"
    handler = project.journal_handler(settings={"path": str(project.dir / journal)}, **limited_by)
    configure(project, limits, handler, threads=4)
    rows = [{"type": "journal", "body": {}, "headers": {"T": "one"}} for _ in range(COSTS)]
    if not feed:
        project.send(rows)
    worker = project.worker()
    wait_until(lambda: "worker started" in worker.log_text(), 60, "it starts")
    before_ns = worker.cpu_ns()
    if feed:
        fed = project.sender()
        began = time.monotonic()
        for at in range(0, COSTS, STEP):
            time.sleep(max(0.0, began + at / feed - time.monotonic()))
            fed.stdin.write("".join(json.dumps(row) + "\n" for row in rows[at : at + STEP]).encode())
            fed.stdin.flush()
        fed.stdin.close()
        fed.wait(60)
    wait_until(lambda: project.journal_count(journal) >= COSTS, 120, name)
    cpu_us = (worker.cpu_ns() - before_ns) / 1e3 / COSTS
    begun = starts(project.journal(journal))
    worker.stop()
    print(f"  {name}: {cpu_us:.1f} µs of CPU a message, {COSTS / ((begun[-1] - begun[0]) / 1e6):.0f} a second", flush=True)
    return cpu_us


def what_it_costs(project):
    """At 10 000 messages a second: a handler that is limited to that, beside one without a limit whose messages come so fast;
    and a limit that is never reached, beside none, where all is there at once."""
    rate, never = {"name": "api", "rate": "10000/1s"}, {"name": "api", "rate": "1000000/1s"}
    limited, key = {"limited_by": "api"}, {"key": "header:T"}
    paced = cpu_of(project, "no limit, 10 000 a second sent", (), {}, 10000)
    at_rate = cpu_of(project, "limited to 10 000 a second", (rate,), limited)
    by_key = cpu_of(project, "limited to 10 000 a second by key", ({**rate, **key},), limited)
    plain = cpu_of(project, "no limit, all there", (), {})
    unreached = cpu_of(project, "a limit that is not reached, all there", (never,), limited)
    print(f"  at 10 000 a second {at_rate / paced:.2f} times without a key, {by_key / paced:.2f} by key; not reached: {unreached / plain:.2f}")
    # Measured on a quiet machine: 2.2 (SQLite), 2.75 (Redis); twice is the aim, and not reached. This finds what is far worse.
    expect(at_rate <= 4 * paced, f"a limit costs {at_rate / paced:.2f} times")


main(eight_processes_without_a_key, eight_processes_by_key, one_tenant_floods, what_it_costs)
