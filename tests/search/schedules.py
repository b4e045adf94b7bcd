"""With `--schedules`, beside the rest: schedules of both workers' files, of each second, and some that an operator adds, removes, pauses
and resumes. Their clocks are killed and stopped; the store fails (stores.py).

The queue `slots` is where their messages run. What a schedule says of itself in the end (how many slots it has fired, skipped, missed,
and which one is next) says which slots must have run; what the clocks log says how often each was sent."""

import json
import math
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass

from bidetest.waiting import wait_until

import stores
from relays import Carried
from worker_faults import tell
from workload import FAILED, Errands, Sent, Work, fails_of

SLOTS = "slots"
QUEUES = (SLOTS,)  # of the two workers
AHEAD_S, CLAIM_S = 5.0, 2.0  # so long before its slot a message is sent; so long a clock that is gone holds a slot
CALM_S = AHEAD_S + CLAIM_S + 3.0  # after healing: who was in the middle of something has done it, and its slots have gone by
FIRES_S = 40
REFUSED = 65  # there is one already; there is none; it must not overlap
LONG_MS, JITTER_MS = 1300, 700

FILE = {  # name -> what is declared, beside its type and queue
    "second": {"every": "1s"},
    "cron": {"cron": "* * * * * *"},
    "odd": {"cron": "1-59/2 * * * * *", "timezone": "Europe/Berlin"},
    "scattered": {"every": "1s", "jitter": f"{JITTER_MS}ms"},
    "again": {"every": "2s", "body": '{"fail": 1}'},
    "single": {"every": "1s", "overlap": "skip"},
    "long": {"every": "1s", "overlap": "skip", "body": f'{{"sleep_ms": {LONG_MS}}}'},
    "paused": {"every": "1s"},
}
PAUSED, ADDED, BRIEF = "paused", "added", "brief"  # what an operator pauses; adds; adds and removes
STEP_MS = {"odd": 2000, "again": 2000}


# ---- decisions ----


def events(plan):
    """[(when, what, how long)]: what happens to clocks."""
    draw = plan.stream("schedules")
    kinds = ("kill-clock", "kill-clock", "kill-clocks", "stop-clock", "stop-clock")
    return sorted((draw.uniform(0.2, plan.seconds), draw.choice(kinds), draw.uniform(0.1, 4.0)) for _ in range(draw.randrange(1, 7)))


def acts(plan):
    """[(when, what, schedule)] of an operator."""
    draw = plan.stream("schedules", "operator")
    first, last, again = sorted(draw.uniform(0.1, plan.seconds) for _ in range(3))
    made = [(draw.uniform(0.1, plan.seconds), "add", ADDED), (first, "add", BRIEF), (last, "remove", BRIEF)]
    made += [(again, "add", BRIEF)] if draw.random() < 0.7 else []
    for _ in range(draw.choice((0, 1, 1, 2))):
        pauses = draw.uniform(0.1, plan.seconds)
        made += [(pauses, "pause", PAUSED), (pauses + draw.uniform(0.05, 3.0), "resume", PAUSED)]
    made += [(draw.uniform(0.1, plan.seconds), "run", draw.choice(("second", "single", ADDED))) for _ in range(draw.randrange(4))]
    return sorted(made + [(draw.uniform(0.1, plan.seconds), "list", "") for _ in range(draw.randrange(3))])


def overlap(plan, name):
    return plan.stream("schedules", name).choice(("allow", "skip"))


def table(plan):
    said = [f"{what} after {at:.2f} s" for at, what, _ in events(plan)]
    said += [f"{what} {name}{' ' if name else ''}after {at:.2f} s" for at, what, name in acts(plan)]
    return "\n".join([*stores.table(plan), f"schedules: {'; '.join(said)}"])


def add_rules(plan, adapter, without, only):
    """Of the store. What clocks send goes by under the names of senders."""
    stores.add_rules(plan, adapter, without, only)


# ---- configuration ----


def handlers(project, retry):
    return [project.probe(type=SLOTS, queue=SLOTS, retry=retry)]


