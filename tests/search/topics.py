"""With `--topics`, beside the rest: a sender of messages to a topic, and of ones for a queue whose handler takes batches;
subscriptions that join and leave meanwhile; books of each.

Two subscriptions are in the configuration, and one of them takes batches. `late` joins while messages flow. `brief` joins, leaves
and, mostly, joins again. These two are served by workers of their own, which begin when the last join has returned."""

import time
from collections import Counter
from dataclasses import replace

from books import Books
from faults import strike_each
from workload import THREADS, Errands, Sending, Work, row_of

BATCHED = {"batch": 6, "batch_wait": "40ms"}  # what fits twice into the prefetch of the first worker
BULK, TOPIC = "bulk", "logs"
GEO, ERRORS, LATE, BRIEF = (f"{name}@{TOPIC}" for name in ("geo", "errors", "late", "brief"))
LISTED = (GEO, ERRORS)
QUEUES = (BULK, *LISTED)  # of the two workers
NUMBERS = 200_000  # of its messages, from here on
SHARES = (("plain", 450), ("later", 280), ("again", 150), ("hopeless", 50), ("expires", 30), ("slow", 20), ("rough", 20))


# ---- decisions ----


def add_rules(plan, adapter, without, only):
    """One for each operation that goes by only with topics."""
    strike_each(plan, adapter, getattr(adapter, "OF_TOPICS", ()), "topics", without, only)


def moves_all(plan):
    errands = Errands(None, plan, None, 0)
    return errands.moving and not errands.partly


def events(plan):
    """[(when, what, subscription)]. What a rollback or a move may bring back is joined and served in the end."""
    draw = plan.stream("topics")
    may_come_back = plan.options.get("alone") or moves_all(plan)
    joins, leaves, again = sorted(draw.uniform(0.2, plan.seconds) for _ in range(3))
    made = [(draw.uniform(0.2, plan.seconds), "join", LATE), (joins, "join", BRIEF), (leaves, "leave", BRIEF)]
    if draw.random() < 0.7 or may_come_back:
        made.append((again, "join", BRIEF))
    return sorted([*made, *((draw.uniform(0.2, plan.seconds), "list", "") for _ in range(draw.randrange(2)))])


def table(plan):
    return "topics: " + "; ".join(f"{what} {name}{' ' if name else ''}after {at:.2f} s" for at, what, name in events(plan))


# ---- what is sent ----


def a_row(draw, number):
    names, weights = zip(*SHARES)
    sort = draw.choices(names, weights)[0]
    row = row_of(draw, sort, number)
    row.pop("queue", None)
    if sort == "rough" or draw.random() < 0.3:  # only what a process of its own runs may crash
        row.update(type=BULK, queue=BULK)
        return row
    row["type"] = "line"
    return {**row, "topic": TOPIC} if draw.random() < 0.7 else row  # its handlers are all on the topic


def batches(plan, seconds):
    draw, at, number, made = plan.stream("topics", "sender"), 0.0, NUMBERS, []
    while at < seconds:
        many = draw.choice((1, 5, 20))
        made.append((at, [a_row(draw, number + place) for place in range(many)]))
        number += many
        at += draw.uniform(0.1, 0.5)
    return made


# ---- configuration ----


def handlers(project, retry):
    return [
        project.probe(type="line", on=GEO, retry=retry),
        project.probe(type="line", on=ERRORS, retry=retry, **BATCHED),
        project.probe(type=BULK, queue=BULK, isolation="process", retry=retry, **BATCHED),
    ]


def prepare(project, retry, common):
    """A configuration for each subscription that is not listed."""
    usual = project.config
    for name in (LATE, BRIEF):
        project.config = project.dir / f"{name}.conf"
        project.configure([project.probe(type="line", on=name, retry=retry)], THREADS, queues=[{"name": name}], **common)
    project.config = usual


# ---- joining and leaving ----


