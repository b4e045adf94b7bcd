#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 120
"""`once`: copies do not run, whoever is killed; and a store that is away takes nothing away (docs/once.md).

BIDE_AWAY_S: for how long the store is away (default: until that has been noticed, and 2 s)."""

import json
import os
import sqlite3
import sys
import time
from collections import Counter

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest import ledger  # noqa: E402
from bidetest.console import LocalConsole  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.proxy import Proxy  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

IDS, THREADS, PREFETCH, KILLS = 2000, 4, 32, 2
AWAY_S = float(os.environ.get("BIDE_AWAY_S", 2))


def place_of(project):
    """host:port of the broker."""
    return project.url.split("://", 1)[1].rsplit("@", 1)[-1].split("/", 1)[0]


def store_of(project):
    """A SQLite or Redis broker is its own store. RabbitMQ cannot be one."""
    return {"store": "sqlite:store.db"} if project.broker == "rabbitmq" else {}


class Store:
    """A store that can be taken away: a Redis that stands still, or a SQLite file in which somebody else writes for long."""

    def __init__(self, project):
        self.file = project.dir / "store.db"
        self.proxy, self.url = None, "sqlite:store.db"
        if project.broker == "redis":
            place = place_of(project)
            self.proxy = Proxy(int(place.rsplit(":", 1)[1]))
            self.url = project.url.replace(place, f"127.0.0.1:{self.proxy.port}")

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if self.proxy:
            self.proxy.__exit__(*failure)

    def take_away(self):
        if self.proxy:
            self.proxy.freeze()
            return
        self.blocker = sqlite3.connect(self.file, timeout=30, isolation_level=None)
        self.blocker.execute("BEGIN IMMEDIATE")

    def bring_back(self):
        if self.proxy:
            self.proxy.resume()
            return
        self.blocker.execute("ROLLBACK")
        self.blocker.close()


def of_workers(workers, event):
    """The fields of the lines that say this, of all processes of these workers."""
    lines = (line for worker in workers for line in worker.log_text().splitlines() if event in line)
    return [json.loads(line) for line in lines]


