"""With `--relay`, beside the rest: an application with an outbox, whose relay runs beside the workers, and a relay from the broker of
the search to a SQLite file. Relays are killed, stopped and told to end; the application keeps its database locked now and then.

`carried` and `ordered` are queues of what comes from the outbox; nobody serves `ordered` until all is healed, then one thread does,
and what it runs has to be in the order of the commits. `outgoing` is carried to the file `hub.db` and runs there."""

import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from contextlib import closing

from bidetest.process import Worker
from bidetest.project import BUILD, ROOT
from bidetest.waiting import wait_until

sys.path.insert(0, str(ROOT / "sdk" / "python"))
import bide  # noqa: E402

from books import RUNS, Books  # noqa: E402
from worker_faults import tell  # noqa: E402
from workload import THREADS, Errands, Sending, Sent, Work, fails_of, row_of  # noqa: E402

CARRIED, ORDERED, OUTGOING = "carried", "ordered", "outgoing"
QUEUES = (CARRIED,)  # of the two workers
PLACES = (CARRIED, ORDERED, OUTGOING)
HUB, SHOP = "sqlite:hub.db", "shop.db"
FROM_OUTBOX, FROM_BROKER = 400_000, 450_000  # numbers of messages, from here on
SHARES = (("plain", 500), ("later", 280), ("again", 140), ("hopeless", 60), ("slow", 20))
BAD = "no name"  # of a type: the relay refuses such a row, for good
REFUSED_BY_SEARCH = "by the proxy"  # an answer of the proxy that says so
CARRIED_S = 40  # for what is left once all is healed
REORDERS = ("nack", "nack-stored", "return-312", "return-313")  # what is refused alone is sent again behind the others


# ---- decisions ----


def events(plan):
    """[(when, what, how long)]: what happens to relays."""
    draw = plan.stream("relay")
    kinds = ("kill-beside", "kill-outgoing", "end-outgoing", "stop-beside", "stop-outgoing")
    made = [(draw.uniform(0.3, plan.seconds), draw.choice(kinds), draw.uniform(0.1, 1.5)) for _ in range(draw.randrange(1, 6))]
    return sorted(made)


def transactions(plan):
    """[(when, how long it stays open, whether it commits, rows)] of the application."""
    draw, at, number, made = plan.stream("relay", "shop"), 0.1, FROM_OUTBOX, []
    while at < plan.seconds:
        rows = []
        for _ in range(draw.choice((1, 1, 3, 20, 60))):
            number += 1
            rows.append(outbox_row(draw, number))
        opens = draw.uniform(0.2, 2.0) if draw.random() < 0.05 else 0
        made.append((at, opens, draw.random() < 0.8, rows))
        at += draw.uniform(0.01, 0.3)
    return made


def outbox_row(draw, number):
    if draw.random() < 0.3:
        return {**row_of(draw, "plain", number), "type": ORDERED, "queue": ORDERED}
    row = {**of_some_sort(draw, number), "type": CARRIED, "queue": CARRIED}
    return {**row, "type": BAD} if draw.random() < 0.02 else row


def of_some_sort(draw, number):
    names, weights = zip(*SHARES)
    return row_of(draw, draw.choices(names, weights)[0], number)


def batches(plan, seconds):
    """Of the sender whose messages leave the broker."""
    draw, at, number, made = plan.stream("relay", "sender"), 0.2, FROM_BROKER, []
    while at < seconds:
        many = draw.choice((1, 5, 20))
        made.append((at, [{**of_some_sort(draw, number + place), "type": OUTGOING, "queue": OUTGOING} for place in range(many)]))
        number += many
        at += draw.uniform(0.1, 0.6)
    return made


def table(plan):
    return "relay: " + "; ".join(f"{what} after {at:.2f} s" for at, what, _ in events(plan))


def add_rules(plan, adapter, without, only):
    """None of its own: what relays do goes by under the names of senders and workers."""


# ---- configuration ----


def handlers(project, retry):
    return [project.probe(type=CARRIED, queue=CARRIED, retry=retry)]


def prepare(project, retry, common):
    """The relay of the outbox is in the configuration of both workers: one carries, the other waits. RabbitMQ knows the queues that
    no worker serves before anything comes for them."""
    usual, url = project.config, project.url
    for name, broker in ((ORDERED, url), (OUTGOING, url), (OUTGOING, HUB)):
        project.config, project.url = project.dir / f"{name}.conf", broker
        one = {"threads": 1, "worker": {"prefetch": 1}} if name == ORDERED else {"threads": THREADS}
        project.configure([project.probe(type=name, queue=name, retry=retry)], queues=[{"name": name}], **one,
                          **{key: value for key, value in common.items() if key != "relays"})
        if broker.startswith("amqp"):
            project.bide("worker", "-c", f"{name}.conf", "--exit-idle", "50ms")
    project.config, project.url = usual, url
    common["relays"] = [{"name": "shop", "from": f"outbox+sqlite:{SHOP}", "to": url}]


