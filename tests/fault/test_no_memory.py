#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named
# seconds: 300
"""One in so many allocations of a worker's processes fails, its libraries' among them, for as long as it works: it drops
connections and processes, and goes on; what it was given ends."""

import struct
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest import ledger  # noqa: E402
from bidetest.faults import PREFETCH, THREADS, configure, mix, reaches, where_it_hangs  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.plugins import build_library  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

ONE_IN = {"sqlite": 1000, "rabbitmq": 1000, "redis": 4000}  # hiredis makes an object of each field of an answer
MESSAGES, HUNGRY = 2000, 1500
IN_FLIGHT = PREFETCH + THREADS + 1024  # with what is nearly due


class Memory:
    def __init__(self, project):
        self.file = project.dir / "no-memory"
        self.file.write_bytes(struct.pack("=qq", 0, 0))
        library = build_library("no_memory.c", project.dir / "no_memory.so")
        self.env = {"LD_PRELOAD": str(library), "NO_MEMORY": str(self.file)}

    def fails_one_in(self, number):
        with open(self.file, "r+b") as file:
            file.write(struct.pack("=q", number))

    def failed(self):
        return struct.unpack("=qq", self.file.read_bytes())[1]


def windows(worker):
    """How often something in flight was given up: with a connection, or with a process."""
    log = worker.log_text()
    return sum(log.count(text) for text in ("connection lost", "worker process died", "handlers did not return"))


def what_it_was_given_ends(project):
    memory = Memory(project)
    configure(project, project.url)
    worker = project.worker(env=memory.env)
    wait_until(lambda: "worker started" in worker.log_text(), 60, worker.log_tail)
    memory.fails_one_in(ONE_IN[project.broker])
    sent = project.send(mix(MESSAGES))
    reaches(project, worker, HUNGRY, 150)
    memory.fails_one_in(0)
    wait_until(lambda: project.all_ended(sent), 60, lambda: f"all has ended: {where_it_hangs(project, sent)}")
    expect(worker.running() and worker.stop() == 0, f"{worker.process.returncode}: {worker.log_tail()}")
    books = ledger.close(sent, project.journal(), project.dead())
    print(f"{memory.failed()} allocations failed, {windows(worker)} times something in flight was given up; {books}")
    expect(memory.failed() >= 3, "there was memory enough")
    expect(books.balanced(), f"lost: {books}")
    expect(books.duplicate_ends() <= (windows(worker) + 1) * IN_FLIGHT, f"more than was in flight: {books}")


main(what_it_was_given_ends)
