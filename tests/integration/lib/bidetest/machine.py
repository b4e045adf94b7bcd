"""What this machine can do, measured while a test runs: the measure for what the test may ask."""

import contextlib
import multiprocessing
import os

from bidetest.harness import expect
from bidetest.process import wakeup_lateness_us

# Beyond what the machine itself is late: this finds a message in a wrong rung of the ladder, all of whose rungs but the lowest are
# a second and more apart. test_lateness.py, which runs alone, measures how late messages are.
LATE_MS = 700


def measure_machine(pipe):
    for fd in map(int, os.listdir("/proc/self/fd")):  # what it has of the test, such as the other end of a sender's standard input
        if fd > 2 and fd != pipe.fileno():
            with contextlib.suppress(OSError):
                os.close(fd)
    worst_us = 0
    while not pipe.poll():
        worst_us = max(worst_us, wakeup_lateness_us(0.1)[-1])
    pipe.send(worst_us / 1000)


class Machine:
    """A process beside the run, which says how late this machine wakes a sleeping one at worst."""

    def __init__(self):
        self.pipe, theirs = multiprocessing.Pipe()
        multiprocessing.get_context("fork").Process(target=measure_machine, args=(theirs,), daemon=True).start()

    def worst_ms(self):
        """Since it began; asked once."""
        self.pipe.send("enough")
        return self.pipe.recv()

    def on_time(self, late_ms, most_ms=LATE_MS):
        """Lateness by name: none is early, none later than the machine at its worst and `most_ms` more.

        A hop that waits for a thread of the broker meets the machine's delays several times: each counts thrice."""
        worst = self.worst_ms()
        limit = most_ms + 3 * worst
        print(f"machine's worst {worst:.2f} ms, limit {limit:.2f} ms")
        for name, late in late_ms.items():
            print(f"  {name:>12}: {late:8.3f} ms late")
        for name, late in late_ms.items():
            expect(late >= 0, f"{name} ran {-late} ms early")
            expect(late <= limit, f"{name} ran {late} ms late, more than {limit}")
