#!/usr/bin/python3
# brokers: rabbitmq redis
# seconds: 240
"""A network that fails: connections cut in the middle of a frame after a random number of bytes, frozen, slow; while
messages are sent, received, settled and replayed. What was confirmed ends, and work goes on by itself. BIDE_FAULT_SEED
repeats a run's choices."""

import os
import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit, urlunsplit

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest import faults, ledger  # noqa: E402
from bidetest.faults import PREFETCH, THREADS, goes_on, mix, reaches, where_it_hangs  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.proxy import Proxy  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

SEED = int(os.environ.get("BIDE_FAULT_SEED", random.randrange(10**9)))
QUICK = {"rabbitmq": "heartbeat=2&connect_timeout=2", "redis": "timeout=2&connect_timeout=2"}
IN_FLIGHT = PREFETCH + THREADS + 1024  # with what is nearly due
UNANSWERED = 300  # of a sender that tries again by itself: all of one call
PATIENT = {"rabbitmq": "heartbeat=20&connect_timeout=9", "redis": "timeout=9&connect_timeout=9"}  # where nothing stands still
FROZEN_S, AT_ONCE = 3, 12
HANDSHAKE = 12  # pieces at most: header, start, start-ok, tune, tune-ok with open, open-ok; a busy machine makes two of one
LONGEST = 40_000  # bytes until a cut: anywhere from the handshake to the last frame of some hundred messages


class Scene:
    """A project whose broker is behind a proxy; `direct` is the way past it."""

    def __init__(self, project):
        self.project, self.direct = project, project.url
        url = urlsplit(project.url)
        self.proxy, self.draw = Proxy(url.port), random.Random(SEED)
        login = url.netloc.rpartition("@")
        place = "".join(login[:2]) + f"127.0.0.1:{self.proxy.port}"
        self.through = urlunsplit((url.scheme, place, url.path, QUICK[project.broker], ""))
        self.again = 0
        print(f"BIDE_FAULT_SEED={SEED}")

    def __enter__(self):
        self.proxy.__enter__()
        self.configure(self.through)
        return self

    def __exit__(self, *failure):
        self.proxy.__exit__(*failure)

    def configure(self, url):
        faults.configure(self.project, url)

    def send(self, rows):
        """In pieces, each of which may be cut off; what was not confirmed is sent again."""
        sent, left = [], list(rows)
        for cut in range(40):
            if cut < 3:
                self.proxy.truncate_after(self.draw.randrange(LONGEST))
            text = "".join(faults.line(row) for row in left)
            done = self.project.bide("send", "--lines", text=text, expect=None, seconds=120)
            expect(done.returncode in (0, 69), f"exit {done.returncode}: {done.stderr[-500:]}")
            confirmed = done.stdout.split()
            sent += confirmed
            left = [row for row in left if row["id"] not in set(confirmed)]
            self.again += len(left)
            if not left:
                return sent
        raise AssertionError(f"{len(left)} could not be sent: {done.stderr[-500:]}")

    def close_books(self, workers, sent, most):
        self.configure(self.direct)
        project = self.project
        wait_until(lambda: project.all_ended(sent), 90, lambda: f"all has ended: {where_it_hangs(project, sent)}")
        for worker in workers:
            expect(worker.stop() == 0, worker.log_tail())
            expect("worker process died" not in worker.log_text(), worker.log_tail(40))
        books = ledger.close(sent, project.journal(), project.dead())
        print(f"{books}; {self.proxy.truncated} cut in a frame, {self.again} sent again")
        expect(books.balanced(), f"lost: {books}")
        expect(books.duplicate_ends() <= most, f"more duplicates than {most}: {books}")


def cut_while_sending(project):
    with Scene(project) as scene:
        sent = []
        for round_ in range(10):
            sent += scene.send(mix(300, f"cut{round_}-", latest_ms=1500))
        expect(scene.proxy.truncated >= 4, f"only {scene.proxy.truncated} cuts")
        scene.proxy.allowed = None
        scene.close_books([project.worker()], sent, scene.again + UNANSWERED * scene.proxy.truncated)


