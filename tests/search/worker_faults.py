"""Faults of workers: killed, stopped, reloaded, drained, paused, quiet. The worker of chance < 0.5 is the first."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from faults import DUPLICATES, Kind, in_turn
from workload import FAILED

OPERATIONS = ()
BEFORE_START = (*FAILED, -signal.SIGTERM, -signal.SIGHUP)  # how one may end that has not started yet
CONFIGS = ("bide.conf", "second.conf")

KINDS = (
    Kind("kill-process", "moment", DUPLICATES),
    Kind("kill-worker", "moment", DUPLICATES),
    Kind("stop-short", "moment", seconds=(0.1, 1.8)),  # shorter than a heartbeat lasts: nothing may come of it
    Kind("stop-long", "moment", DUPLICATES, seconds=(1.8, 5.0), weight=0.5),
    Kind("stop-supervisor", "moment", seconds=(0.5, 3.0)),
    Kind("reload", "moment"),
    Kind("drain", "moment"),
    Kind("pause", "moment", seconds=(0.2, 1.5)),
    Kind("quiet", "moment", seconds=(0.2, 1.5)),
)


def share(plan):
    return in_turn(plan, sys.modules[__name__], 1)


class Once:
    def __init__(self, action):
        self.action, self.lock = action, threading.Lock()

    def __call__(self, wait=True):
        """`wait`: for the end, where another thread is doing it just now."""
        if not self.lock.acquire(blocking=wait):
            return
        with contextlib.ExitStack() as stack:
            stack.callback(self.lock.release)
            action, self.action = self.action, None
            if action:
                action()


class Undoing:
    """What moments did that lasts: undone after its time or when all is healed, whichever comes first, and once."""

    def __init__(self):
        self.undo, self.undo_lock = [], threading.Lock()

    def later(self, seconds, action):
        once = Once(action)
        with self.undo_lock:
            self.undo.append(once)
        timer = threading.Timer(seconds, once)
        timer.daemon = True
        timer.start()

    def undo_all(self):
        with self.undo_lock:
            undo, self.undo = self.undo, []
        for wait in (False, True):  # what is under way may need what comes after it
            for once in undo:
                once(wait)


class Workers(Undoing):
    """Two workers, or more (`add`); each fault names one of them."""

    def __init__(self, project):
        super().__init__()
        self.project, self.injected = project, Counter()
        self.lock = threading.Lock()
        self.configs = list(CONFIGS)
        self.starter = ThreadPoolExecutor(1)  # its thread stays: a worker is killed when the thread that started it ends
        self.current = [self.start(place) for place in range(len(CONFIGS))]
        self.ended = []  # those that were told to end
        self.complaints = []
        self.watchers = []  # told of each kind before it is done; what they return is called afterwards
        self.paused = set()  # queues and types
        self.closed = False  # they were stopped for good

    def start(self, place):
        return self.project.worker("-c", self.configs[place], env={"BIDE_SEARCH_WORKER": str(place)})

    def add(self, config):
        """Another one, which faults may name from now on."""
        with self.lock:
            self.configs.append(config)
            self.current.append(self.starter.submit(self.start, len(self.current)).result())

    def serving(self):
        return all(map(has_started, self.current))

    def begin(self):
        pass

    def counts(self):
        return Counter(self.injected)

    def inject(self, decision):
        place = int(decision.chance * len(self.current))
        afterwards = [watcher(decision.kind.name) for watcher in self.watchers]
        if getattr(self, decision.kind.name.replace("-", "_"))(place, decision) is not False:
            self.injected[decision.kind.name, "worker"] += 1
        for call in afterwards:
            call()

    # ---- kinds ----

    def children(self, place):
        """Its processes, but for a clock: that has faults of its own (schedules.py)."""
        worker = self.current[place]
        clocks = worker.named("bide-clock")
        return [pid for pid in worker.tree()[1:] if pid not in clocks]

    def kill_process(self, place, decision):
        children = self.children(place)
        return bool(children) and tell(children[0], signal.SIGKILL)

    def kill_worker(self, place, decision):
        with self.lock:
            self.current[place].kill()
            self.ended.append((self.current[place], None))
            self.current[place] = self.start(place)

    def stop_short(self, place, decision):
        return self.stopped(self.children(place)[:1], decision.seconds)

    stop_long = stop_short

    def stop_supervisor(self, place, decision):
        return self.stopped([self.current[place].pid], decision.seconds)

    def reload(self, place, decision):
        return tell(self.current[place].pid, signal.SIGHUP)

    def drain(self, place, decision):
        """SIGTERM, and another worker beside it, as a deployment does."""
        with self.lock:
            old = self.current[place]
            if not has_started(old):
                return False
            tell(old.pid, signal.SIGTERM)
            self.ended.append((old, 0))
            self.current[place] = self.start(place)

    def quiet(self, place, decision):
        pid = self.current[place].pid
        self.later(decision.seconds, lambda: tell(pid, signal.SIGCONT))
        return tell(pid, signal.SIGTSTP)

    def pause(self, place, decision):
        name = ("probe", "side", "cargo")[int(decision.chance * 3)]
        self.paused.add(name)
        self.later(decision.seconds, lambda: self.project.bide("resume", name, expect=None, seconds=20))
        return self.project.bide("pause", name, expect=None, seconds=20).returncode == 0

    # ---- what lasts ----

    def stopped(self, pids, seconds):
        hit = [pid for pid in pids if tell(pid, signal.SIGSTOP)]
        self.later(seconds, lambda: [tell(pid, signal.SIGCONT) for pid in hit])
        return bool(hit)

    def heal(self):
        self.undo_all()
        self.resume_all()
        for worker, status in self.ended:
            if status is not None and worker.wait(30) not in (status, *(BEFORE_START if not has_started(worker) else ())):
                self.complaints.append(f"told to end, a worker ended with {worker.process.returncode}: {worker.log_tail(8)}")
        self.replace_ended()

    def resume_all(self):
        """Also where the first try met a supervisor that stood still."""
        for name in sorted(self.paused):
            self.project.bide("resume", name, expect=None, seconds=60)
        self.paused.clear()

    def replace_ended(self):
        """One that could not begin has said so and is started again, as a service manager does; others may not end."""
        if self.closed:
            return
        for place, worker in enumerate(self.current):
            if worker.running():
                continue
            if worker.process.returncode not in BEFORE_START or has_started(worker):
                self.complaints.append(f"nobody told it to, but worker {place + 1} ended with exit "
                                       f"{worker.process.returncode}: {worker.log_tail(6)}")
            self.ended.append((worker, None))
            self.current[place] = self.start(place)

    def all(self):
        return [worker for worker, _ in self.ended] + self.current


def tell(pid, number):
    """Whether there is such a process."""
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def has_started(worker):
    return "worker started" in worker.log_text()


def quiet_figures(workers, seconds):
    """CPU seconds and log lines a second of all workers while nothing is to be done."""
    before = sum(worker.cpu_ns() for worker in workers), sum(len(worker.log_text().split("\n")) for worker in workers)
    time.sleep(seconds)
    after = sum(worker.cpu_ns() for worker in workers), sum(len(worker.log_text().split("\n")) for worker in workers)
    return (after[0] - before[0]) / 1e9 / seconds, (after[1] - before[1]) / seconds
