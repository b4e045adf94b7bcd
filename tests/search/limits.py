"""With `--limits`, beside the rest: handlers with a rate, with a rate by key, with places by key, and with both, in both workers; the
store fails (stores.py).

The journal says when runs began and how long they took at least: by that no window has more than the rate, and no more run at once
than there are places (docs/limits.md). What the limits say of themselves in the end, with the workers still there: no place is taken,
nobody waits."""

import json
from collections import Counter, defaultdict

from bidetest.limiting import most_in
from bidetest.waiting import TooLate, wait_until

import stores
from relays import Carried
from workload import Errands, Sending, Work, row_of

METERED, KEYED, PLACED, BOTH = QUEUES = ("metered", "keyed", "placed", "both")  # of the two workers; a handler each
LIMITS = {  # of each queue: (name, so many, in so many seconds; 0: at once), counted by tenant or all together
    METERED: (("metered", 25, 1.0, False),),
    KEYED: (("keyed", 6, 0.5, True),),
    PLACED: (("places", 2, 0, True),),
    BOTH: (("pairs", 20, 1.0, False), ("pairs", 3, 0, False)),
}
TENANTS = ("ann", "bob", "cy")
FROM = 800_000  # numbers of messages, from here on
SHARES = (("plain", 550), ("later", 220), ("again", 150), ("hopeless", 80))
LEFT_S = 30  # after healing: a session has ended, and who comes back a little later has run
LAPSES = ("stop-long", "stall", "freeze", "stop-server", "stop-server-lapse", "stop-server-long")  # so that a session on Redis may end
# beside its process, and others have the places


# ---- decisions ----


def batches(plan, seconds):
    draw, at, number, made = plan.stream("limits"), 0.1, FROM, []
    names, weights = zip(*SHARES)
    while at < seconds:
        rows = []
        for _ in range(draw.choice((1, 2, 5, 12))):
            number += 1
            queue = draw.choice((METERED, METERED, KEYED, KEYED, PLACED, BOTH))
            row = row_of(draw, draw.choices(names, weights)[0], number)
            if queue in (PLACED, BOTH):
                row["body"]["sleep_ms"] = draw.randrange(50, 250)
            rows.append({**row, "type": queue, "queue": queue, "headers": {"T": draw.choice(TENANTS)}})
        made.append((at, rows))
        at += draw.uniform(0.05, 0.4)
    return made


def table(plan):
    return "\n".join([*stores.table(plan), f"limits: {sum(len(rows) for _, rows in batches(plan, plan.until()))} messages"])


def add_rules(plan, adapter, without, only):
    """Of the store. What the gates send back goes by under the names of workers."""
    stores.add_rules(plan, adapter, without, only)


# ---- configuration ----


def handlers(project, retry):
    return [project.probe(type=queue, queue=queue, retry=retry, limited_by=[LIMITS[queue][0][0]]) for queue in QUEUES]


def prepare(project, retry, common):
    stores.prepare(project, common)
    common["limits"] = [
        {"name": "metered", "rate": "25/1s"},
        {"name": "keyed", "rate": "6/500ms", "key": "header:T"},
        {"name": "places", "concurrency": 2, "key": "header:T"},
        {"name": "pairs", "rate": "20/1s", "concurrency": 3},
    ]


# ---- books ----


def most_at_once(runs):
    """By [(start, seconds)]"""
    ends = sorted([(start, 1) for start, _ in runs] + [(start + took, -1) for start, took in runs])
    most = now = 0
    for _, step in ends:
        now += step
        most = max(most, now)
    return most


class Limits(Errands):
    """Sends, and looks at the limits in the end."""

    def __init__(self, project, plan, work, started, workers, broker):
        super().__init__(project, plan, work, started)
        self.plan, self.broker, self.sends, self.left = plan, broker, Work(), ""
        self.store = stores.Striking(project, plan, started)

    @property
    def injected(self):
        return Counter(self.store.counts())

    def threads(self, seconds):
        return [self.store, Sending(self.project, self.sends, batches(self.plan, seconds), self.started)]

    def heal(self):
        self.store.heal()

    # ---- afterwards ----

    def settle(self):
        """Nothing is to be done again."""

    def stop(self):
        """The workers are still there, and have nothing to do."""
        try:
            wait_until(lambda: not self.taken(), LEFT_S, lambda: f"{self.taken()}")
        except TooLate as failure:
            self.left = f"places are taken, or permits waited for, where nothing runs: {failure}"

    def taken(self):
        rows = map(json.loads, self.project.bide("limits", "--json").stdout.splitlines())
        return [row for row in rows if row["in_use"] or row["waiting"]]

    def books(self, journal, letters, counts):
        """[(queue, its books)]"""
        return [(queue, self.books_of(queue, [line for line in journal if line["queue"] == queue],
                                      [one for one in letters if one["queue"] == queue], counts)) for queue in QUEUES]

    def books_of(self, queue, journal, letters, counts):
        sent = {name: one for name, one in list(self.sends.sent.items()) if one.row["queue"] == queue}
        work = Work(sent=sent, drops=self.work.drops, failed_moves=self.work.failed_moves)
        books = Carried(work, journal, letters, self.plan, counts, self.broker)
        books.odd_ones = [finding for limit in LIMITS[queue] for finding in self.beyond(limit, sent, journal)]
        return books

    def beyond(self, limit, sent, journal):
        """What a rollback takes back, permits are, too."""
        name, most, window, by_tenant = limit
        groups = defaultdict(list)
        for line in journal:
            if line["id"] in sent:
                groups[sent[line["id"]].row["headers"]["T"] if by_tenant else ""].append(line)
        for tenant, lines in groups.items() if not self.broker.forgiven else ():
            if window:
                n = most_in(sorted(line["started_us"] for line in lines), window)
                if n > most:
                    yield f"{name} {tenant}: {n} runs began within {window} s, where {most} may"
            elif not self.may_lapse():
                n = most_at_once([(line["started_us"] / 1e6, sent[line["id"]].row["body"]["sleep_ms"] / 1000) for line in lines])
                if n > most:
                    yield f"{name} {tenant}: {n} ran at once, where {most} may"

    def may_lapse(self):
        return self.project.url.startswith("redis") and any(self.plan.has(kind) for kind in LAPSES)

    def findings(self, books):
        yield from self.sends.complaints
        for name, one in books:
            yield from (f"{name}: {finding}" for finding in one.findings())
        if self.left:
            yield self.left


START = Limits


def is_mine(queue):
    return queue in QUEUES