# ---- an application ----


class Shop(threading.Thread):
    """Its transactions; what was committed is confirmed."""

    def __init__(self, project, plan, started):
        super().__init__(daemon=True)
        self.path, self.made, self.started = project.dir / SHOP, transactions(plan), started
        self.mode = plan.stream("relay", "mode").choice(("WAL", "WAL", "DELETE"))
        self.work, self.bad, self.order = Work(), set(), []

    def run(self):
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as db:
            db.execute(f"PRAGMA journal_mode = {self.mode}")
            for at, opens, commits, rows in self.made:
                time.sleep(max(0, self.started + at - time.monotonic()))
                try:
                    self.transact(db, opens, commits, rows)
                except Exception as failure:
                    self.work.complaints.append(f"the application failed: {failure!r}")

    def transact(self, db, opens, commits, rows):
        began = time.time()
        db.execute("BEGIN IMMEDIATE")
        for row in rows:
            bide.outbox_send(db, row["type"], row["body"], id=row["id"], delay=row.get("delay"), queue=row["queue"])
        time.sleep(opens)
        if not commits:
            db.execute("ROLLBACK")
            return
        for row in rows:  # it may run before the next line
            if row["type"] == BAD:
                self.bad.add(row["id"])
            else:
                self.work.sent[row["id"]] = Sent(row, row["id"].rsplit("-", 1)[0], fails_of(row["body"]), began)
        db.execute("COMMIT")
        for row in rows:
            if row["type"] != BAD:
                self.work.sent[row["id"]].confirmed = time.time()
        self.order += [row["id"] for row in rows if row["type"] == ORDERED]

    def rows(self, where):
        """[(id, refused)]"""
        with closing(sqlite3.connect(self.path, timeout=30)) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'bide_outbox'").fetchone():
                return []
            return db.execute(f"SELECT id, refused FROM bide_outbox WHERE {where}").fetchall()


# ---- books of a place ----


class Carried(Books):
    """`again`: how often each may have come once more, because a relay had it in hand when it was killed. What a broker has lost
    was carried at some time after its commit. `odd_ones`: what a world finds by itself."""

    again, odd_ones = Counter(), ()

    def findings(self):
        yield from super().findings()
        yield from self.odd_ones

    def repeats(self):
        more = {name: n - self.again[name] * RUNS for name, n in super().repeats().items()}
        return {name: n for name, n in more.items() if n > 0}

    def is_forgiven(self, sent):
        return any(sent.began <= until for _, until in self.forgiven)


# ---- relays ----


class Alone:
    """A relay by itself: `bide relay` with these options, started again whenever it has ended."""

    def __init__(self, project, workers, *options):
        self.project, self.workers, self.complaints = project, workers, []
        self.command = [str(BUILD / "bide"), "relay", *options]
        self.start()
        wait_until(lambda: "relay carries" in self.process.log_text(), 30, self.process.log_tail)

    def start(self):
        """By a thread that stays: it is killed with the one that started it."""
        log = self.project.dir / f"relay-{len(self.project.workers) + 1}.log"
        self.process = self.workers.starter.submit(Worker, self.command, self.project.dir, log).result()
        self.project.workers.append(self.process)

    def kill(self):
        self.process.kill()
        self.start()

    def end_and_start(self):
        self.end()
        self.start()

    def end(self):
        """With 0, but for one that had not begun."""
        tell(self.process.pid, signal.SIGCONT)
        fine = (0,) if self.process.log_text() else (0, -signal.SIGTERM)
        if not self.process.running() or self.process.stop(30) not in fine:
            self.complaints.append(f"a relay ended with {self.process.process.returncode}: {self.process.log_tail(6)}")


def stop_for(workers, pids, seconds):
    """Whether there was one."""
    pids = [pid for pid in pids if tell(pid, signal.SIGSTOP)]
    workers.later(seconds, lambda: [tell(pid, signal.SIGCONT) for pid in pids])
    return bool(pids)