def steps_of_a_sending(project):
    """From the first byte to the last, each piece of the exchange in turn is kept back, halved or stands still: a sender that
    says it has sent has sent."""
    url = urlsplit(project.url)
    faults.configure(project, project.url)
    project.bide("send", "probe", "{}", "--id", "first")
    worker = project.worker()

    def send(piece, what):
        """Returns what it was called, its exit code, how many pieces there were."""
        with Proxy(url.port) as proxy:
            proxy.fail_at(piece, what)
            through = project.url.replace(str(url.port), str(proxy.port)) + "?" + (QUICK if what == "freeze" else PATIENT)[project.broker]
            resume = threading.Timer(FROZEN_S, proxy.resume)
            resume.start()
            identity = f"{what}{piece}"
            done = project.bide("send", "probe", "{}", "--id", identity, "--broker", through, expect=None, seconds=120)
            resume.cancel()
            expect(done.returncode in (0, 69), f"{identity}: exit {done.returncode}: {done.stderr[-500:]}")
            return identity, done.returncode, proxy.pieces

    whole, code, pieces = send(0, "whole")
    expect(code == 0 and pieces > 5, f"exit {code} after {pieces} pieces")
    steps = [(piece, what) for what in ("freeze", "cut", "halve") for piece in range(1, pieces + 1)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = list(pool.map(lambda step: send(*step), steps))
    sent = ["first", whole, *(name for name, code, _ in ends if code == 0)]
    print(f"{len(steps)} faults at {pieces} pieces; in spite of them {len(sent) - 2} were sent")
    expect(len(sent) >= 4, f"only {len(sent)} were sent")  # from the message itself on it tries again
    if project.broker == "rabbitmq":  # … and once the broker has let it in
        given_up = [f"{what}{piece}" for (piece, what), (_, code, _) in zip(steps, ends)
                    if code and what != "freeze" and piece > HANDSHAKE]
        expect(not given_up, f"not tried again: {given_up}")
    wait_until(lambda: project.all_ended(sent), 60, lambda: f"all has ended: {where_it_hangs(project, sent)}")
    expect(worker.stop() == 0, worker.log_tail())


def cut_while_working(project):
    """Receiving and settling: the worker's connections end after a random number of bytes, again and again."""
    with Scene(project) as scene:
        scene.configure(scene.direct)
        sent = project.send(mix(4000, latest_ms=3000))
        scene.configure(scene.through)
        worker = project.worker()
        for cut in range(1, 9):
            reaches(project, worker, 300 * cut)
            scene.proxy.truncate_after(scene.draw.randrange(LONGEST))
            wait_until(lambda: scene.proxy.truncated == cut, 60, lambda: f"cut {cut} happens: {worker.log_tail()}")
            goes_on(project, worker, f"cut {cut}", 60)
        scene.close_books([worker], sent, 8 * IN_FLIGHT)


def cut_while_replaying(project):
    """Dead letters are queued again through a connection that ends somewhere: they are dead or queued, or both."""
    with Scene(project) as scene:
        scene.configure(scene.direct)
        sent = project.send({"type": "probe", "id": f"r{n:04d}", "body": {"dead": True}} for n in range(400))
        worker = project.worker()
        wait_until(lambda: project.left() == 0 and len(project.dead()) == len(sent), 60, "all are dead")
        expect(worker.stop() == 0, worker.log_tail())
        failed = 0
        for _ in range(6):
            scene.configure(scene.through)
            scene.proxy.truncate_after(scene.draw.randrange(LONGEST))
            done = project.bide("dead", "retry", "--all", expect=None, seconds=120)
            expect(done.returncode in (0, 69), f"exit {done.returncode}: {done.stderr[-500:]}")
            failed += done.returncode != 0
            scene.proxy.allowed = None
            scene.configure(scene.direct)
            worker = project.worker()
            wait_until(lambda: project.left() == 0 and len(project.dead()) >= len(sent), 60,
                       lambda: f"all are dead again: {project.status()}")
            expect(worker.stop() == 0, worker.log_tail())
        print(f"{failed} of 6 replays ended early, {scene.proxy.truncated} cuts")
        scene.close_books([], sent, scene.proxy.truncated * len(sent))


def frozen_and_slow(project):
    """No end and no answer for longer than the worker waits; then everything 30 ms late."""
    with Scene(project) as scene:
        scene.configure(scene.direct)
        sent = project.send(mix(3000, latest_ms=3000))
        scene.configure(scene.through)
        worker = project.worker()
        reaches(project, worker, 300)
        scene.proxy.freeze()
        words = {"rabbitmq": "heartbeat", "redis": "no answer"}[project.broker]
        wait_until(lambda: words in worker.log_text(), 60, lambda: f"the worker notices: {worker.log_tail()}")
        scene.proxy.resume()
        goes_on(project, worker, "freeze", 60)
        scene.proxy.delay = 0.03
        sent += scene.send(mix(100, "slow"))
        scene.proxy.allowed = None
        scene.close_books([worker], sent, 12 * IN_FLIGHT)


main(steps_of_a_sending, cut_while_sending, cut_while_working, cut_while_replaying, frozen_and_slow)
