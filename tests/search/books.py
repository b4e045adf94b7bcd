"""The books of one seed: what must hold once all is healed. Each finding is one sentence."""

from collections import Counter, defaultdict

from faults import DUPLICATES
from workload import PREFETCH, THREADS

IN_FLIGHT = 3 * (PREFETCH + THREADS) + 150  # of two workers, one of which fetches as it likes; what waits to be landed
REASONS = {"hopeless": ("rejected",), "rough": ("crashed",)}
RUNS = 4  # attempts of a message
MAY_BE_ABSENT = ("expires",)


class Books:
    def __init__(self, work, journal, letters, plan, injected, broker):
        self.work, self.journal, self.letters = work, journal, letters
        self.plan, self.injected, self.forgiven = plan, injected, broker.forgiven
        self.in_flight = broker.in_flight() if hasattr(broker, "in_flight") else None
        self.reasons = getattr(broker, "reasons", ())
        self.more_windows = getattr(broker, "more_windows", 0)
        self.runs = defaultdict(list)
        for line in journal:
            self.runs[line["id"]].append(line)
        self.done = {line["id"] for line in journal if line["outcome"] == "done"}
        self.dead = Counter(letter["id"] for letter in letters)

    def windows(self):
        """How often something that was in flight may have come again."""
        kinds = {decision.kind.name: decision.kind for decision in self.plan.decisions}
        more = self.more_windows + self.work.failed_moves
        return more + sum(count for (kind, _), count in self.injected.items()
                          if kind in kinds and kinds[kind].allows == DUPLICATES)

    def required(self):
        """Ids that must have ended: all confirmed, and what those of `chain` that were confirmed have sent."""
        for name, sent in self.work.confirmed().items():
            if sent.sort in MAY_BE_ABSENT or self.is_forgiven(sent) or sent.sort == "rough" and self.work.drops:
                continue
            yield f"{name}-next" if sent.sort == "chain" and name not in self.dead else name

    def is_forgiven(self, sent):
        """Its sending was under way meanwhile. A part of a batch may be stored and answered before the broker dies, and
        its id is printed only when the rest is."""
        return any(sent.began <= until and since - 0.1 <= sent.confirmed for since, until in self.forgiven)

    def missing(self):
        ended = self.done | set(self.dead)
        return sorted(name for name in self.required() if name not in ended)

    def strangers(self):
        known = set(self.work.sent) | {f"{name}-next" for name in self.work.sent}
        return sorted(name for name in (self.done | set(self.dead)) - known if not name.startswith("stream-"))

    def early(self):
        return [line for line in self.journal if line["lateness_us"] < 0]

    def innocent_deaths(self):
        for letter in self.letters:
            sort = letter["id"].rsplit("-next", 1)[0].rsplit("-", 1)[0]
            if letter["reason"] not in REASONS.get(sort, ()) and letter["reason"] not in self.reasons:
                yield f"{letter['id']} is dead as {letter['reason']} ({letter.get('error')})"

    def burnt(self):
        """Done at a later attempt than it asked for."""
        for name in self.done:
            sent = self.work.sent.get(name)
            if not sent and name.startswith("stream-"):  # its sender failed: nobody knows what it asked for
                continue
            asked = 1 + (sent.fails if sent else 0)
            last = max(line["attempt"] for line in self.runs[name] if line["outcome"] == "done")
            if last > asked:
                yield f"{name} was done at attempt {last}, not {asked}"

    def repeats(self):
        """id -> how many ends and failed runs beyond what it asked for. A replayed letter begins again with attempt 1."""
        more = {}
        for name, runs in self.runs.items():
            if name not in self.dead and not name.startswith(("hopeless-", "rough-")):
                passes = Counter(line["attempt"] for line in runs if line["outcome"] != "started")
                more[name] = sum(passes.values()) - len(passes)
        for name, letters in self.dead.items():
            more[name] = more.get(name, 0) + letters - 1 + (1 if name in self.done else 0)
        return {name: count for name, count in more.items() if count}

    def lost(self):
        """Each with when it was confirmed, after the first confirmation, and what it was."""
        first = min((sent.confirmed for sent in self.work.confirmed().values()), default=0)
        for name in self.missing():
            sent = self.work.sent.get(name) or self.work.sent[name[: -len("-next")]]
            yield (f"{name} (confirmed at {sent.confirmed - first:.2f} s, delay {sent.row.get('delay', 'none')}, "
                   f"runs {[(run['attempt'], run['outcome']) for run in self.runs[sent.row['id']]]})")

    def findings(self):
        yield from self.work.complaints
        for what, names in (("lost", list(self.lost())), ("never sent, and ended", self.strangers()),
                            ("early", [line["id"] for line in self.early()]),
                            ("not to blame", list(self.innocent_deaths())), ("attempt burnt", list(self.burnt()))):
            if names:
                yield f"{what}: {len(names)} of {len(self.work.confirmed())} confirmed, such as {names[:6]}"
        yield from self.too_often()

    def too_often(self):
        repeats, windows = self.repeats(), self.windows()
        if self.in_flight is not None and not self.plan.gentle:
            yield from self.unexplained(repeats)
            return
        whole = sum(repeats.values())
        if whole > windows * IN_FLIGHT:
            yield (f"ran twice: {whole} runs or ends of {len(repeats)} messages more than they asked for, where {windows} "
                   f"faults of this seed allow it, such as {dict(sorted(repeats.items())[:6])}")
        most = max(repeats.values(), default=0)
        if most > windows + 2:
            name = max(repeats, key=repeats.get)
            yield f"ran again and again: {name} {most} times more than it asked for ({windows} faults allow a repeat)"

    def unexplained(self, repeats):
        """Where the broker's proxy knows what was in flight when something failed: one more copy each time, and each copy may
        be run as often as its policy says. What a message sends is sent again when it runs again."""
        odd = {}
        for name, more in repeats.items():
            copies = self.in_flight[name] + (self.in_flight[name[:-5]] if name.endswith("-next") else 0)
            if more > copies * RUNS:
                odd[name] = f"{more} more, {copies} times in flight"
        if odd:
            yield f"ran twice though not in flight: {len(odd)} messages, such as {dict(sorted(odd.items())[:6])}"

    def summary(self):
        return (f"sent {len(self.work.sent)}, confirmed {len(self.work.confirmed())}, done {len(self.done)}, "
                f"dead {len(self.dead)}, repeats {sum(self.repeats().values())} (windows {self.windows()}), "
                f"slowest send {max(self.work.send_s, default=0):.2f} s")
