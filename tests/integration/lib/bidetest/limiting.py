"""For tests of limits: how many runs began in any time, and how many at once."""

import json

from bidetest.harness import expect
from bidetest.waiting import wait_until

# How long may pass between a permit and the start is part of the promise (50 ms); what the journal writes as the start is
# read right before the handler runs. So the count from the journal needs no tolerance.


def store_of(project):
    """A SQLite or Redis broker is its own store. RabbitMQ cannot be one."""
    return {"store": "sqlite:store.db"} if project.broker == "rabbitmq" else {}


def configure(project, limits, handler, processes=1, threads=4, worker=None, **settings):
    project.configure(
        [handler], threads=threads, limits=limits, worker={"processes": processes, **(worker or {})}, **store_of(project), **settings
    )


def starts(journal):
    return sorted(line["started_us"] for line in journal)


def most_in(starts_us, window_s):
    """The most that began in any time of this length."""
    most = first = 0
    for last, start in enumerate(starts_us):
        while start - starts_us[first] >= window_s * 1e6:
            first += 1
        most = max(most, last - first + 1)
    return most


def most_at_once(journal, took_ms):
    """By runs that take so long: the most whose times overlap."""
    ends = [(line["started_us"], 1) for line in journal] + [(line["started_us"] + took_ms * 1000, -1) for line in journal]
    most = now = 0
    for _, step in sorted(ends):
        now += step
        most = max(most, now)
    return most


def wait_for(project, sent, seconds):
    wait_until(lambda: project.journal_count() >= len(sent), seconds, lambda: f"{len(sent)} runs, not {project.journal_count()}")


def released(worker):
    """How many messages the processes of a worker that has stopped gave back unrun."""
    lines = [json.loads(line) for line in worker.log_text().splitlines() if '"worker stopped"' in line]
    return sum(line["released"] for line in lines)


def rate_holds(project, rate, count, key=None, processes=8, strict=False):
    """`count` messages wait; eight processes run them. Says the time that it took, over the shortest."""
    limit = {"name": "api", "rate": f"{rate}/1s", **({"key": key} if key else {})}
    configure(project, (limit,), project.journal_handler(limited_by="api"), processes, threads=2)
    sent = project.send([{"type": "journal", "body": {}, "headers": {"T": "one"}} for _ in range(count)])
    worker = project.worker()
    wait_for(project, sent, 60 + count / rate)
    worker.stop()
    begun = starts(project.journal())
    most, took_s, ideal_s = most_in(begun, 1), (begun[-1] - begun[0]) / 1e6, (count - 1) / rate
    moved = released(worker)
    said = f"{len(begun)} runs, at most {most} in any second, {took_s:.2f} s ({took_s / ideal_s:.3f} of the shortest), {moved} moved"
    print(f"  {key or 'no key'}: {said}")
    expect(len(begun) == count and {line["attempt"] for line in project.journal()} == {1}, f"each runs once: {said}")
    expect(most <= rate, said)
    if strict:  # what comes back too late on a busy machine, or is given back at the end, counts once more
        expect(moved <= 1.01 * count and took_s <= 1.1 * ideal_s, said)