class Relays(Errands):
    """Does the events in their order."""

    def __init__(self, project, plan, work, started, workers, broker):
        super().__init__(project, plan, work, started)
        self.plan, self.workers, self.broker = plan, workers, broker
        self.shop, self.sends, self.injected = Shop(project, plan, started), Work(), Counter()
        self.events, self.stopped = events(plan), []
        self.again = {CARRIED: Counter(), OUTGOING: Counter()}
        self.again[ORDERED] = self.again[CARRIED]
        workers.watchers.append(self.watch)
        workers.add(f"{OUTGOING}.conf")
        self.outgoing = Alone(project, workers, "--from", project.url, "--to", HUB, "--queue", OUTGOING)

    def threads(self, seconds):
        return [self, self.shop, Sending(self.project, self.sends, batches(self.plan, seconds), self.started)]

    def run(self):
        for at, what, seconds in self.events:
            time.sleep(max(0, self.started + at - time.monotonic()))
            try:
                if getattr(self, what.replace("-", "_"))(seconds) is not False:
                    self.injected[what, "relay"] += 1
            except Exception as failure:
                self.work.complaints.append(f"{what} failed: {failure!r}")

    # ---- what may come twice ----

    def watch(self, kind):
        """Before a worker, and the relay beside it, is told to end or killed -> what is called afterwards."""
        return self.note_outbox() if kind.startswith(("kill", "reload", "drain")) else lambda: None

    def note_outbox(self):
        """What lies in the outbox may have been carried. Another relay may remove it before anybody has looked again."""
        since, before = time.time(), {name for name, _ in self.shop.rows("1")}

        def note():
            rows = before | {name for name, _ in self.shop.rows("1")}
            rows |= {name for name, one in list(self.shop.work.sent.items()) if one.confirmed >= since or not one.confirmed}
            self.again[CARRIED].update(rows)

        return note

    # ---- events ----

    def beside(self):
        """Pids of the relays beside workers."""
        return [pid for worker in self.workers.current for pid in worker.named("bide-relay")]

    def kill_beside(self, seconds):
        note = self.note_outbox()
        killed = [pid for pid in self.beside() if tell(pid, signal.SIGKILL)]
        note()
        return bool(killed)

    def stop_beside(self, seconds):
        return stop_for(self.workers, self.beside()[:1], seconds)

    def stop_outgoing(self, seconds):
        return stop_for(self.workers, [self.outgoing.process.pid], seconds)

    def kill_outgoing(self, seconds):
        """Whatever was sent by now may be in hand."""
        self.outgoing.kill()
        self.again[OUTGOING].update(list(self.sends.sent))

    def end_outgoing(self, seconds):
        self.outgoing.end_and_start()

    # ---- afterwards ----

    def settle(self):
        """What is committed gets to the broker; then somebody serves `ordered`."""
        wait_until(lambda: not self.shop.rows("refused IS NULL"), CARRIED_S, lambda: f"rows stay in the outbox: {self.log_tails()}")
        self.workers.add(f"{ORDERED}.conf")

    def log_tails(self):
        return " | ".join(worker.log_tail(4) for worker in self.workers.current)

    def stop(self):
        self.outgoing.end()

    def books(self, journal, letters, counts):
        """[(place, its books)]"""
        letters = letters + [letter for options in self.places_of_letters() for letter in self.project.dead(*options)]
        return [(name, self.books_of(name, [line for line in journal if line["queue"] == name],
                                     [one for one in letters if one["queue"] == name], counts)) for name in PLACES]

    def places_of_letters(self):
        """Where the first configuration does not look: RabbitMQ shows letters to nobody who does not name their queue."""
        hub = [("--broker", HUB)] if (self.project.dir / "hub.db").exists() else []
        return hub + ([("-c", f"{ORDERED}.conf", "--queue", ORDERED)] if self.project.url.startswith("amqp") else [])

    def books_of(self, name, journal, letters, counts):
        work = self.sends if name == OUTGOING else self.shop.work
        refused = {} if name == OUTGOING else dict(self.shop.rows("refused IS NOT NULL"))
        sent = {identity: one for identity, one in list(work.sent.items())
                if one.row["queue"] == name and REFUSED_BY_SEARCH not in refused.get(identity, "")}
        books = Carried(Work(sent=sent, drops=self.work.drops, failed_moves=self.work.failed_moves), journal, letters, self.plan, counts,
                        self.broker)
        books.again = self.again[name]
        return books

    def findings(self, books):
        yield from self.sends.complaints + self.shop.work.complaints + self.outgoing.complaints
        for name, one in books:
            yield from (f"{name}: {finding}" for finding in one.findings())
            if name == ORDERED:
                yield from (f"{name}: {finding}" for finding in out_of_order(one, self.shop.order, self.plan))
        refused = dict(self.shop.rows("refused IS NOT NULL"))
        wrong = {name: why for name, why in refused.items() if name not in self.shop.bad and REFUSED_BY_SEARCH not in why}
        if wrong or self.shop.bad - set(refused):
            yield f"refused in the outbox: {wrong}; not refused: {self.shop.bad - set(refused)}"


def out_of_order(books, order, plan):
    """By when each came first. A move there and back orders anew, and so does what is lost or refused."""
    errands = Errands(None, plan, None, 0)
    if errands.moving and not errands.partly or books.forgiven or any(plan.has(kind) for kind in REORDERS):
        return
    firsts = {}
    for line in books.journal:
        firsts.setdefault(line["id"], line["started_us"])
    place = {name: number for number, name in enumerate(order)}
    ran = [place[name] for name in sorted(firsts, key=firsts.get) if name in place]
    wrong = [(order[one], order[other]) for one, other in zip(ran, ran[1:]) if other < one]
    if wrong:
        yield f"not in the order of commits: {len(wrong)} of {len(ran)}, such as {wrong[:4]}"


START = Relays


def is_mine(queue):
    return queue in PLACES
