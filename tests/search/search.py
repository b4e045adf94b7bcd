#!/usr/bin/python3
"""The search for faults: a mixed workload, faults drawn from a seed, then the books. tests/search/README.md is the manual."""

import argparse
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration" / "lib")]
from bidetest.process import LIBC, PR_SET_PDEATHSIG  # noqa: E402

BROKERS = {"redis": "redis_faults", "sqlite": "sqlite_faults", "rabbitmq": "rabbitmq_faults"}
WORLDS = {"topics": ("topics", "topics, and a handler of batches, too"),  # option -> its module, its help
          "relay": ("relays", "an outbox and relays, too"),
          "spool": ("spools", "senders with a spool, too"),
          "transactions": ("transactions", "producers of transaction messages, too"),
          "schedules": ("schedules", "schedules and their clocks, too"),
          "limits": ("limits", "handlers with limits, too"),
          "keys": ("keys", "unique keys, cancelling, `once`, too")}
FIXED = {"redis": 24, "sqlite": 16, "rabbitmq": 16}  # how many seeds ./tests/run takes: 1 to this
MORE = 12  # seeds after the fixed ones, where a busy machine kept those from meeting everything
DEADLINE_S = 400  # of one seed


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", required=True, choices=BROKERS)
    parser.add_argument("--seed", type=int, help="one seed, here")
    parser.add_argument("--seeds", type=int, help="so many seeds (default: the fixed set)")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--minutes", type=float, help="seeds until this time is over")
    parser.add_argument("--jobs", type=int, default=4, help="seeds at once: each waits most of the time")
    parser.add_argument("--without", default="", metavar="KIND,…", help="leave these kinds, groups or options (globs) out")
    parser.add_argument("--only", default="*", metavar="KIND,…", help="only these kinds or groups of faults (globs)")
    for name, (_, text) in WORLDS.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    parser.add_argument("--build", help="the build folder (default: BIDE_BUILD, or build/release)")
    parser.add_argument("--plan", action="store_true", help="only print the decisions")
    parser.add_argument("--table", action="store_true", help="print how often each kind struck each operation")
    parser.add_argument("--complete", action="store_true", help="fail where a kind or an operation was never met")
    parser.add_argument("--counts", help=argparse.SUPPRESS)
    return parser.parse_args()


# ---- one seed, in this process ----


def modules_of(broker):
    return importlib.import_module(BROKERS[broker]), importlib.import_module("worker_faults")


def plan_of(arguments):
    from faults import make_plan
    adapter, workers = modules_of(arguments.broker)
    without, only = ([pattern for pattern in text.split(",") if pattern] for text in (arguments.without, arguments.only))
    plan = make_plan(arguments.seed, (adapter, workers), without, only, adapter.options)
    plan.worlds = tuple(importlib.import_module(WORLDS[name][0]) for name in worlds_of(arguments))
    for world in plan.worlds:
        world.add_rules(plan, adapter, without, only)
    return plan


def worlds_of(arguments):
    return [name for name in WORLDS if getattr(arguments, name)]


def one_seed(arguments):
    from run_seed import run
    plan = plan_of(arguments)
    print(plan.table(), flush=True)
    for world in plan.worlds:
        print(world.table(plan), flush=True)
    if arguments.plan:
        return 0
    findings, figures = run(plan, modules_of(arguments.broker)[0])
    for finding in findings:
        print(f"FINDING seed {plan.seed}: {finding}")
    if findings:
        print(f"faults injected: {', '.join(f'{kind} at {op} x{n}' for (kind, op), n in sorted(figures['counts'].items()))}\n"
              f"repeat it: tests/search/search.py {this_seed(arguments)}; shrink it: tests/search/shrink {this_seed(arguments)}")
    if arguments.counts:
        Path(arguments.counts).write_text(json.dumps({key: [[*pair, n] if isinstance(pair, tuple) else [pair, n]
                                                            for pair, n in figures[key].items()]
                                                      for key in ("counts", "seen")}))
    print(f"seed {plan.seed}: {'FAILED' if findings else 'ok'}", flush=True)
    return 1 if findings else 0


def this_seed(arguments):
    said = f"--broker {arguments.broker} --seed {arguments.seed}"
    said += "".join(f" --{name}" for name in worlds_of(arguments))
    said += f" --without '{arguments.without}'" if arguments.without else ""
    return said + (f" --only '{arguments.only}'" if arguments.only != "*" else "")


# ---- many seeds, a process each ----


