"""With `--keys`, beside the rest: senders that send messages with the same unique keys, and are killed; messages of which an operator
cancels or moves some, by id or by key; messages of a handler with `once` that two senders send. The store fails (stores.py).

In the end each key has to be free: a message with it is sent, and runs (docs/unique.md, docs/waiting.md, docs/once.md)."""

import json
import math
import subprocess
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass

from bidetest.process import die_with_parent
from bidetest.project import BUILD
from bidetest.waiting import TooLate, wait_until

import stores
from relays import Carried
from topics import moves_all
from workload import FAILED, SEND_S, Errands, Sending, Sent, Work, fails_of, row_of

UNIQUE, CHANGED, ONCE = QUEUES = ("unique", "changed", "once")  # of the two workers
SKIP, REPLACE = ("skip_a", "skip_b", "skip_c"), ("replace_a", "replace_b")
SENDERS, FROM = 3, 900_000  # numbers of messages, from here on
TAKEN_S = 2.5  # so long before it is due a message may count as running
FREE_S = 40
NO = 65  # not all were changed


# ---- decisions ----


@dataclass
class Try:
    """A command that sends with a key, and what came of it."""

    at: float
    key: str
    id: str
    body: dict
    delay: float
    dies: float  # the command is killed after so long; inf: it is not
    began: float = 0.0
    ended: float = math.inf
    answered: float = math.inf
    holder: str = ""  # what it was answered


def tries(plan, sender):
    draw, at, number, made = plan.stream("keys", sender), 0.1, FROM + sender * 10_000, []
    while at < plan.seconds:
        number += 1
        key = draw.choice(SKIP + REPLACE)
        body = {"sleep_ms": draw.randrange(300), **({"fail": 1} if draw.random() < 0.1 else {})}
        delay = draw.uniform(0.1, 2.5) if key in REPLACE or draw.random() < 0.4 else 0.0
        dies = 0.003 * 60 ** draw.random() if draw.random() < 0.1 else math.inf
        made.append(Try(at, key, f"{key}-{number}", body, delay, dies))
        at += draw.uniform(0.05, 0.4)
    return made


def changes(plan):
    """[(when, what, by key, which, how far)]"""
    draw = plan.stream("keys", "operator")
    return sorted((draw.uniform(0.4, plan.seconds), draw.choice(("cancel", "cancel", "reschedule")), draw.random() < 0.5, draw.random(),
                   draw.uniform(2.0, 5.0)) for _ in range(draw.randrange(4, 16)))


def batches(plan, seconds):
    """Of what is changed; each has its id as its key."""
    draw, at, number, made = plan.stream("keys", "changed"), 0.1, FROM + 50_000, []
    while at < seconds:
        number += 1
        rows = [{**row_of(draw, "plain", number * 10 + place), "type": CHANGED, "queue": CHANGED, "delay": f"{draw.randrange(500, 4500)}ms"}
                for place in range(draw.choice((1, 3, 8)))]
        made.append((at, [{**row, "unique": row["id"]} for row in rows]))
        at += draw.uniform(0.1, 0.5)
    return made


def copies(plan, sender, seconds):
    """Of what is sent twice: the same ids by both senders, at times of their own."""
    ids, draw, made = plan.stream("keys", "once"), plan.stream("keys", "once", sender), []
    for number in range(ids.randrange(5, 40)):
        row = row_of(ids, ids.choice(("plain", "plain", "later", "slow")), FROM + 80_000 + number)
        made.append((draw.uniform(0.1, seconds), [{**row, "type": ONCE, "queue": ONCE}]))
    return sorted(made, key=lambda one: one[0])


def table(plan):
    made = [one for sender in range(SENDERS) for one in tries(plan, sender)]
    said = f"{len(made)} sent with a key, {sum(one.dies < math.inf for one in made)} commands killed; "
    return "\n".join([*stores.table(plan), f"keys: {said}" + "; ".join(f"{what} after {at:.2f} s" for at, what, *_ in changes(plan))])


def add_rules(plan, adapter, without, only):
    """Of the store. What commands do goes by under the names of senders and administrators."""
    stores.add_rules(plan, adapter, without, only)


# ---- configuration ----


def handlers(project, retry):
    return [project.probe(type=UNIQUE, queue=UNIQUE, retry=retry), project.probe(type=CHANGED, queue=CHANGED, retry=retry),
            project.probe(type=ONCE, queue=ONCE, retry=retry, once="1h")]


