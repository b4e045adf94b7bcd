"""What measures lateness shares: messages at a steady rate, and how late the machine itself is."""

import multiprocessing
import time

from bidetest.process import wakeup_lateness_us


def send_steadily(project, lines, rate):
    """These lines, made before, through `bide send --lines`, as the clock says."""
    sender, sent, started = project.sender(), 0, time.monotonic()
    while sent < len(lines):
        now = min(len(lines), int((time.monotonic() - started) * rate) + 1)
        sender.stdin.write(b"".join(lines[sent:now]))
        sender.stdin.flush()
        sent = now
        time.sleep(max(0.001, 1 / rate))
    sender.stdin.close()
    if sender.wait(60) != 0:
        raise AssertionError((project.dir / "send.log").read_text())


def watch_machine(seconds, pipe):
    pipe.send([us / 1000 for us in wakeup_lateness_us(seconds)])


class Machine:
    """A process that sleeps while a workload runs; `late` afterwards, in ms."""

    def __init__(self, seconds):
        self.pipe, theirs = multiprocessing.Pipe()
        multiprocessing.get_context("fork").Process(target=watch_machine, args=(seconds, theirs), daemon=True).start()

    def late(self):
        return self.pipe.recv()
