"""Faults of SQLite: of the calls on its files (sqlite_faults.c, preloaded into bide), of other users of the file, of the file."""

import mmap
import os
import sqlite3
import struct
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from bidetest.plugins import compile_shared

from faults import DUPLICATES, Kind, in_turn
from worker_faults import Undoing

# The order of enum call and enum file in sqlite_faults.c.
CALLS = tuple(f"{call} {file}" for call in ("write", "read", "sync", "truncate") for file in ("database", "wal"))
OPERATIONS = CALLS[:-1]  # the log of changes keeps its size until its last user leaves
HOT = ("write wal", "read database", "read wal", "sync wal")
FAULTS = {"eio": 1, "enospc": 2, "short-write": 3, "slow-call": 4}
WRITES = ("write database", "write wal")
RULES = 64
HEAD = "=2i8q8q2i"  # full, broken; seen; refused; n_rules
RULE = "=2i3q"

KINDS = (
    Kind("eio", "rule"),
    Kind("enospc", "rule", only=(*WRITES, "truncate database")),
    Kind("short-write", "rule", only=WRITES),
    Kind("slow-call", "rule", seconds=(0.05, 1.0)),
    Kind("disk-full", "moment", seconds=(0.1, 2.0), weight=2),
    Kind("disk-broken", "moment", seconds=(0.1, 1.0)),
    Kind("writer-holds", "moment", seconds=(0.1, 4.0)),
    Kind("reader-holds", "moment", seconds=(1.0, 9.0), weight=2),
    Kind("checkpoint", "moment"),
    Kind("file-replaced", "moment", DUPLICATES, alone=True),  # a sender writes again what somebody ran from the old file
)


def options(draw, plan):
    chosen = {}
    if draw.random() < 0.3:
        chosen["link"] = True  # the second worker knows the file by a symbolic link
    size = draw.random()
    if size < 0.4:
        chosen["big"] = True  # headers of some KiB: the log of changes grows, checkpoints happen
    elif size < 0.6:
        chosen["huge"] = True  # until they insist
    if not plan.gentle and draw.random() < 0.25:
        chosen.update(alone=("file-replaced",), no_move=True)
    return chosen


def share(plan):
    return in_turn(plan, sys.modules[__name__], 2)


class Broker(Undoing):
    send_s = 4.0  # beyond what holds the file, the longest that one `bide send` may take

    def __init__(self, project, plan):
        super().__init__()
        self.project, self.plan, self.counts_ = project, plan, Counter()
        self.url = "sqlite:bide.db"
        self.forgiven, self.holding = [], []
        self.struck, self.rules = Counter(), []
        self.path = project.dir / "bide.db"
        self.second_url = None
        if plan.options.get("link"):
            (project.dir / "link.db").symlink_to("bide.db")
            self.second_url = "sqlite:link.db"

    def __enter__(self):
        control = self.project.dir / "faults"
        control.write_bytes(bytes(struct.calcsize(HEAD) + RULES * struct.calcsize(RULE)))
        with open(control, "r+b") as file:
            self.shared = mmap.mmap(file.fileno(), 0)
        library = compile_shared(Path(__file__).with_suffix(".c"), self.project.dir / "faults.so")
        os.environ.update(LD_PRELOAD=str(library), BIDE_SEARCH_FAULTS=str(control))
        return self

    def __exit__(self, *failure):
        self.heal()
        for name in ("LD_PRELOAD", "BIDE_SEARCH_FAULTS"):
            os.environ.pop(name, None)

    def head(self):
        return struct.unpack_from(HEAD, self.shared, 0)

    def flag(self, place, value):
        struct.pack_into("=i", self.shared, 4 * place, value)

    def begin(self):
        self.base = self.head()[2:10]

    def seen(self):
        return Counter({name: count for name, count in zip(CALLS, self.head()[2:10]) if count})

    def strangers(self):
        return ()

    def counts(self):
        """Rules that struck; what full and broken disks refused stands under its operation."""
        counts = Counter(self.counts_)
        for number, decision in enumerate(self.rules):
            struck = struct.unpack_from(RULE, self.shared, struct.calcsize(HEAD) + number * struct.calcsize(RULE))[4]
            if struck:
                counts[decision.kind.name, decision.operation] += struck
        for name, refused in zip(CALLS, self.head()[10:18]):
            if refused:
                counts["refused", name] += refused
        return counts

    # ---- injecting ----

    def inject(self, decision):
        if decision.kind.strikes == "rule":
            self.add_rule(decision)
            return
        getattr(self, decision.kind.name.replace("-", "_"))(decision)
        self.counts_[decision.kind.name, "file"] += 1

    def add_rule(self, decision):
        number = len(self.rules)
        if number == RULES:
            return
        self.rules.append(decision)
        operation = CALLS.index(decision.operation)
        struct.pack_into(RULE, self.shared, struct.calcsize(HEAD) + number * struct.calcsize(RULE),
                         FAULTS[decision.kind.name], operation, self.base[operation] + decision.nth,
                         int(decision.seconds * 1e6), 0)
        struct.pack_into("=i", self.shared, struct.calcsize(HEAD) - 8, len(self.rules))

    def disk_full(self, decision):
        self.flag(0, 1)
        self.later(decision.seconds, lambda: self.flag(0, 0))

    def disk_broken(self, decision):
        self.flag(1, 1)
        self.later(decision.seconds, lambda: self.flag(1, 0))

    def writer_holds(self, decision):
        self.hold("BEGIN IMMEDIATE", decision)

    def reader_holds(self, decision):
        self.hold("BEGIN", decision)

    def hold(self, begin, decision):
        """Somebody else's transaction, in a thread of its own: it may have to wait for its turn."""
        threading.Thread(target=self.held, args=(begin, decision.seconds), daemon=True).start()

    def held(self, begin, seconds):
        try:
            db = sqlite3.connect(self.path, timeout=5, isolation_level=None, check_same_thread=False)
            db.execute(begin)
            db.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except sqlite3.Error:
            return
        ended = threading.Event()
        self.later(seconds, ended.set)
        ended.wait()
        db.close()

    def checkpoint(self, decision):
        try:
            with sqlite3.connect(self.path, timeout=1) as db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            db.close()
        except sqlite3.Error:
            return

    def file_replaced(self, decision):
        """Somebody moves the database away. What was in it is not lost, but elsewhere."""
        for end in ("", "-wal", "-shm"):
            try:
                os.rename(f"{self.path}{end}", f"{self.path}.away{end}")
            except FileNotFoundError:
                pass
        self.forgiven.append((0, time.time() + 1))

    # ---- what lasts ----

    def heal(self):
        self.undo_all()
        self.flag(0, 0)
        self.flag(1, 0)
        struct.pack_into("=i", self.shared, struct.calcsize(HEAD) - 8, 0)

    def send_bound_s(self):
        """While somebody holds the write lock, a sender waits; a reader holds up nobody."""
        waits = sum(one.seconds for one in self.plan.decisions
                    if one.kind.name in ("writer-holds", "slow-call", "disk-full", "disk-broken", "stop-short", "stop-long"))
        return self.send_s + waits


def start(project, plan):
    return Broker(project, plan)