def copies_do_not_run(project):
    """Every id is sent twice, some copies far apart, while workers are killed: the runs beyond the first one are at most
    what was between the end of its run and the store's commit."""
    project.configure([project.probe(once="1h")], threads=THREADS, worker={"prefetch": PREFETCH}, **store_of(project))
    rows = [{"type": "probe", "id": f"o{number:05d}", "body": {"fail": 1} if number % 10 == 4 else {}} for number in range(IDS)]
    sent = project.send(rows + rows[: IDS // 2])
    steady, victim = project.worker(), project.worker()
    workers = [steady, victim]
    for kill in range(1, KILLS + 1):
        goal = IDS * kill // (KILLS + 2)
        wait_until(lambda: project.journal_count() >= goal, 60, f"{goal} lines in the journal")
        victim.kill()
        victim = project.worker()
        workers.append(victim)
    project.send(rows[IDS // 2 :])
    wait_until(lambda: project.all_ended(sent), 60, lambda: f"everything has ended: {project.status()}")
    wait_until(lambda: project.left() == 0, 60, lambda: f"nothing is left: {project.status()}")
    expect(steady.stop() == 0 and victim.stop() == 0, "a worker did not end with 0")
    books = ledger.close(sent, project.journal(), project.dead())
    print(books)
    expect(books.balanced() and books.dead == 0, f"lost: {books}")
    window = KILLS * (PREFETCH + THREADS)
    expect(books.duplicate_ends() <= window, f"more ran twice than the window lets ({window}): {books}")
    known = sum(line["duplicate"] for line in of_workers(workers, "worker stopped"))
    expect(known > IDS // 2, f"only {known} copies were counted as duplicates")


def the_store_is_away(project):
    """Nothing is lost, no attempt is burnt, others run on (also where all places are taken by what ran and could not be
    noted), and it goes on by itself."""
    with Store(project) as store:
        handlers = [project.probe(once="1h"), project.probe(type="plain")]
        project.configure(handlers, threads=THREADS, worker={"prefetch": THREADS}, store=store.url)
        worker = project.worker()
        console = LocalConsole(project, worker)
        sent = project.send({"type": "probe", "id": f"b{number}", "body": {"until": "go"}} for number in range(THREADS))
        wait_until(lambda: console.metrics()[("bide_pool_threads_busy",)] == THREADS, 60, "all places are taken")
        store.take_away()
        project.release()
        sent += project.send({"type": "probe", "id": f"a{number:05d}", "body": {"sleep_ms": 1}} for number in range(IDS // 4))
        wait_until(lambda: "the store is away" in worker.log_text(), 60, "it is noticed")
        plain = project.send({"type": "plain", "id": f"p{number:03d}", "body": {}} for number in range(100))
        wait_until(lambda: {line["id"] for line in project.journal()} >= set(plain), 60, "others run on")
        time.sleep(AWAY_S)
        during = project.journal_count()
        store.bring_back()
        wait_until(lambda: project.all_ended(sent + plain), 60, lambda: f"everything has ended: {project.status()}")
        metrics = console.metrics()
        expect(worker.stop() == 0, worker.log_tail())
    expect(metrics[("bide_store_errors_total",)] > 0 and metrics[("bide_store_away",)] == 0, f"{metrics}")
    expect(metrics[("bide_store_operations_total", "acquire")] >= len(sent), f"{metrics}")
    runs = project.journal()
    expect(len(runs) == len(sent + plain), f"{len(runs)} runs of {len(sent)} + {len(plain)}: {Counter(r['id'] for r in runs).most_common(3)}")
    expect({run["attempt"] for run in runs} == {1}, "an attempt was burnt")
    expect(during < len(runs), "the store was away when nothing was left to do")
    said = [len(of_workers([worker], event)) for event in ("the store is away", "the store is back")]
    # Once; on a busy machine the store itself may be as good as away for a moment.
    expect(said[0] == said[1] and 1 <= said[0] <= 3, f"said {said} times that it is away, and back")


def a_worker_ends_while_the_store_is_away(project):
    """What has ended done is acknowledged, what has not begun goes back; within the time it has for that."""
    with Store(project) as store:
        project.configure([project.probe(once="1h")], threads=THREADS, worker={"drain": "2s"}, store=store.url)
        worker = project.worker()
        sent = project.send({"type": "probe", "id": f"e{number:03d}", "body": {"sleep_ms": 20}} for number in range(200))
        wait_until(lambda: project.journal_count() > 50, 60, "it runs")
        store.take_away()
        began = time.monotonic()
        expect(worker.stop() == 0, worker.log_tail())
        print(f"left after {time.monotonic() - began:.1f} s")
        store.bring_back()
        worker = project.worker()
        wait_until(lambda: project.all_ended(sent), 60, lambda: f"everything has ended: {project.status()}")
        expect(worker.stop() == 0, worker.log_tail())
    books = ledger.close(sent, project.journal(), project.dead())
    expect(books.balanced() and books.duplicate_ends() == 0, f"{books}")


def a_lost_acknowledgement_runs_nothing_twice(project):
    """RabbitMQ: the connection is lost while messages run, and is back when they have ended."""
    if project.broker != "rabbitmq":
        return
    direct, place = project.url, place_of(project)
    with Proxy(int(place.rsplit(":", 1)[1])) as proxy:
        project.url = direct.replace(place, f"127.0.0.1:{proxy.port}")
        project.configure(threads=THREADS)
        worker = project.worker()
        project.url = direct
        console = LocalConsole(project, worker)
        sent = project.send({"type": "probe", "id": f"l{number}", "body": {"until": "go"}} for number in range(THREADS))
        wait_until(lambda: (console.handler("probe") or {}).get("running") == THREADS, 60, "they run")
        proxy.freeze()
        proxy.cut()
        project.release()
        wait_until(lambda: project.journal_count() == THREADS, 60, "they have ended")
        proxy.resume()
        wait_until(lambda: console.handler("probe")["duplicate"] == THREADS, 60, lambda: f"they are known: {worker.log_tail()}")
        expect(worker.stop() == 0, worker.log_tail())
    expect(sorted(line["id"] for line in project.journal()) == sorted(sent), f"{project.journal()}")


def without_a_store_it_is_refused(project):
    """By a worker at its start, and by `bide check`: with the feature, the option and an example."""
    if project.broker == "sqlite":
        project.url = "amqp://localhost:1/"  # which nobody needs to be for this
    if project.broker == "redis":
        return
    project.configure([project.probe(once="1h")])
    for command, status in (("worker", 78), ("check", None)):
        done = project.bide(command, expect=status)
        said = done.stdout + done.stderr
        for part in ("`once` of handler 'probe' needs a store", "store = ", "redis://"):
            expect(part in said, f"{command} does not say {part}: {said}")



main(
    copies_do_not_run, the_store_is_away, a_worker_ends_while_the_store_is_away,
    a_lost_acknowledgement_runs_nothing_twice, without_a_store_it_is_refused,
)
