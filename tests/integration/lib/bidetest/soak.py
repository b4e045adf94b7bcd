"""A soak: messages of all sorts are sent without a pause, workers and broker killed at random; then the books."""

import json
import os
import random
import signal
import statistics
import threading
import time
from contextlib import nullcontext

from bidetest import ledger, rabbitmq, redis
from bidetest.harness import expect
from bidetest.process import status_kib
from bidetest.waiting import wait_until

THREADS, PREFETCH, WORKERS = 4, 16, 3
BATCH, BATCHES_PER_S = 60, 2
LANDING = 150  # at most so many of the delayed wait with a worker for their last half second
IN_FLIGHT = 2 * PREFETCH + THREADS + LANDING  # of two queues
MORE_RSS, MORE_KIB, MORE_FDS = 1.05, 2048, 4


# ---- brokers that can be restarted ----


class RabbitMQ(rabbitmq.Server):
    def address(self):
        return self.urls[0] + "?heartbeat=4&connect_timeout=3"

    def bounce(self, hard):
        self.run("kill-node" if hard else "stop-node", 1)
        self.start_node()


class Redis(redis.Server):
    def __init__(self):
        super().__init__("appendonly yes", "appendfsync always")

    def address(self):
        return self.url

    def bounce(self, hard):
        if hard:
            self.kill()
        self.restart()


SERVERS = {"sqlite": nullcontext, "rabbitmq": RabbitMQ, "redis": Redis}


# ---- sending ----


def body(draw):
    kind = draw.random()
    if kind < 0.70:
        return {"sleep_ms": draw.randrange(6)}
    if kind < 0.90:
        return {"fail": draw.randrange(1, 3)}
    return {"fail": 99} if kind < 0.95 else {"dead": True}


def row(draw, number):
    """Mostly good; one in 400 brings its process down, or hangs."""
    message = {"type": "probe", "id": f"s{number:07d}", "body": body(draw)}
    if draw.random() < 0.15:
        message["delay"] = f"{draw.randrange(4000)}ms"
    if draw.random() < 1 / 400:
        message.update(type="rough", body=draw.choice([{"crash": True}, {"exit": True}, {"hang": True}]))
    return message


class Feeder(threading.Thread):
    """Sends until it is stopped; what is not confirmed it sends again."""

    def __init__(self, project, seed):
        super().__init__()
        self.project, self.draw = project, random.Random(seed)
        self.sent, self.again = [], 0
        self.stopping, self.failure = threading.Event(), None

    def run(self):
        try:
            while not self.stopping.wait(1 / BATCHES_PER_S):
                self.send([row(self.draw, len(self.sent) + n) for n in range(BATCH)])
        except BaseException as failure:  # shown by finish
            self.failure = failure

    def send(self, rows):
        left = rows
        for attempt in range(60):
            text = "".join(json.dumps(one) + "\n" for one in left)
            done = self.project.bide("send", "--lines", text=text, expect=None, seconds=120)
            expect(done.returncode in (0, 69), f"send: exit {done.returncode}: {done.stderr[-500:]}")
            confirmed = set(done.stdout.split())
            left = [one for one in left if one["id"] not in confirmed]
            if not left:
                break
            self.again += len(left)
            time.sleep(0.3)
        expect(not left, f"{len(left)} are not confirmed after a minute: {done.stderr[-500:]}")
        self.sent += [one["id"] for one in rows]

    def finish(self):
        self.stopping.set()
        self.join(120)
        if self.failure:
            raise self.failure


# ---- looking ----


class Watcher(threading.Thread):
    """Memory and descriptors of a worker that is never killed, once a second."""

    def __init__(self, worker):
        super().__init__(daemon=True)
        self.worker, self.samples, self.stopping = worker, [], threading.Event()

    def run(self):
        while not self.stopping.wait(1):
            try:
                pids = self.worker.tree()
                kib = sum(status_kib(pid, "VmRSS") for pid in pids)
                self.samples.append((kib, sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)))
            except OSError:
                continue  # one has just ended

    def check_flat(self):
        """The middle of the run against its end; its first third is for warming up."""
        third = len(self.samples) // 3
        expect(third >= 5, f"only {len(self.samples)} samples")
        kib, fds = zip(*self.samples)
        rss, open_ = (statistics.median(values[third : 2 * third]) for values in (kib, fds))
        more_rss, more_open = (statistics.median(values[2 * third :]) for values in (kib, fds))
        print(f"steady worker: {rss:.0f} KiB in the middle, {more_rss:.0f} at the end; {open_:.0f}, {more_open:.0f} fds")
        expect(more_rss <= rss * MORE_RSS + MORE_KIB, f"memory grows: {rss} KiB became {more_rss}")
        expect(more_open <= open_ + MORE_FDS, f"descriptors grow: {open_} became {more_open}")


