"""A peer at work: its worker's processes, what they ran, and its sender."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from bidetest.process import Worker, die_with_parent

PATIENCE_S = 240


def lines_of(path):
    """A last line that is not whole yet is left out."""
    text = path.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def ran(out):
    """What all processes of a worker have run so far: they write files whose names begin with `out` and a dash."""
    files = [lines for lines in map(lines_of, out.parent.glob(out.name + "-*")) if lines]
    last = [lines[-1] for lines in files]
    return {
        "runs": sum(line["runs"] for line in last),
        "first_us": min((line["first_us"] for line in last), default=0),
        "last_us": max((line["last_us"] for line in last), default=0),
        "late_ms": sorted(late for lines in files for line in lines for late in line["late_ms"]),
    }


def await_runs(out, n, worker):
    deadline = time.monotonic() + PATIENCE_S
    while (seen := ran(out))["runs"] < n:
        if time.monotonic() > deadline or not worker.running():
            raise AssertionError(f"{seen['runs']} of {n} jobs ran: {worker.log_tail()}")
        time.sleep(0.1)
    return seen


def run_rate(n, seen):
    """Jobs a second, from the first to the last."""
    return n / max(1e-6, (seen["last_us"] - seen["first_us"]) / 1e6)


def pss_mib(worker):
    """Of all its processes; what they share counts once."""
    total = 0
    for pid in worker.tree():
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().split("\n")
        total += sum(int(line.split()[1]) for line in rows if line.startswith("Pss:"))
    return total / 1024


def with_environment(command, variables):
    return ["env", *(f"{name}={value}" for name, value in variables.items()), *command]


class Working:
    """A worker of a peer, for as long as the with statement lasts. more: what else Peer.work takes."""

    def __init__(self, peer, port, folder, number, *more):
        self.out = folder / f"ran{number}"
        self.worker = Worker(with_environment(*peer.work(port, self.out, *more)), folder, folder / "worker.log")

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if failure[0]:
            print(self.worker.log_tail(), file=sys.stderr)
        self.worker.process.send_signal(signal.SIGTERM)
        try:
            self.worker.process.wait(15)
        except subprocess.TimeoutExpired:
            self.worker.kill()

    def await_runs(self, n):
        return await_runs(self.out, n, self.worker)

    def cpu_s(self):
        return self.worker.cpu_ns() / 1e9


def run_sender(command, variables, folder):
    """Its standard output."""
    done = subprocess.run(with_environment(command, variables), cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S,
                          preexec_fn=die_with_parent)
    if done.returncode != 0:
        raise AssertionError(f"sending failed: {done.stderr[-1500:]}")
    return done.stdout


def send(peer, port, folder, *load):
    """Seconds. load: messages, a second (0: as fast as it can), delay in ms, and what else Peer.send takes."""
    return float(run_sender(*peer.send(port, *load), folder).split()[-1])
