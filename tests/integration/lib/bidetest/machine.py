"""What this machine can do, measured while a test runs: the measure for what the test may ask."""

import multiprocessing

from bidetest.harness import expect
from bidetest.process import wakeup_lateness_us

# Beyond what the machine itself is late: this finds a message in a wrong rung of the ladder. test_lateness.py, which
# runs alone, measures how late messages are.
LATE_MS = 100


def measure_machine(seconds, pipe):
    pipe.send(wakeup_lateness_us(seconds)[-1] / 1000)


class Machine:
    """A process beside the run, which says how late this machine wakes a sleeping one at worst."""

    def __init__(self, seconds):
        self.pipe, theirs = multiprocessing.Pipe()
        multiprocessing.get_context("fork").Process(target=measure_machine, args=(seconds, theirs), daemon=True).start()

    def on_time(self, late_ms):
        """Lateness by name: none is early, none later than the machine at its worst and LATE_MS more.

        A hop that waits for a thread of the broker meets the machine's delays several times: each counts thrice."""
        worst = self.pipe.recv()
        limit = LATE_MS + 3 * worst
        print(f"machine's worst {worst:.2f} ms, limit {limit:.2f} ms")
        for name, late in late_ms.items():
            print(f"  {name:>12}: {late:8.3f} ms late")
        for name, late in late_ms.items():
            expect(late >= 0, f"{name} ran {-late} ms early")
            expect(late <= limit, f"{name} ran {late} ms late, more than {limit}")
