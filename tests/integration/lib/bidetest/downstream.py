"""What a worker depends on is down for a while: a webhook's target, or the broker. No message pays for it."""

import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

from bidetest.harness import expect
from bidetest.process import start
from bidetest.project import BUILD, read_lines
from bidetest.proxy import Proxy
from bidetest.waiting import wait_until

MESSAGES, THREADS = 5000, 4
PROMPT_S = 30  # after the return, until work goes on, on a busy machine
ALL_S = 120


class Target:
    """http_target on a port of its own, stopped and started."""

    def __init__(self, project):
        self.dir, self.log, self.port, self.process = project.dir, project.dir / "target.ndjson", 0, None

    def up(self):
        command = [str(BUILD / "tests" / "http_target"), str(self.log), str(self.port)]
        self.process = start(command, self.dir / "target.log", stdout=subprocess.PIPE, text=True)
        said = self.process.stdout.readline()
        expect(said.startswith("port "), f"http_target said '{said}'")
        self.port = int(said.split()[1])

    def down(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def count(self):
        return self.log.read_bytes().count(b"\n") if self.log.exists() else 0


def hook(target, seconds):
    """A webhook with a breaker whose longest pause is a small part of the outage."""
    return {
        "type": "hook", "plugin": "webhook", "queue": "hooks",
        "retry": {"attempts": 3, "backoff": "fixed", "base": "100ms"},
        "breaker": {"failure_rate": 0.5, "window": "2s", "min_runs": 10, "pause": "250ms",
                    "max_pause": f"{seconds * 100}ms"},
        "settings": {"url": f"http://127.0.0.1:{target.port}/ok"},
    }


def webhook_is_down(project, seconds):
    target = Target(project)
    target.up()
    project.configure(handlers=[hook(target, seconds), project.probe(queue="others")], threads=THREADS,
                      worker={"processes": 2}, queues=[{"name": "hooks"}, {"name": "others"}])
    worker = project.worker()
    sent = project.send({"type": "hook", "id": f"h{number:05d}", "body": {}} for number in range(MESSAGES // 5))
    wait_until(lambda: target.count() >= len(sent) // 2, 60, lambda: f"the hooks run: {worker.log_tail()}")
    target.down()
    before = target.count()
    sent += project.send(
        {"type": "hook", "id": f"h{number:05d}", "body": {}} for number in range(MESSAGES // 5, MESSAGES)
    )
    ended = time.monotonic() + seconds
    wait_until(lambda: "circuit opened" in worker.log_text(), 60, lambda: f"the circuit opens: {worker.log_tail()}")
    project.send([{"type": "probe", "id": "other", "body": {}}])
    wait_until(lambda: project.journal_count() > 0, PROMPT_S, "another type is served meanwhile")
    wait_until(lambda: time.monotonic() > ended, 60, "the outage is over")
    target.up()
    back = time.monotonic()
    wait_until(lambda: target.count() > before, seconds / 10 + PROMPT_S, lambda: f"work goes on: {worker.log_tail()}")
    print(f"work went on {time.monotonic() - back:.2f} s after the target was back")
    wait_until(lambda: target.count() >= len(sent) and project.left() == 0, ALL_S,
               lambda: f"all are delivered: {target.count()}; {project.status()}; {worker.log_tail()}")
    print(f"all were delivered {time.monotonic() - back:.2f} s after the target was back")
    expect(worker.stop() == 0, worker.log_tail())
    look_at_requests(project, worker, read_lines(target.log), sent)


def look_at_requests(project, worker, requests, sent):
    delivered = {row["id"] for row in requests}
    burnt = [row for row in requests if row["attempt"] != "1"]
    log = worker.log_text()
    print(f"{len(burnt)} of {len(sent)} burnt an attempt; {log.count('run as a probe')} probes")
    expect(delivered == set(sent), f"{len(set(sent) - delivered)} were not delivered")
    expect(not project.dead(), f"dead: {project.dead()[:3]}")
    worst = max(int(row["attempt"]) for row in requests)
    expect(worst <= 2, f"one is at its attempt {worst}: {[row for row in burnt if row['attempt'] == str(worst)][:3]}")
    expect(len(burnt) < 200, f"{len(burnt)} burnt an attempt before the circuit opened")
    for said in ("circuit opened", "circuit half-open", "circuit stays open", "circuit closed"):
        expect(said in log, f"the log does not say '{said}'")


# ---- the broker ----

@contextmanager
def outage_of_file(project):
    """Another program has the SQLite file to itself."""
    with closing(sqlite3.connect(project.dir / "bide.db", timeout=30, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("ROLLBACK")


@contextmanager
def outage_of_server(proxy):
    """Connections end, and new ones get no further than to the port."""
    target, proxy.target = proxy.target, 1
    proxy.cut()
    yield
    proxy.target = target


def broker_is_down(project, seconds):
    if project.broker == "sqlite":
        go_through_outage(project, seconds, lambda: outage_of_file(project))
        return
    direct = urlsplit(project.url)
    with Proxy(direct.port) as proxy:
        proxied = direct._replace(netloc=direct.netloc.rsplit(":", 1)[0] + f":{proxy.port}").geturl()
        project.url = proxied
        go_through_outage(project, seconds, lambda: outage_of_server(proxy))


def go_through_outage(project, seconds, outage):
    project.configure(handlers=[project.probe()], threads=THREADS)
    sent = project.send({"type": "probe", "id": f"b{number:05d}", "body": {"sleep_ms": 2}} for number in range(MESSAGES))
    worker = project.worker()
    wait_until(lambda: project.journal_count() > 50, 60, lambda: f"work goes on: {worker.log_tail()}")
    with outage():
        ended = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > ended, 60, "the outage is over")
        expect(worker.running(), f"the worker did not live through it: {worker.log_tail()}")
        before = project.journal_count()
        expect(before < len(sent), "all ran before the outage: it showed nothing")
    back = time.monotonic()
    wait_until(lambda: project.journal_count() > before, 2 * PROMPT_S, lambda: f"work goes on: {worker.log_tail()}")
    print(f"work went on {time.monotonic() - back:.2f} s after the broker was back")
    wait_until(lambda: project.all_ended(sent), ALL_S, lambda: f"all are done: {project.status()}; {worker.log_tail()}")
    expect(worker.stop() == 0, worker.log_tail())
    runs = project.journal()
    expect({line["id"] for line in runs} == set(sent), "lost")
    expect(not project.dead(), f"dead: {project.dead()[:3]}")
    worst = max(line["attempt"] for line in runs)
    print(f"{len(runs) - len(sent)} ran twice; the highest attempt is {worst}")
    expect(worst == 1, f"an outage of the broker burnt attempts: {worst}")
