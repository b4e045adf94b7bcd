"""Processes of a test: started, stopped by pid, never left behind; and what the kernel says about them."""

import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

from bidetest.waiting import wait_until

PR_SET_PDEATHSIG, PR_SET_TIMERSLACK = 1, 29
LIBC = ctypes.CDLL(None)


def die_with_parent():
    """In the child: SIGKILL when the test ends, however it ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def start(command, log, **options):
    """A process whose standard error goes to the file `log`."""
    with open(log, "ab") as errors:
        return subprocess.Popen(command, stderr=errors, preexec_fn=die_with_parent, **options)


class Worker:
    """A running `bide worker`."""

    def __init__(self, command, cwd, log, env=None):
        self.log = Path(log)
        self.process = start(
            command, log, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env={**os.environ, **(env or {})}
        )
        self.pid = self.process.pid

    def running(self):
        return self.process.poll() is None

    def tree(self):
        """Its pid and those of all its descendants (worker processes under a supervisor)."""
        found, queue = [], [self.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    queue += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
            except OSError:
                continue
        return found

    def named(self, name):
        """Pids of its descendants with this name: "bide-clock", "bide" for worker processes."""
        found = []
        for pid in self.tree()[1:]:
            try:
                found += [pid] if Path(f"/proc/{pid}/comm").read_text() == f"{name}\n" else []
            except OSError:
                continue  # it has ended
        return found

    def has_begun(self):
        """Before that a signal ends it as it ends any program. It has children then, or has said something."""
        return len(self.tree()) > 1 or self.log_text() or not self.running()

    def stop(self, seconds=60):
        """SIGTERM; returns its exit code (negative: the signal that ended it)."""
        if self.running():
            wait_until(self.has_begun, 60, "the worker has begun")
            self.process.terminate()
        return self.wait(seconds)

    def wait(self, seconds):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the worker did not end within {seconds} s; its log: {self.log_tail()}") from None

    def kill(self):
        """SIGKILL to it and all its descendants, as a power cut would."""
        for pid in self.tree():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def log_text(self):
        return self.log.read_text(errors="replace")

    def log_tail(self, lines=20):
        return "\n".join(self.log_text().split("\n")[-lines:])

    def cpu_ns(self):
        """CPU time of all threads of the tree so far, from the scheduler's own count."""
        total = 0
        for pid in self.tree():
            for task in os.listdir(f"/proc/{pid}/task"):
                total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
        return total

    def rss_kib(self):
        """Resident memory of the tree's largest process."""
        return max(status_kib(pid, "VmRSS") for pid in self.tree())


def status_kib(pid, key):
    for line in Path(f"/proc/{pid}/status").read_text().split("\n"):
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def wakeup_lateness_us(seconds, every_ms=1):
    """How late this machine wakes a thread that sleeps: sorted, in us. What a test's own limits are judged by.

    While it is held up for 50 ms, fifty wake-ups at a rate of 1000/s are late, not one: those it missed count too. There is one at
    least, also where the machine holds this process up for all of the time."""
    late, deadline, step_us = [], time.monotonic() + seconds, every_ms * 1000
    LIBC.prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)  # 1 ns, as a worker has it
    while not late or time.monotonic() < deadline:
        wanted_ns = time.monotonic_ns() + every_ms * 1_000_000
        time.sleep(every_ms / 1000)
        lateness_us = (time.monotonic_ns() - wanted_ns) / 1000
        while lateness_us >= 0:
            late.append(lateness_us)
            lateness_us -= step_us
    return sorted(late)