def end_with_parent():
    """In the child: SIGTERM when whoever started it ends, however that ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class Many:
    def __init__(self, arguments):
        self.arguments = arguments
        self.counts, self.seen, self.failed, self.ran = Counter(), Counter(), [], 0
        self.until = time.monotonic() + arguments.minutes * 60 if arguments.minutes else None

    def numbers(self):
        first, many = self.arguments.first, self.arguments.seeds
        if many is None:
            many = 10**9 if self.until else FIXED[self.arguments.broker]
        return range(first, first + many)

    def one(self, seed):
        if self.until and time.monotonic() > self.until:
            return
        import tempfile
        with tempfile.TemporaryDirectory(prefix="bide-search-") as folder:
            counts = Path(folder) / "counts.json"
            command = [sys.executable, __file__, "--broker", self.arguments.broker, "--seed", str(seed), "--counts", str(counts)]
            command += ["--without", self.arguments.without, "--only", self.arguments.only]
            command += [f"--{name}" for name in worlds_of(self.arguments)]
            said, status, took = self.call(command)
            self.take(seed, said, status, took, json.loads(counts.read_text()) if counts.exists() else {})

    def call(self, command):
        since = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=end_with_parent) as seed:
            try:
                return seed.communicate(timeout=DEADLINE_S)[0], seed.returncode, time.monotonic() - since
            except subprocess.TimeoutExpired:
                seed.terminate()  # it stops its servers
                said = seed.communicate()[0]
                return f"{said}\nFINDING: the seed did not end within {DEADLINE_S} s", 1, time.monotonic() - since

    def take(self, seed, said, status, took, figures):
        self.ran += 1
        for kind, operation, n in figures.get("counts", ()):
            self.counts[kind, operation] += n
        for operation, n in figures.get("seen", ()):
            self.seen[operation] += n
        if status != 0:
            self.failed.append(seed)
            print(f"--- seed {seed} failed after {took:.1f} s:\n{said}", flush=True)
        else:
            books = next((line for line in said.split("\n") if line.startswith("books: ")), "")
            print(f"seed {seed}: ok, {took:.1f} s; {books}", flush=True)

    def run(self):
        shared = getattr(modules_of(self.arguments.broker)[0], "shared", contextlib.nullcontext)
        with shared(), ThreadPoolExecutor(self.arguments.jobs) as pool:
            list(pool.map(self.one, self.numbers_in_time()))
            after = self.numbers_in_time().stop
            for first in range(after, after + MORE, self.arguments.jobs):
                if not self.arguments.complete or self.failed or not self.incomplete():
                    break
                list(pool.map(self.one, range(first, first + self.arguments.jobs)))
        problems = self.incomplete() if self.arguments.complete else []
        if self.arguments.table or problems:
            print(table(self.counts))
        for problem in problems:
            print(problem)
        print(f"{self.ran} seeds, {sum(self.counts.values())} faults injected, {len(self.failed)} failed: {self.failed}")
        return 1 if self.failed or problems else 0

    def numbers_in_time(self):
        """A pool takes all its work at once: hours of seeds are given to it bit by bit."""
        numbers = self.numbers()
        return numbers if len(numbers) < 5000 else range(numbers.start, numbers.start + 5000)

    def incomplete(self):
        """Each kind was injected, each operation went by and was struck."""
        adapter, workers = modules_of(self.arguments.broker)
        kinds = {kind for kind, _ in self.counts}
        struck = {operation for _, operation in self.counts}
        never = [kind.name for module in (adapter, workers) for kind in module.KINDS if kind.name not in kinds]
        never_met = [name for name in adapter.OPERATIONS if name not in self.seen]
        never_struck = [name for name in adapter.OPERATIONS if name not in struck]
        return [f"{what}: {', '.join(names)}" for what, names in
                (("never injected", never), ("never went by", never_met), ("never struck", never_struck)) if names]


def table(counts):
    """Kinds in rows, operations in columns."""
    kinds, operations = (sorted({pair[place] for pair in counts}) for place in (0, 1))
    width = max((len(kind) for kind in kinds), default=4)
    lines = [f"{number + 1:3d} = {operation}" for number, operation in enumerate(operations)]
    lines.append(" " * width + "".join(f"{number + 1:5d}" for number in range(len(operations))) + "  all")
    for kind in kinds:
        row = [counts.get((kind, operation), 0) for operation in operations]
        lines.append(f"{kind:{width}s}" + "".join(f"{n or '·':>5}" for n in row) + f"{sum(row):5d}")
    return "\n".join(lines)


def main():
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped on the way out
    if arguments.build:
        os.environ["BIDE_BUILD"] = str(Path(arguments.build).resolve())
    if arguments.seed is None:
        return Many(arguments).run()
    try:
        return one_seed(arguments)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print(f"FINDING seed {arguments.seed}: the search itself failed", flush=True)
        return 1


sys.exit(main())