def prepare(project, retry, common):
    stores.prepare(project, common)


# ---- senders, an operator ----


class Sender(threading.Thread):
    """One command after the other."""

    def __init__(self, project, made, started):
        super().__init__(daemon=True)
        self.project, self.made, self.started = project, made, started
        self.killed, self.complaints = 0, []

    def run(self):
        for one in self.made:
            time.sleep(max(0, self.started + one.at - time.monotonic()))
            try:
                self.send(one)
            except Exception as failure:
                self.complaints.append(f"a sender with a key failed: {failure!r}")

    def send(self, one):
        words = ["send", UNIQUE, json.dumps(one.body), "--queue", UNIQUE, "--id", one.id, "--unique", one.key]
        words += ["--on-conflict", "replace"] if one.key in REPLACE else []
        words += ["--delay", f"{one.delay * 1000:.0f}ms"] if one.delay else []
        one.began = time.time()
        process = subprocess.Popen([str(BUILD / "bide"), *words], cwd=self.project.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, preexec_fn=die_with_parent)
        try:
            said, complaint = process.communicate(timeout=min(one.dies, SEND_S))
        except subprocess.TimeoutExpired:
            process.kill()
            said, complaint = process.communicate()
            self.killed += 1
            if one.dies == math.inf:
                self.complaints.append(f"a sender with a key did not end within {SEND_S} s")
        one.ended = time.time()
        if said.endswith("\n"):
            one.answered, one.holder = time.time(), said.strip()
        if process.returncode not in (0, *FAILED) and one.dies == math.inf:
            self.complaints.append(f"send --unique: exit {process.returncode}: {complaint.strip()[-300:]}")


class Operator(threading.Thread):
    """`said`: id -> (what, began, ended, answer, how far); the answer is "" where the command failed."""

    def __init__(self, project, plan, started, sends):
        super().__init__(daemon=True)
        self.project, self.plan, self.started, self.sends = project, plan, started, sends
        self.said, self.complaints = {}, []

    def run(self):
        for at, what, by_key, which, far in changes(self.plan):
            time.sleep(max(0, self.started + at - time.monotonic()))
            names = sorted(set(self.sends.confirmed()) - set(self.said))
            if names:
                try:
                    self.change(what, by_key, names[int(which * len(names))], far)
                except Exception as failure:
                    self.complaints.append(f"{what} failed: {failure!r}")

    def change(self, what, by_key, name, far):
        if what == "reschedule" and self.project.url.startswith("amqp"):
            by_key = True
        words = [what, *(("--key",) if by_key else ()), name, *(("--delay", f"{far:.3f}s") if what == "reschedule" else ())]
        began = time.time()
        self.said[name] = (what, began, math.inf, "", far)
        done = self.project.bide(*words, expect=None, seconds=SEND_S)
        answer = done.stdout.split()
        if done.returncode in (0, NO) and len(answer) >= 1:
            self.said[name] = (what, began, time.time(), answer[-1], far)
        elif done.returncode not in (*FAILED, NO):
            self.complaints.append(f"{' '.join(words)}: exit {done.returncode}: {done.stderr.strip()[-300:]}")


# ---- books ----


