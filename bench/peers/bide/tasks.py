"""A program for bide whose handler does nothing. BENCH_OUT: where each process writes what it ran."""

import os

import bide
from counting import Counter

counter = Counter(lambda: f"{os.environ['BENCH_OUT']}-{os.getpid()}")


@bide.handler("noop")
def noop(message):
    counter.ran(message.due_ms)


bide.serve()
