"""What the fault runs share: a mix of messages, and the books at the end."""

import json
import time

from bidetest import ledger
from bidetest.harness import expect
from bidetest.waiting import wait_until

THREADS, PREFETCH = 4, 32


def configure(project, url, **settings):
    project.url = url
    project.configure(threads=THREADS, worker={"prefetch": PREFETCH}, **settings)


def mix(count, prefix="f", sleep_ms=2, latest_ms=4000):
    """Of twenty: one delayed, one failing once, one hopeless; the others take a moment."""
    for number in range(count):
        row = {"type": "probe", "id": f"{prefix}{number:06d}", "body": {"sleep_ms": sleep_ms}}
        if number % 20 == 3:
            row["delay"] = f"{number * 7919 % latest_ms}ms"
        elif number % 20 == 4:
            row["body"] = {"fail": 1}
        elif number % 20 == 5:
            row["body"] = {"dead": True}
        yield row


def line(row):
    """As `send --lines` reads it."""
    return json.dumps(row) + "\n"


def reaches(project, worker, goal, seconds=60):
    wait_until(lambda: project.journal_count() >= goal, seconds,
               lambda: f"{project.journal_count()} lines of {goal}: {worker.log_tail()}")


def goes_on(project, worker, what, seconds=60):
    """Waits until more has run than now; prints how long that took."""
    count, since = project.journal_count(), time.monotonic()
    reaches(project, worker, count + 1, seconds)
    print(f"{what}: work goes on after {time.monotonic() - since:.2f} s")


def where_it_hangs(project, sent):
    missing = set(sent) - {line["id"] for line in project.journal() if line["outcome"] == "done"}
    missing -= {row["id"] for row in project.dead()}
    status = project.status()
    rungs = [rung for rung in status.pop("rungs") if rung["messages"]]
    return f"{len(missing)} not, such as {sorted(missing)[:5]}; {status}, rungs {rungs}"


def close_books(project, workers, sent, most_duplicates, seconds=90):
    """All sent has ended, the workers end well, nothing is lost or early, duplicates are within what is allowed."""
    wait_until(lambda: project.all_ended(sent), seconds, lambda: f"all has ended: {where_it_hangs(project, sent)}")
    for worker in workers:
        expect(worker.stop() == 0, f"a worker ended with {worker.process.returncode}: {worker.log_tail()}")
        expect("worker process died" not in worker.log_text(), worker.log_tail(40))
    books = ledger.close(sent, project.journal(), project.dead())
    print(books)
    expect(books.balanced(), f"lost: {books}")
    expect(books.duplicate_ends() <= most_duplicates, f"more duplicates than {most_duplicates}: {books}")
    early = [line for line in project.journal() if line["lateness_us"] < 0]
    expect(not early, f"{len(early)} ran early, such as {early[:2]}")
    return books
