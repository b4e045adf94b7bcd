"""With `--spool`, beside the rest: senders whose configuration has a spool, and a relay that carries from it.

Such a sender gets its confirmation whatever becomes of the broker. `spooled` is served by the two workers; `in_order` by nobody until
all is healed, then by one thread: what it runs has to be in the order of the confirmations."""

import time
from collections import Counter

from relays import Alone, Carried, of_some_sort, out_of_order, stop_for
from workload import THREADS, Errands, Sending, Work, row_of

SPOOLED, IN_ORDER = PLACES = ("spooled", "in_order")
QUEUES = (SPOOLED,)  # of the two workers
CONFIG = "spool.conf"
FROM = 600_000  # numbers of messages, from here on
SLOW_S = 4  # what took longer may have been given up at the broker, and spooled
REFUSED = 78  # rights were taken away: the sender is told, and nothing is spooled
CARRIED_S = 40  # for what is left once all is healed


# ---- decisions ----


def mode(plan):
    return plan.stream("spool", "mode").choice(("fallback", "fallback", "always"))


def events(plan):
    """[(when, what, how long)]: what happens to the relay."""
    draw = plan.stream("spool")
    return sorted((draw.uniform(0.3, plan.seconds), draw.choice(("kill", "end", "stop")), draw.uniform(0.1, 1.5))
                  for _ in range(draw.randrange(1, 5)))


def batches(plan, sender, seconds):
    draw, at, number, made = plan.stream("spool", "sender", sender), 0.1, FROM + sender * 50_000, []
    while at < seconds:
        rows = []
        for _ in range(draw.choice((1, 1, 5, 20, 60))):
            number += 1
            row = row_of(draw, "plain", number) if sender == 1 else of_some_sort(draw, number)
            queue = IN_ORDER if sender == 1 else SPOOLED
            rows.append({**row, "type": queue, "queue": queue})
        made.append((at, rows))
        at += draw.uniform(0.05, 0.5)
    return made


def table(plan):
    return f"spool: mode {mode(plan)}; " + "; ".join(f"{what} after {at:.2f} s" for at, what, _ in events(plan))


def add_rules(plan, adapter, without, only):
    """None of its own: what relays do goes by under the names of senders."""


# ---- configuration ----


def handlers(project, retry):
    return [project.probe(type=SPOOLED, queue=SPOOLED, retry=retry)]


def prepare(project, retry, common):
    usual = project.config
    common = {key: value for key, value in common.items() if key != "relays"}
    project.config = project.dir / f"{IN_ORDER}.conf"
    project.configure([project.probe(type=IN_ORDER, queue=IN_ORDER, retry=retry)], 1, queues=[{"name": IN_ORDER}], worker={"prefetch": 1},
                      **common)
    if project.url.startswith("amqp"):  # it knows the queue before anything comes for it
        project.bide("worker", "-c", f"{IN_ORDER}.conf", "--exit-idle", "50ms")
    project.config = usual


class Spooling(Sending):
    """`again`: what may have come to the broker before it was spooled."""

    options, may_fail = ("-c", CONFIG), (REFUSED,)

    def __init__(self, project, made, started):
        super().__init__(project, Work(), made, started)
        self.again = Counter()

    def send(self, rows):
        since = time.monotonic()
        super().send(rows)
        if time.monotonic() - since > SLOW_S:
            self.again.update(row["id"] for row in rows)


class Spool(Errands):
    """Does the events in their order."""

    def __init__(self, project, plan, work, started, workers, broker):
        super().__init__(project, plan, work, started)
        self.plan, self.workers, self.broker, self.injected = plan, workers, broker, Counter()
        self.events, self.again = events(plan), Counter()
        self.configure()
        self.relay = Alone(project, workers, "-c", CONFIG)
        self.senders = {queue: Spooling(project, batches(plan, number, plan.until()), started)
                        for number, queue in ((0, SPOOLED), (1, IN_ORDER))}

    def configure(self):
        usual = self.project.config
        self.project.config = self.project.dir / CONFIG
        self.project.configure([], THREADS, queues=[{"name": name} for name in PLACES],
                               spool={"url": "sqlite:spool.db", "mode": mode(self.plan), "max": "64MiB"})
        self.project.config = usual

    def threads(self, seconds):
        return [self, *self.senders.values()]

    def run(self):
        for at, what, seconds in self.events:
            time.sleep(max(0, self.started + at - time.monotonic()))
            try:
                getattr(self, f"{what}_it")(seconds)
                self.injected[f"{what}-relay", "spool"] += 1
            except Exception as failure:
                self.work.complaints.append(f"{what} failed: {failure!r}")

    def kill_it(self, seconds):
        """Whatever was sent by now may be in hand."""
        self.relay.kill()
        for sender in self.senders.values():
            self.again.update(list(sender.work.sent))

    def end_it(self, seconds):
        self.relay.end_and_start()

    def stop_it(self, seconds):
        stop_for(self.workers, [self.relay.process.pid], seconds)

    # ---- afterwards ----

    def settle(self):
        self.workers.add(f"{IN_ORDER}.conf")

    def stop(self):
        self.relay.end()

    def books(self, journal, letters, counts):
        """[(place, its books)]"""
        if self.project.url.startswith("amqp"):
            letters = letters + self.project.dead("-c", f"{IN_ORDER}.conf", "--queue", IN_ORDER)
        return [(name, self.books_of(name, [line for line in journal if line["queue"] == name],
                                     [one for one in letters if one["queue"] == name], counts)) for name in PLACES]

    def books_of(self, name, journal, letters, counts):
        work = Work(sent=self.senders[name].work.sent, drops=self.work.drops, failed_moves=self.work.failed_moves)
        books = Carried(work, journal, letters, self.plan, counts, self.broker)
        books.again = self.again + self.senders[name].again
        return books

    def findings(self, books):
        yield from self.relay.complaints
        for name, one in books:
            yield from self.senders[name].work.complaints
            yield from (f"{name}: {finding}" for finding in one.findings())
            if name == IN_ORDER:
                order = [identity for _, rows in self.senders[name].made for identity in (row["id"] for row in rows)
                         if self.senders[name].work.sent[identity].confirmed]
                yield from (f"{name}: {finding}" for finding in out_of_order(one, order, self.plan))


START = Spool


def is_mine(queue):
    return queue in PLACES
