#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 300
"""Twenty thousand messages of all sorts through two worker processes: every id ends exactly once."""

import random
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest import ledger  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

MESSAGES, ATTEMPTS = 20000, 4


def mix(count, seed=1):
    """Of twenty: ten at once, five delayed by 0–5 s, two fail once, one twice, one for ever, one is told to die."""
    draw = random.Random(seed)
    for number in range(count):
        row = {"type": "probe", "id": f"m{number:06d}", "body": {}}
        kind = number % 20
        if 10 <= kind < 15:
            row["delay"] = f"{draw.randrange(5000)}ms"
        elif kind in (15, 16, 17):
            row["body"] = {"fail": 1 if kind < 17 else 2}
        elif kind == 18:
            row["body"] = {"fail": 99}
        elif kind == 19:
            row["body"] = {"dead": True}
        yield row


def expected_end(identity):
    """Reason (None: done) and number of runs of a message of the mix."""
    kind = int(identity[1:]) % 20
    if kind == 18:
        return "exhausted", ATTEMPTS
    if kind == 19:
        return "rejected", 1
    return None, {15: 2, 16: 2, 17: 3}.get(kind, 1)


def compare_ends(books_of, journal, dead):
    runs = {line["id"]: line["attempt"] for line in journal if line["outcome"] == "done"}
    for row in dead:
        wanted = expected_end(row["id"])
        expect((row["reason"], row["attempts"]) == wanted, f"{row} should be {wanted}")
        expect(row["type"] == "probe" and row["queue"] == "default", f"{row}")
        expect("probe" in row["error"], f"{row}: what the handler said is missing")
    for identity, attempt in runs.items():
        expect(expected_end(identity) == (None, attempt), f"{identity} was done at attempt {attempt}")
    expect(len(runs) == books_of.done, "an id was done at two attempts")


def every_id_ends_once(project):
    project.configure(threads=4)
    workers = [project.worker(), project.worker()]
    rows = list(mix(MESSAGES))
    sent = project.send(rows)
    expect(sent == [row["id"] for row in rows], "the ids printed are not those sent, in order")
    wait_until(lambda: project.all_ended(sent), 120, lambda: f"everything has ended: {project.status()}")
    for worker in workers:
        expect(worker.stop() == 0, f"a worker ended with {worker.process.returncode}: {worker.log_tail()}")
    journal, dead = project.journal(), project.dead()
    books = ledger.close(sent, journal, dead)
    print(books)
    expect(books.balanced() and not books.duplicates, f"the books do not balance: {books}")
    expect(books.dead == MESSAGES // 10, f"{books.dead} dead, not {MESSAGES // 10}")
    compare_ends(books, journal, dead)
    pids = {line["worker_pid"] for line in journal}
    expect(len(pids) == 2, f"the work was not shared: pids {pids}")
    early = [line for line in journal if line["lateness_us"] < 0]
    expect(not early, f"{len(early)} ran early, such as {early[:1]}")


def replay_brings_them_home(project):
    project.configure(handlers=[project.probe(retry={"attempts": 1})])
    worker = project.worker()
    sent = project.send({"type": "probe", "id": f"r{number}", "body": {"fail": 1}} for number in range(300))
    wait_until(lambda: len(project.dead()) == 300, 60, "all are dead")
    worker.stop()
    project.configure(handlers=[project.probe(retry={"attempts": 2, "backoff": "fixed", "base": "50ms"})])
    project.worker()
    project.bide("dead", "retry", "--all", "--type", "probe")
    wait_until(lambda: project.all_ended(sent) and not project.dead(), 60, lambda: f"all came home: {project.status()}")
    books = ledger.close(sent, project.journal(), project.dead())
    expect(books.balanced() and books.done == 300, str(books))


main(every_id_ends_once, replay_brings_them_home)
