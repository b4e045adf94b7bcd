"""With `--transactions`, beside the rest: producers of transaction messages. Each prepares a message, works in a database of its own,
then commits or aborts; they are killed, stopped or give up anywhere, and a check handler is asked what became of it.

What the database says in the end is what has to have become of each message (docs/transactions.md): `committed` ran, `aborted` never
did, and of `unknown` there is a dead letter. The queue `bought` is where they run, `asks` where the check handler is asked."""

import json
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass

from bidetest.plugins import build_plugin
from bidetest.process import die_with_parent
from bidetest.project import BUILD
from bidetest.waiting import wait_until

from relays import Carried, of_some_sort
from worker_faults import tell
from workload import FAILED, SEND_S, Errands, Sent, Work, fails_of

BOUGHT, ASKS = QUEUES = ("bought", "asks")  # of the two workers
DATABASE = "orders.db"
PRODUCERS, FROM = 3, 700_000  # numbers of messages, from here on
CHECKS = 4
PREFIX = "transaction:"  # of the id of a message that asks
DECIDED_S = 60  # for all once all is healed; the lease of a producer that was killed lasts 20 s
CONTRADICTS = 65  # an exit status: it has been decided otherwise, or there is no such transaction

# The first time that it may answer stands in the row. Where there is none, it makes one: then the producer cannot commit any more.
CHECK = r"""
#include <bide/handler.h>
#include <sqlite3.h>
#include <stddef.h>

static int read_answer(void *answer, int n, char **values, char **names)
{
    (void)n;
    (void)names;
    *(char *)answer = values[0][0];
    return 0;
}

static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    sqlite3 *db;
    char answer = 0, *error = NULL;
    const char *id = bide_message_header(message, "bide-transaction");
    char *sql = sqlite3_mprintf(
        "BEGIN IMMEDIATE; INSERT INTO asked VALUES (%Q); INSERT INTO orders VALUES (%Q, 'aborted', 1) ON CONFLICT DO NOTHING; "
        "SELECT state FROM orders WHERE id = %Q AND answers_at <= (SELECT count(*) FROM asked WHERE id = %Q); COMMIT",
        id, id, id, id);
    (void)state;
    int code = sqlite3_open("DATABASE", &db);
    sqlite3_busy_timeout(db, 10000);
    if (code == SQLITE_OK)
        code = sqlite3_exec(db, sql, read_answer, &answer, &error);
    bide_outcome outcome = code != SQLITE_OK ? bide_retry(context, BIDE_BY_POLICY, "%s", error ? error : "no database")
                           : answer == 'c'   ? bide_commit(context)
                           : answer == 'a'   ? bide_abort(context)
                                             : BIDE_DONE;
    sqlite3_free(error);
    sqlite3_free(sql);
    sqlite3_close(db);
    return outcome;
}

const bide_plugin_descriptor bide_plugin = {
    BIDE_PLUGIN_HEAD, .name = "order-check", .version = "1", .summary = "looks into a database of orders", .handle = handle};
"""


# ---- decisions ----


@dataclass(frozen=True)
class Hit:
    """What happens to a command, so long after its start."""

    how: str  # "kill" or "stop"
    after: float
    seconds: float  # how long it is stopped


@dataclass(frozen=True)
class Order:
    at: float
    row: dict
    state: str  # "committed", "aborted" (rolled back) or "unknown"
    answers_at: int  # the how-manieth time that the check handler is asked it knows
    deadline: float
    interval: float
    thinks: float  # how long the producer's own transaction takes: now and then longer than the deadline
    dies: str  # after this step: "prepared", "worked", or ""
    prepare: Hit | None
    decide: Hit | None
    repeats: bool  # a command that did not end well is given again


def hit(draw):
    how = draw.choices(("kill", "stop", ""), (8, 4, 88))[0]
    made = Hit(how, 0.003 * 60 ** draw.random(), draw.uniform(0.1, 2.0))
    return made if how else None


def orders(plan, producer):
    draw, at, number, made = plan.stream("transactions", producer), 0.1, FROM + producer * 50_000, []
    while at < plan.seconds:
        number += 1
        row = {**of_some_sort(draw, number), "type": BOUGHT, "queue": BOUGHT}
        state = draw.choices(("committed", "aborted", "unknown"), (76, 20, 4))[0]
        made.append(Order(at, row, state, draw.choice((1, 1, 1, 2, 3)) if state == "committed" else 1, draw.uniform(1.0, 3.0),
                          draw.uniform(0.3, 0.8), draw.uniform(1.0, 2.5) if draw.random() < 0.04 else draw.uniform(0, 0.02),
                          draw.choices(("prepared", "worked", ""), (6, 6, 88))[0], hit(draw), hit(draw), draw.random() < 0.5))
        at += draw.uniform(0.02, 0.3)
    return made