class Keys(Errands):
    def __init__(self, project, plan, work, started, workers, broker):
        super().__init__(project, plan, work, started)
        self.plan, self.broker, self.sends, self.left = plan, broker, Work(), ""
        self.twice = [Work(), Work()]
        self.senders = [Sender(project, tries(plan, number), started) for number in range(SENDERS)]
        self.operator = Operator(project, plan, started, self.sends)
        self.store = stores.Striking(project, plan, started)

    @property
    def injected(self):
        return Counter(self.store.counts()) + Counter({("sender-killed", "send --unique"): sum(one.killed for one in self.senders)})

    def threads(self, seconds):
        again = [Sending(self.project, work, copies(self.plan, number, seconds), self.started) for number, work in enumerate(self.twice)]
        return [self.store, self.operator, *self.senders, *again, Sending(self.project, self.sends, batches(self.plan, seconds), self.started)]

    def heal(self):
        self.store.heal()

    # ---- afterwards ----

    def settle(self):
        """Nothing is to be done again."""

    def stop(self):
        """The workers are still there, and all has ended: each key is free. Of a change that failed, nobody knows."""
        unsure = {name for name, (_, _, _, answer, _) in self.operator.said.items() if not answer}
        keys = [*SKIP, *REPLACE, *(name for name in self.sends.sent if name not in unsure)]
        rows = [{"type": UNIQUE, "queue": UNIQUE, "id": f"after-{key}", "body": {}, "unique": key} for key in keys]
        try:
            said = self.project.send(rows)
            taken = sorted(set(said) - {row["id"] for row in rows})
            if taken:
                self.left = f"keys are taken by what has ended: {len(taken)}, such as {taken[:6]}"
            wait_until(lambda: set(said) - set(taken) <= {line["id"] for line in self.project.journal()}, FREE_S, "what was sent last does not run")
        except (AssertionError, TooLate) as failure:
            self.left = f"after all has ended: {failure}"

    def books(self, journal, letters, counts):
        """[(queue, its books)]"""
        made = {UNIQUE: self.of_tries(), CHANGED: self.of_changes(), ONCE: self.of_copies()}
        return [(queue, self.books_of(queue, sent, [line for line in journal if line["queue"] == queue and not line["id"].startswith("after-")],
                                      [one for one in letters if one["queue"] == queue], counts)) for queue, sent in made.items()]

    def books_of(self, queue, sent, journal, letters, counts):
        books = Carried(Work(sent=sent, drops=self.work.drops, failed_moves=self.work.failed_moves), journal, letters, self.plan, counts, self.broker)
        if queue != ONCE and not self.broker.forgiven and not moves_all(self.plan):
            books.odd_ones = list(self.wrong_keys(books) if queue == UNIQUE else self.wrong_changes(books))
        return books

    def all_tries(self):
        return [one for sender in self.senders for one in sender.made if one.began]

    def of_tries(self):
        """What has to run: whoever was named to a sender, unless a later one may stand in for it."""
        named = {one.holder: one.answered for one in self.all_tries() if one.holder}
        sent = {}
        for one in self.all_tries():
            replaced = one.key in REPLACE and any(other.ended > one.began for other in self.all_tries() if other.key == one.key and other is not one)
            must = one.id in named and not replaced
            sent[one.id] = Sent({"id": one.id}, one.key, fails_of(one.body), one.began, named[one.id] if must else 0.0)
        return sent

    def of_changes(self):
        sent = {}
        for name, one in list(self.sends.sent.items()):
            may_go = name in self.operator.said and self.operator.said[name][3] in ("", "cancelled", "marked", "rescheduled")
            moved = may_go and self.operator.said[name][3] == "rescheduled"
            sent[name] = Sent(one.row, one.sort, one.fails, one.began, one.confirmed if not may_go or moved else 0.0)
        return sent

    def of_copies(self):
        sent = dict(self.twice[0].sent)
        for name, one in list(self.twice[1].sent.items()):
            if name not in sent or one.confirmed and not sent[name].confirmed:
                sent[name] = one
        return sent

    # ---- what else is wrong ----

    def wrong_keys(self, books):
        firsts = {name: min(line["started_us"] for line in lines) / 1e6 for name, lines in books.runs.items()}
        groups = defaultdict(list)
        for one in self.all_tries():
            groups[one.key].append(one)
        for key, group in groups.items():
            own = [one for one in group if one.holder == one.id and one.id in firsts]
            for one in own:
                beside = [other.id for other in own if one.answered < other.began and other.answered < firsts[one.id] and
                          (key in SKIP or firsts[one.id] - other.answered > TAKEN_S)]
                if beside:
                    yield f"{one.id} waited, and {beside} with the same key, too; both ran"

    def wrong_changes(self, books):
        for name, (what, began, ended, answer, far) in self.operator.said.items():
            runs = [line["started_us"] / 1e6 for line in books.runs.get(name, ())]
            due = self.sends.sent[name].began + float(self.sends.sent[name].row["delay"][:-2]) / 1000
            if answer == "cancelled" and any(start > ended for start in runs) or answer == "marked" and due > ended + TAKEN_S and runs:
                yield f"{name} was {answer}, and ran"
            if answer == "rescheduled" and any(start < began + far for start in runs):
                yield f"{name} was moved by {far:.2f} s, and ran after {min(runs) - began:.2f} s"

    def findings(self, books):
        for one in (*self.senders, self.operator, self.sends, *self.twice):
            yield from one.complaints
        for name, one in books:
            yield from (f"{name}: {finding}" for finding in one.findings())
        if self.left and not self.broker.forgiven:
            yield self.left


START = Keys


def is_mine(queue):
    return queue in QUEUES