def prepare(project, retry, common):
    stores.prepare(project, common)
    common["schedules"] = [{"name": name, "type": SLOTS, "queue": SLOTS, "body": "{}", **declared} for name, declared in FILE.items()]
    common["worker"] = {"log_level": "debug"}  # clocks say which slots they have sent


# ---- an operator ----


@dataclass
class Span:
    """From one command to another. One that failed may have had its effect, so each has two times."""

    began: float
    confirmed: float = math.inf
    end_began: float = math.inf
    end_confirmed: float = math.inf


class Operator(threading.Thread):
    def __init__(self, project, plan, started, forgiven):
        super().__init__(daemon=True)
        self.project, self.plan, self.started, self.forgiven = project, plan, started, forgiven
        self.spans = {ADDED: [], BRIEF: [], PAUSED: []}
        self.ran, self.complaints = {}, []  # id -> when it was confirmed

    def run(self):
        for at, what, name in acts(self.plan):
            time.sleep(max(0, self.started + at - time.monotonic()))
            try:
                self.act(what, name)
            except Exception as failure:
                self.complaints.append(f"cron {what} {name} failed: {failure!r}")

    def act(self, what, name):
        """Whether it is done."""
        if what == "list":
            return self.call("list", "--json").returncode == 0
        if what == "run":
            return self.sends(name)
        return self.begins(what, name) if what in ("add", "pause") else self.ends(what, name)

    def sends(self, name):
        said = self.call("run", name, "--json")
        if said.returncode == 0:
            self.ran[json.loads(said.stdout)["id"]] = time.time()
        return said.returncode == 0

    def begins(self, what, name):
        spans = self.spans[name]
        if not spans or spans[-1].end_began < math.inf:
            spans.append(Span(time.time()))
        words = (SLOTS, "{}", "--queue", SLOTS, "--every", "1s", "--overlap", overlap(self.plan, name)) if what == "add" else ()
        said = self.call(what, name, *words)
        if said.returncode == REFUSED and what == "add" and not self.may_be_there(spans):
            self.complaints.append(f"cron add {name}: it was not there: {said.stderr}")
        if said.returncode in (0, REFUSED):
            spans[-1].confirmed = min(spans[-1].confirmed, time.time())
        return said.returncode in (0, REFUSED)

    def may_be_there(self, spans):
        return self.tries > 0 or self.forgiven or spans[-1].confirmed < math.inf or len(spans) > 1 and spans[-2].end_confirmed == math.inf

    def ends(self, what, name):
        if not self.spans[name]:
            return True
        span = self.spans[name][-1]
        span.end_began = min(span.end_began, time.time())
        said = self.call(what, name)
        if said.returncode == REFUSED and self.tries == 0 and span.confirmed < math.inf and not self.forgiven:
            self.complaints.append(f"cron {what} {name}: it was there: {said.stderr}")
        if said.returncode in (0, REFUSED):
            span.end_confirmed = time.time()
        return said.returncode in (0, REFUSED)

    def call(self, *words):
        """What one try has done without saying so, the next one finds done. `tries`: how many failed."""
        for self.tries, pause in enumerate((0.2, 0.4, 0)):
            said = self.project.bide("cron", *words, expect=None, seconds=60)
            if said.returncode in (0, REFUSED):
                break
            if said.returncode not in FAILED:
                self.complaints.append(f"cron {words[0]}: exit {said.returncode}: {said.stderr.strip()[-300:]}")
            time.sleep(pause)
        return said


# ---- books ----


class Slots(Carried):
    """A rollback takes a schedule back together with its messages: none is missing."""

    def is_forgiven(self, sent):
        return any(since == 0 and sent.began <= until for since, until in self.forgiven)


def parts(identity):
    name, slot = identity.rsplit("@", 1)
    return name, int(slot)


def sent_of(name, slot, confirmed):
    body = FILE.get(name, {}).get("body", "{}")
    return Sent({"id": f"{name}@{slot}", "body": body}, name, fails_of(body), slot / 1000 - AHEAD_S - 1, confirmed)


