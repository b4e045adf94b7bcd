#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 180
# runs: alone
"""A flood in one queue does not starve another (weighted), and a higher one always goes first (strict)."""

import json
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.ledger import percentile  # noqa: E402
from bidetest.waiting import pace, wait_until  # noqa: E402

FLOOD, CRITICAL, RATE, MEDIAN_MS = 50000, 300, 100, 50  # behind what is fetched it would be some 130, behind the flood seconds


def handlers(project):
    return [
        project.probe(type="bulk", queue="bulk", settings={"path": str(project.dir / "bulk.ndjson")}),
        project.probe(type="critical", queue="critical", settings={"path": str(project.dir / "critical.ndjson")}),
    ]


def flood_beside_critical(project):
    queues = [{"name": "critical", "weight": 9}, {"name": "bulk", "weight": 1}]
    project.configure(handlers=handlers(project), queues=queues, threads=4)
    project.send(
        {"type": "bulk", "queue": "bulk", "id": f"b{number}", "body": {"sleep_ms": 1}} for number in range(FLOOD)
    )
    project.worker()
    wait_until(lambda: project.journal_count("bulk.ndjson") > 100, 60, "the flood runs")
    sender = project.sender()
    for number in pace(range(CRITICAL), RATE):
        row = {"type": "critical", "queue": "critical", "id": f"c{number}", "body": {}}
        sender.stdin.write(json.dumps(row).encode() + b"\n")
        sender.stdin.flush()
    sender.stdin.close()
    expect(sender.wait(60) == 0, "send --lines failed")
    wait_until(lambda: project.journal_count("critical.ndjson") == CRITICAL, 60, "critical ones have run")
    ran = project.journal_count("bulk.ndjson")
    waits = sorted(line["lateness_us"] / 1000 for line in project.journal("critical.ndjson"))
    print(f"wait of critical: p50 {percentile(waits, 0.5):.2f} ms, p99 {percentile(waits, 0.99):.2f} ms; bulk ran {ran}")
    expect(ran < FLOOD, "the flood was over too soon to show anything")
    expect(ran > 1000, f"bulk was starved: {ran} runs")
    expect(percentile(waits, 0.5) < MEDIAN_MS, f"median wait {percentile(waits, 0.5)} ms")


def strict_order(project):
    queues = [{"name": "critical", "weight": 1}, {"name": "bulk", "weight": 1}]
    project.configure(handlers=handlers(project), queues=queues, threads=2, worker={"order": "strict"})
    project.send(
        {"type": name, "queue": name, "id": f"{name}{number}", "body": {"sleep_ms": 1}}
        for name in ("bulk", "critical")
        for number in range(1000)
    )
    project.worker()
    wait_until(lambda: project.journal_count("bulk.ndjson") == 1000, 60, "all have run")
    last = max(line["started_us"] for line in project.journal("critical.ndjson"))
    before = sum(line["started_us"] < last for line in project.journal("bulk.ndjson"))
    print(f"{before} of bulk before the last of critical")
    expect(project.journal_count("critical.ndjson") == 1000, "not all critical ones ran before the last of bulk")
    # What was fetched at the start, and what filled gaps; without the order it is 500 or all.
    expect(before <= 250, f"{before} of bulk ran before the last of critical")


main(flood_beside_critical, strict_order)