def table(plan):
    made = [order for producer in range(PRODUCERS) for order in orders(plan, producer)]
    said = Counter(order.state for order in made) + Counter(f"dies when {order.dies}" for order in made if order.dies)
    said += Counter(f"{one.how} {what}" for order in made for what, one in (("prepare", order.prepare), ("decide", order.decide)) if one)
    return "transactions: " + ", ".join(f"{what} x{n}" for what, n in sorted(said.items()))


def add_rules(plan, adapter, without, only):
    """None of its own: what producers send goes by under the names of senders."""


# ---- configuration ----


def handlers(project, retry):
    return [project.probe(type=BOUGHT, queue=BOUGHT, retry=retry), {"type": ASKS, "plugin": "order-check", "queue": ASKS, "retry": retry}]


def prepare(project, retry, common):
    path = project.dir / DATABASE
    build_plugin(CHECK.replace("DATABASE", str(path)), project.dir / "plugins" / "order-check.so")
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE orders (id TEXT PRIMARY KEY, state TEXT, answers_at INTEGER)")
        db.execute("CREATE TABLE asked (id TEXT)")


# ---- a producer ----


class Producer(threading.Thread):
    """One order after the other, by commands. `work` has what is committed in its database."""

    def __init__(self, project, made, started):
        super().__init__(daemon=True)
        self.project, self.made, self.started = project, made, started
        self.work, self.begun = Work(), {}  # id -> when its preparation began (time.time())
        self.told = set()  # that it is prepared
        self.injected, self.again, self.contradicted = Counter(), Counter(), []

    def run(self):
        with closing(sqlite3.connect(self.project.dir / DATABASE, timeout=30, isolation_level=None)) as db:
            for order in self.made:
                time.sleep(max(0, self.started + order.at - time.monotonic()))
                try:
                    self.sell(db, order)
                except Exception as failure:
                    self.work.complaints.append(f"a producer failed: {failure!r}")

    def sell(self, db, order):
        identity = order.row["id"]
        self.begun[identity] = time.time()
        if not self.prepares(order):
            return
        self.told.add(identity)
        if order.dies == "prepared":
            return
        time.sleep(order.thinks)
        state = self.works(db, order)
        if order.dies != "worked" and state != "unknown":
            self.decides(order, state)

    def prepares(self, order):
        """Whether it was told so; else its own transaction does not begin."""
        row = order.row
        words = ["prepare", BOUGHT, json.dumps(row["body"]), "--check", ASKS, "--id", row["id"], "--checks", CHECKS,
                 "--deadline", f"{order.deadline:.3f}s", "--interval", f"{order.interval:.3f}s"]
        words += ["--delay", row["delay"]] if "delay" in row else []
        code = self.call(order.prepare, words)
        if code != 0 and order.repeats:
            code = self.call(None, words, (*FAILED, CONTRADICTS))  # the check may have been faster
        return code == 0

    def works(self, db, order):
        """What has become of its own transaction."""
        identity = order.row["id"]
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute("INSERT INTO orders VALUES (?, ?, ?)", (identity, order.state, order.answers_at))
        except sqlite3.IntegrityError:  # the check was faster
            db.execute("ROLLBACK")
            return "aborted"
        if order.state == "aborted":
            db.execute("ROLLBACK")
            return "aborted"
        db.execute("COMMIT")
        if order.state == "committed":
            self.work.sent[identity] = Sent(order.row, identity.rsplit("-", 1)[0], fails_of(order.row["body"]), self.begun[identity],
                                            time.time())
        return order.state

    def decides(self, order, state):
        words = ["commit" if state == "committed" else "abort", order.row["id"]]
        for fault in (order.decide, None)[: 1 + order.repeats]:
            code = self.call(fault, words, (*FAILED, CONTRADICTS))
            if code == 0:
                return
            if code == CONTRADICTS:
                self.contradicted.append((order.row["id"], f"{words[0]} is refused, by the producer's own database it is {state}"))
                return
            self.again[order.row["id"]] += state == "committed"  # it may have been sent, and the store not told

    def call(self, fault, words, may_fail=FAILED):
        """-> the exit status; of one that was killed, that."""
        process = subprocess.Popen([str(BUILD / "bide"), "transaction", *map(str, words)], cwd=self.project.dir, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        if fault:
            self.strike(fault, process, words[0])
        try:
            complaint = process.communicate(timeout=SEND_S)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.work.complaints.append(f"transaction {words[0]} did not end within {SEND_S} s")
            return -signal.SIGKILL
        code, fine = process.returncode, (0, *may_fail, *((-signal.SIGKILL,) if fault else ()))
        if code not in fine:
            self.work.complaints.append(f"transaction {words[0]}: exit {code}: {complaint.strip()[-300:]}")
        return code

    def strike(self, fault, process, what):
        time.sleep(fault.after)
        if process.poll() is not None:
            return
        self.injected[f"{fault.how}-producer", f"transaction {what}"] += 1
        if fault.how == "kill":
            process.kill()
        elif tell(process.pid, signal.SIGSTOP):
            time.sleep(fault.seconds)
            tell(process.pid, signal.SIGCONT)


class Transactions(Errands):
    """The producers, and what has become of all transactions."""

    def __init__(self, project, plan, work, started, workers, broker):
        super().__init__(project, plan, work, started)
        self.plan, self.broker = plan, broker
        made = [orders(plan, number) for number in range(PRODUCERS)]
        self.producers = [Producer(project, some, started) for some in made]
        if hasattr(broker, "send_s"):  # a command that is stopped may hold the lock of the file
            broker.send_s += sum(one.seconds for some in made for order in some for one in (order.prepare, order.decide)
                                 if one and one.how == "stop")

    @property
    def injected(self):
        return sum((producer.injected for producer in self.producers), Counter())

    def threads(self, seconds):
        return self.producers

    # ---- afterwards ----

    def settle(self):
        """All is decided, but for what nobody knows, which is a dead letter (again, if it was replayed), and what faults made one."""
        wait_until(lambda: not self.undecided(), DECIDED_S, lambda: f"neither committed nor aborted nor unresolved: {self.undecided()}")

    def undecided(self):
        letters = {letter["id"].removeprefix(PREFIX) for letter in self.project.dead("--queue", ASKS)}
        waits = {name: state for name, state in self.open().items() if state != "unresolved" and name not in letters}
        return waits | {name: "asked" for name in self.unknown() - letters if not self.is_forgiven(name)}

    def unknown(self):
        with closing(sqlite3.connect(self.project.dir / DATABASE, timeout=30)) as db:
            return {name for name, in db.execute("SELECT id FROM orders WHERE state = 'unknown'")}

    def open(self):
        """id -> state, of those that are neither committed nor aborted. Of one whose producer was not told that it is prepared, there
        may be no message that asks; it lapses."""
        told = set().union(*(producer.told for producer in self.producers))
        rows = map(json.loads, self.project.bide("transaction", "list", "--json").stdout.splitlines())
        return {row["id"]: row["state"] for row in rows
                if (row["id"] in told or row["state"] != "prepared") and not self.is_forgiven(row["id"])}

    def stop(self):
        """It has nothing that runs."""

    def begun(self):
        return {name: at for producer in self.producers for name, at in list(producer.begun.items())}

    def is_forgiven(self, name):
        """The broker may have lost it, or what is remembered of it."""
        return any(self.begun()[name] <= until for _, until in self.broker.forgiven)

    def books(self, journal, letters, counts):
        """[(place, its books)]"""
        self.letters = [letter for letter in letters if letter["queue"] == ASKS]
        sent = {name: one for producer in self.producers for name, one in list(producer.work.sent.items())}
        work = Work(sent=sent, drops=self.work.drops, failed_moves=self.work.failed_moves)
        books = Carried(work, *([one for one in rows if one["queue"] == BOUGHT] for rows in (journal, letters)), self.plan, counts,
                        self.broker)
        books.again = sum((producer.again for producer in self.producers), Counter())
        if books.in_flight is not None:  # who has the asking message in hand sends the prepared one
            asking = {name: n for name, n in books.in_flight.items() if name and name.startswith(PREFIX)}
            books.in_flight += Counter({name.removeprefix(PREFIX): n for name, n in asking.items()})
        return [(BOUGHT, books)]

    def findings(self, books):
        for producer in self.producers:
            yield from producer.work.complaints
            yield from (f"{name}: {what}" for name, what in producer.contradicted if not self.is_forgiven(name))
        for name, one in books:
            yield from (f"{name}: {finding}" for finding in one.findings())
        yield from self.unresolved()

    def unresolved(self):
        """What the database does not know is a dead letter, and unresolved; nothing else is."""
        unknown, reasons = self.unknown(), getattr(self.broker, "reasons", ())
        letters = {letter["id"].removeprefix(PREFIX): letter["reason"] for letter in self.letters if letter["reason"] not in reasons}
        explained = {letter["id"].removeprefix(PREFIX) for letter in self.letters} - set(letters)
        states = {name: state for name, state in self.open().items() if name not in explained}
        wrong = {name: why for name, why in letters.items() if name not in unknown or why != "unresolved"}
        lost = [name for name in unknown - set(letters) - explained if not self.is_forgiven(name)]
        for what, names in (("a dead letter that should be none", wrong), ("nobody knows, and no dead letter says so", lost),
                            ("is open", {name: state for name, state in states.items() if name not in unknown or state != "unresolved"})):
            if names:
                yield f"{ASKS}: {what}: {names}"


START = Transactions


def is_mine(queue):
    return queue in QUEUES