class Schedules(Errands):
    """What happens to clocks."""

    def __init__(self, project, plan, work, started, workers, broker):
        super().__init__(project, plan, work, started)
        self.plan, self.workers, self.broker, self.hits = plan, workers, broker, Counter()
        self.operator, self.store = Operator(project, plan, started, broker.forgiven), stores.Striking(project, plan, started)
        self.healed = math.inf

    @property
    def injected(self):
        return self.hits + Counter(self.store.counts())

    @property
    def calm(self):
        return self.healed + CALM_S

    def threads(self, seconds):
        return [self, self.operator, self.store]

    def run(self):
        for at, what, seconds in events(self.plan):
            time.sleep(max(0, self.started + at - time.monotonic()))
            clocks = [pid for worker in self.workers.current for pid in worker.named("bide-clock")]
            clocks = clocks if what == "kill-clocks" else clocks[int(seconds * 100) % 2 :][:1]
            hit = [pid for pid in clocks if tell(pid, signal.SIGSTOP if what == "stop-clock" else signal.SIGKILL)]
            if what == "stop-clock":
                self.workers.later(seconds, lambda pids=hit: [tell(pid, signal.SIGCONT) for pid in pids])
            self.hits[what, "clock"] += bool(hit)

    def heal(self):
        self.store.heal()

    # ---- afterwards ----

    def settle(self):
        """The operator does what was refused; all go on firing; then all are paused."""
        self.healed, spans = time.time(), self.operator.spans
        for name in (ADDED, BRIEF):
            if spans[name] and spans[name][-1].end_began < math.inf:
                if spans[name][-1].end_confirmed == math.inf:
                    self.must("remove", name)
            elif not spans[name] or spans[name][-1].confirmed == math.inf or name not in self.rows():
                self.must("add", name)
        if spans[PAUSED] and (spans[PAUSED][-1].end_confirmed == math.inf or self.broker.forgiven):
            self.must("resume", PAUSED)
        wait_until(self.fires_on, CALM_S + FIRES_S, lambda: f"schedules do not fire: {self.silent()}: {list(self.rows().values())}")
        for name in self.rows():
            self.project.bide("cron", "pause", name)

    def must(self, what, name):
        wait_until(lambda: self.operator.act(what, name), 60, f"cron {what} {name} fails though all is healed")

    def rows(self):
        return {row["name"]: row for row in map(json.loads, self.project.bide("cron", "list", "--json").stdout.splitlines())}

    def fires_on(self):
        return time.time() > self.calm + 2 and not self.silent()

    def silent(self):
        """Those of which nothing has run that is due after the calm began."""
        ran = {name for name, slot in self.slots_of(self.project.journal()) if slot > self.calm * 1000}
        return [name for name in self.rows() if name not in ran]

    def slots_of(self, journal):
        return {parts(line["id"]) for line in journal if line["queue"] == SLOTS}

    def stop(self):
        """Its clocks end with their workers."""

    # ---- books ----

    def books(self, journal, letters, counts):
        """[(place, its books)]"""
        journal, letters = ([one for one in rows if one["queue"] == SLOTS] for rows in (journal, letters))
        ran, work, odd = self.slots_of(journal), Work(), []
        refused = Counter(parts(identity)[0] for identity in self.logged("the message of a schedule is refused"))
        for name, row in self.rows().items():
            odd += self.expect(name, row, {slot for other, slot in ran if other == name}, refused[name], work)
        for name, slot in self.may_run(ran):
            work.sent.setdefault(f"{name}@{slot}", sent_of(name, slot, 0.0))
        for identity, at in self.operator.ran.items():
            work.sent[identity] = sent_of(*parts(identity), 0.0 if self.broker.forgiven else at)
        work.drops, work.failed_moves = self.work.drops, self.work.failed_moves
        books = Slots(work, journal, letters, self.plan, counts, self.broker)
        books.odd_ones = [*odd, *self.wrong_times(journal), *self.overlaps(journal), *self.twice_in_calm()]
        return [(SLOTS, books)]

    def expect(self, name, row, ran, refused, work):
        """Which slots must have run, by what the schedule says of itself. Yields what is wrong with that. Where a clock died before it
        had noted its send, the next one may find that the message of another slot has not ended, and counts this one as skipped."""
        step, counted = STEP_MS.get(name, 1000), row["fired"] + row["skipped"] + row["missed"]
        slots = self.after_pauses(row) if name == PAUSED else range(row["next_ms"] - counted * step, row["next_ms"], step)
        for slot in slots:
            work.sent[f"{name}@{slot}"] = sent_of(name, slot, 0.0 if self.skips(name) or refused else slot / 1000)
        if row["missed"] > refused:
            yield f"{name} has missed {row['missed']} slots, and {refused} messages were refused"
        if name == PAUSED or self.broker.forgiven:
            return
        if len(ran & set(slots)) < row["fired"] or len(ran & set(slots)) > row["fired"] and not self.skips(name):
            yield f"{name} says that it fired {row['fired']} slots, and {len(ran & set(slots))} ran: {row}"
        earliest, latest = self.begins_within(name)
        if not slots or not earliest * 1000 < slots[0] <= latest * 1000 + step:
            yield f"{name} began with {slots[:1]}, not between {earliest:.3f} and {latest:.3f}: {row}"

    def skips(self, name):
        return FILE[name].get("overlap") == "skip" if name in FILE else overlap(self.plan, name) == "skip"

    def begins_within(self, name):
        if name in FILE:
            return -math.inf, self.healed + 1
        spans = self.operator.spans[name]
        sure = len(spans) == 1 or spans[-2].end_confirmed < math.inf
        return spans[-1 if sure else 0].began, spans[-1].confirmed

    def after_pauses(self, row):
        """A schedule that is resumed begins with its next slot."""
        spans = self.operator.spans[PAUSED]
        first = math.ceil(spans[-1].end_confirmed + 0.001 if spans else self.healed + 1)
        return range(first * 1000, row["next_ms"], 1000)

    def may_run(self, ran):
        """What may have run, and need not."""
        for name, slot in ran:
            at = slot / 1000
            ahead = 0 if self.skips(name) else AHEAD_S
            if slot % 1000 != 0 or self.broker.forgiven:  # beside its slots; or definitions came and went
                yield name, slot
            elif name == PAUSED and not any(self.sure(span.confirmed) + ahead < at <= span.end_began for span in self.operator.spans[name]):
                yield name, slot
            elif name in (ADDED, BRIEF) and any(span.began < at <= span.end_confirmed + ahead for span in self.operator.spans[name]):
                yield name, slot

    def sure(self, at):
        """A rollback takes a command back."""
        return math.inf if self.broker.forgiven else at

    def logged(self, what):
        """Ids in lines of the workers' logs."""
        lines = (line for worker in self.workers.all() for line in worker.log_text().split("\n") if what in line)
        return [json.loads(line)["id"] for line in lines if line.endswith("}")]

    def wrong_times(self, journal):
        """Of a first run. What is held back, because the store is away, is due anew."""
        for line in journal:
            name, slot = parts(line["id"])
            late_ms = (JITTER_MS if name == "scattered" else 0) if slot > self.calm * 1000 else math.inf
            if line["attempt"] == 1 and not 0 <= line["due_ms"] - slot <= late_ms:
                yield f"{line['id']} was due {line['due_ms'] - slot} ms after its slot"

    def overlaps(self, journal):
        """Where nothing runs again, one that takes its time runs alone."""
        starts = sorted((line["started_us"], line["id"]) for line in journal if line["id"].startswith("long@")) if self.plan.gentle else ()
        for (start, one), (next_start, other) in zip(starts, starts[1:]):
            if next_start - start < LONG_MS * 1000:
                yield f"{one} and {other} overlap: the second began {(next_start - start) // 1000} ms after the first"

    def twice_in_calm(self):
        sent = Counter(self.logged("slot fired"))
        twice = [identity for identity, n in sent.items() if n > 1 and parts(identity)[1] > self.calm * 1000]
        if twice:
            yield f"sent twice, while nothing failed: {len(twice)}, such as {twice[:6]}"

    def findings(self, books):
        yield from self.operator.complaints
        for name, one in books:
            yield from (f"{name}: {finding}" for finding in one.findings())


START = Schedules


def is_mine(queue):
    return queue == SLOTS