class Topics(Errands):
    """Does the events in their order; what was refused in the end is done once all is healed."""

    def __init__(self, project, plan, work, started, workers, broker):
        super().__init__(project, plan, work, started)
        self.plan, self.workers, self.broker = plan, workers, broker
        self.is_rabbitmq = project.url.startswith("amqp")
        self.sends, self.injected = Work(), Counter()
        self.events = events(plan)
        self.last = {event[2]: event for event in self.events if event[2]}
        self.undone = set(self.last)  # whose last event has not succeeded
        self.joined = dict.fromkeys((BULK, *LISTED), 0.0)  # when the last join had returned; what was left is not here
        self.has_left, self.emptied = False, None  # `brief`; when its join after that began

    def threads(self, seconds):
        return [self, Sending(self.project, self.sends, batches(self.plan, seconds), self.started)]

    def run(self):
        for event in self.events:
            time.sleep(max(0, self.started + event[0] - time.monotonic()))
            try:
                self.act(event)
            except Exception as failure:
                self.work.complaints.append(f"topic {event[1]} {event[2]} failed: {failure!r}")

    def settle(self):
        for name in sorted(self.undone):
            self.act(self.last[name])
        assert not self.undone, f"cannot be joined, or left, although all is healed: {self.undone}"

    def act(self, event):
        _, what, name = event
        if what == "list":
            self.call("topic", "list", "--json")
        elif (self.joins(name) if what == "join" else self.leaves(name)) and event is self.last[name]:
            self.undone.discard(name)
            if what == "join":
                self.workers.add(f"{name}.conf")

    def joins(self, name):
        """Whether it returned well."""
        if name == BRIEF and self.has_left:
            self.emptied = self.emptied or time.time()
        if not self.call("topic", "join", name):
            return False
        self.joined[name] = time.time()
        return True

    def leaves(self, name):
        """Whether it returned well."""
        if not self.call("topic", "leave", name, "--force"):
            return False
        self.joined.pop(name, None)
        self.has_left = True
        return True

    def stop(self):
        """Its workers are stopped with the others."""

    # ---- books ----

    def letters(self):
        """Of those that the first configuration does not know: RabbitMQ shows them to nobody else. Unrouted ones it shows."""
        if not self.is_rabbitmq:
            return []
        return [letter for name in (LATE, BRIEF) if name in self.joined
                for letter in self.project.dead("-c", f"{name}.conf", "--queue", name) if letter["reason"] != "unrouted"]

    def books(self, journal, letters, counts):
        """[(place, its books)]: of each subscription, and of the queue of batches."""
        letters = letters + self.letters()
        return [(name, self.books_of(name, [line for line in journal if line["queue"] == name],
                                     [one for one in letters if one["queue"] in queues_of(name)], counts))
                for name in sorted(self.joined)]

    def books_of(self, name, journal, letters, counts):
        """What was sent before the join had returned may have come, too. A rollback may take the join back."""
        joined, forgiven = self.joined[name], self.broker.forgiven
        void = name != BULK and any(since - 0.1 <= joined <= until for since, until in forgiven)
        sent = {identity: one if one.began >= joined and not void else replace(one, confirmed=0.0)
                for identity, one in list(self.sends.sent.items()) if (one.row.get("queue") == BULK) == (name == BULK)}
        work = Work(sent=sent, drops=self.work.drops, failed_moves=self.work.failed_moves)
        books = Books(work, journal, letters, self.plan, counts, self.broker)
        if forgiven:  # the subscriptions were away with the rest
            books.reasons = {*books.reasons, "unrouted"}
        return books

    def findings(self, books):
        yield from self.sends.complaints
        for name, one in books:
            yield from (f"{name}: {finding}" for finding in one.findings())
            if name == BRIEF:
                yield from self.came_back(one)

    def came_back(self, books):
        """What was sent before `brief` joined again had never come to it, or was deleted when it left. On RabbitMQ what is delayed
        is copied at the end of its delay."""
        if self.emptied is None or self.broker.forgiven or moves_all(self.plan):
            return
        ended = books.done | set(books.dead)
        back = sorted(name for name, sent in self.sends.sent.items()
                      if name in ended and 0 < sent.confirmed < self.emptied
                      and not (self.is_rabbitmq and "delay" in sent.row))
        if back:
            yield f"{BRIEF}: was left, and has what was sent before it joined again: {len(back)}, such as {back[:6]}"


START = Topics


def queues_of(name):
    """Of its dead letters: an unrouted one is of all subscriptions."""
    return (name,) if name == BULK else (name, f"@{TOPIC}")


def is_mine(queue):
    return "@" in queue or queue == BULK