# ---- breaking ----


class Breaker:
    """Kills at random what may be killed: the steady worker may not."""

    def __init__(self, project, server, seed):
        self.project, self.server, self.draw = project, server, random.Random(seed)
        self.victims = [project.worker() for _ in range(WORKERS - 1)]
        self.counts = {"child": 0, "worker": 0, "replay": 0, "broker": 0}

    def one(self):
        kinds = ["child"] * 5 + ["worker"] * 3 + ["replay"] * 3 + ["broker"] * (2 if self.server else 0)
        kind = "broker" if self.server and sum(self.counts.values()) == 2 else self.draw.choice(kinds)
        getattr(self, kind)()
        self.counts[kind] += 1

    def child(self):
        pids = self.draw.choice(self.victims).tree()[1:]
        if pids:
            try:
                os.kill(self.draw.choice(pids), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def worker(self):
        place = self.draw.randrange(len(self.victims))
        self.victims[place].kill()
        self.victims[place] = self.project.worker()

    def replay(self):
        self.project.bide("dead", "retry", "--all", "--limit", "20", "--type", "probe", expect=None)

    def broker(self):
        self.server.bounce(hard=self.draw.random() < 0.5)

    def windows(self):
        """How often something was in flight when it ended."""
        died = sum(worker.log_text().count("worker process died") for worker in self.project.workers)
        return died + self.counts["worker"] + WORKERS * self.counts["broker"]


# ---- all of it ----


def handlers(project):
    rough = {"type": "rough", "queue": "rough", "timeout": "1s", "kill_after": "500ms",
             "retry": {"attempts": 2, "crash_attempts": 2, "backoff": "fixed", "base": "100ms"}}
    return [project.probe(), project.probe(**rough)]


def start_steady(project):
    """It serves only what does not bring it down."""
    usual, project.config = project.config, project.dir / "steady.conf"
    project.configure(handlers=handlers(project)[:1], threads=THREADS, worker={"prefetch": PREFETCH})
    steady = project.worker("-c", "steady.conf")
    project.config = usual
    return steady


def stop_all(project):
    for worker in project.workers:
        if worker.running():
            expect(worker.stop(60) == 0, f"a worker ended with {worker.process.returncode}: {worker.log_tail()}")


def close_books(project, feeder, breaker):
    wait_until(lambda: project.all_ended(feeder.sent), 120, lambda: f"all has ended: {where_it_hangs(project, feeder)}")
    books = ledger.close(feeder.sent, project.journal(), project.dead())
    windows = breaker.windows()
    print(f"{books}\n{breaker.counts}, {windows} ends with something in flight, {feeder.again} sent again")
    expect(books.balanced(), f"lost: {books}")
    most = windows * IN_FLIGHT + feeder.again
    expect(books.duplicate_ends() <= most, f"more duplicates than were in flight ({most}): {books}")


def where_it_hangs(project, feeder):
    ended = {line["id"] for line in project.journal() if line["outcome"] == "done"}
    ended |= {letter["id"] for letter in project.dead()}
    missing = sorted(set(feeder.sent) - ended)
    return f"{len(missing)} of {len(feeder.sent)} not, such as {missing[:5]}; {project.status()}"


def run(project, server, seconds, seed):
    if server:
        project.url = server.address()
    queues = [{"name": "default", "weight": 4}, {"name": "rough", "weight": 1}]
    project.configure(handlers=handlers(project), threads=THREADS, worker={"prefetch": PREFETCH}, queues=queues)
    steady = start_steady(project)
    breaker, feeder, watcher = Breaker(project, server, seed), Feeder(project, seed), Watcher(steady)
    feeder.start()
    watcher.start()
    draw, until = random.Random(seed), time.monotonic() + seconds
    while time.monotonic() < until and not feeder.failure:
        time.sleep(draw.uniform(1, 3))  # between two faults
        breaker.one()
        expect(steady.running(), f"the steady worker is gone: {steady.log_tail()}")
    feeder.finish()
    watcher.stopping.set()
    close_books(project, feeder, breaker)
    watcher.check_flat()
    stop_all(project)


def soak(project):
    minutes, seed = os.environ.get("BIDE_SOAK_MINUTES"), int(os.environ.get("BIDE_SOAK_SEED", random.randrange(10**9)))
    seconds = float(minutes) * 60 if minutes else 30
    print(f"{seconds:.0f} s, BIDE_SOAK_SEED={seed}", flush=True)
    with SERVERS[project.broker]() as server:
        run(project, server, seconds, seed)
