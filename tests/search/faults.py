"""Which faults a seed has: kinds, the rules and moments drawn from it, and how often each was injected.

An adapter of the search (redis_faults.py, sqlite_faults.py, rabbitmq_faults.py; worker_faults.py is one, too) is a module with

    KINDS       a tuple of Kind
    OPERATIONS  names of what a rule can strike: the commands or methods a proxy sees; () where there is no proxy
    HOT         those that go by often: a rule may wait for a later one (without it: all of them)
    start(project, plan)  -> a context manager, the broker of one seed, which offers
        url               what workers, senders and admins are given: it leads through the proxy
        begin()           the workers serve: rules count from now on
        inject(decision)  does a moment now, or arms a rule; what lasts is ended by itself after decision.seconds
        heal()            ends all faults, at once: from now on the broker serves, and nothing is injected any more
        counts()          Counter of (kind, operation): how often each was really injected
        seen()            Counter of operations that went by
        strangers()       operations that went by and stand in no table
        forgiven          [(since, until)]: what was being sent between these times (time.time()) may be lost (a rollback)
    and, where it can,
        in_flight()       Counter of ids: how often each was in flight when something failed, so that one more copy may live
        reasons           of dead letters that faults of this seed explain
        complaints()      what else it found
        more_windows      how many faults, beside those of its kinds, allow a repeat
        ended_s           how long all may take to end after healing
    The module may have shared(), a context manager around many seeds, and share(plan), decisions that each seed has beside
    those that are drawn: so that a few seeds meet all kinds and all operations.
"""

import fnmatch
import math
import random
from collections import Counter
from dataclasses import dataclass, field

MOST_RULES = 40  # of a seed; more, and hardly a command succeeds
NOTHING, DUPLICATES = "nothing", "duplicates"


@dataclass(frozen=True)
class Kind:
    """`allows`: NOTHING (each message still runs as often as it asks for) or DUPLICATES (what was in flight may run again).
    `strikes`: "rule" (the nth passage of an operation) or "moment" (a time). `only`: operations it can strike; () is all.
    `seconds`: from, to. `group`: for `--without` and `--only`."""

    name: str
    strikes: str
    allows: str = NOTHING
    seconds: tuple = (0.0, 0.0)
    only: tuple = ()
    group: str = ""
    weight: float = 1.0
    alone: bool = False  # only in seeds that are drawn for it: it changes what the workload may do
    warm: float = 0.0  # seconds that the workers must have served before


@dataclass(frozen=True)
class Decision:
    kind: Kind
    operation: str = ""  # rule: what it strikes
    nth: int = 0  # rule: at which passage, counted from begin()
    at: float = 0.0  # moment: seconds after begin()
    seconds: float = 0.0  # how long it lasts
    chance: float = 0.0  # in [0, 1): whatever else has to be chosen (which worker, which key)

    def __str__(self):
        where = f"{self.operation} number {self.nth}" if self.operation else f"after {self.at:.2f} s"
        lasts = f", for {self.seconds:.2f} s" if self.seconds else ""
        return f"{self.kind.name}: {where}{lasts}"


@dataclass
class Plan:
    seed: int
    seconds: float  # how long the workload is sent
    gentle: bool  # only kinds that allow nothing: every message runs exactly as often as it asks for
    options: dict = field(default_factory=dict)  # of the broker: drawn by its module
    decisions: list = field(default_factory=list)
    worlds: tuple = ()  # modules of what happens beside the rest: --topics, --relay
    store: list = field(default_factory=list)  # what strikes the file of a store that is not the broker (stores.py)

    def stream(self, *purpose):
        """Random numbers of their own for each purpose: one more draw here changes nothing there."""
        return random.Random("/".join(map(str, (self.seed, *purpose))))

    def rules(self):
        return [decision for decision in self.decisions if decision.kind.strikes == "rule"]

    def warm(self):
        """How long the workers serve before anything is sent."""
        return max((decision.kind.warm for decision in self.decisions), default=0.0)

    def until(self):
        """When the work ends: not before the last moment has."""
        return max([self.seconds, *(one.at + one.seconds + 0.3 for one in self.moments())])

    def moments(self):
        return sorted((one for one in self.decisions if one.kind.strikes == "moment"), key=lambda one: one.at)

    def has(self, name):
        return any(decision.kind.name == name for decision in self.decisions)

    def table(self):
        rows = [f"  {decision}" for decision in self.rules() + self.moments()]
        said = ", ".join(f"{key}={value}" for key, value in self.options.items())
        head = f"seed {self.seed}: {self.seconds:.1f} s of work, {'gentle' if self.gentle else 'rough'}"
        return "\n".join([f"{head}; {said}" if said else head, *rows])


def swarm(draw, kinds):
    """A part of the kinds: a seed that has all of them at once never shows what one alone does."""
    share = draw.choice((0.15, 0.3, 0.6))
    chosen = [kind for kind in kinds if draw.random() < share]
    return chosen or [draw.choice(kinds)]


def rotated(draw, plan, rules, operations, hot):
    """One rule for each operation (of many: for a part of them), its kind moved on by one from seed to seed: consecutive seeds
    meet every pair."""
    share = min(0.8, MOST_RULES / len(operations))
    for number, operation in enumerate(operations):
        fitting = [kind for kind in rules if not kind.only or operation in kind.only]
        if fitting and draw.random() < share:
            kind = fitting[(plan.seed + number) % len(fitting)]
            yield rule(draw, kind, operation, hot)


def rule(draw, kind, operation, hot):
    nth = int(math.exp(draw.uniform(0, math.log(25 if operation in hot else 2))))
    return Decision(kind, operation, nth, seconds=draw.uniform(*kind.seconds), chance=draw.random())


def struck(draw, kinds, operations, hot):
    kind = draw.choice(kinds)
    return rule(draw, kind, draw.choice(kind.only or operations), hot)


def moment(draw, kind, until):
    """Short ones mostly."""
    low, high = kind.seconds
    lasts = low + (high - low) * draw.random() ** 3
    return Decision(kind, at=draw.uniform(0.2, until), seconds=lasts, chance=draw.random())


def begin_plan(seed):
    draw = random.Random(f"plan/{seed}")
    return draw, Plan(seed, draw.uniform(2, 4), gentle=draw.random() < 0.5)


def rank(plan):
    """The how-manieth seed of its sort, gentle or rough, it is: what takes turns goes by this."""
    first = plan.seed - plan.seed % 100
    return first // 2 + sum(begin_plan(seed)[1].gentle == plan.gentle for seed in range(first, plan.seed))


def in_turn(plan, module, part):
    """For share() of a module: one in `part` operations (of its SELDOM, half), struck at its first passage; one moment."""
    draw, turn, made = plan.stream("share"), rank(plan), []
    kinds = [kind for kind in module.KINDS if plan.gentle <= (kind.allows == NOTHING) and not kind.alone]
    rules = [kind for kind in kinds if kind.strikes == "rule"]
    for number, operation in enumerate(module.OPERATIONS):
        fitting = [kind for kind in rules if not kind.only or operation in kind.only]
        often = 2 if operation in getattr(module, "SELDOM", ()) else part
        if fitting and number % often == turn % often:
            made.append(rule(draw, fitting[(turn * 3 + number) % len(fitting)], operation, ()))
    moments = [kind for kind in kinds if kind.strikes == "moment"]
    return [*made, moment(draw, moments[turn % len(moments)], plan.seconds)] if moments else made


def make_plan(seed, modules, without=(), only=("*",), options=None):
    """All decisions of a seed. `without` and `only`, globs, take kinds, groups and options away afterwards: the rest stays."""
    draw, plan = begin_plan(seed)
    if options:
        plan.options = options(plan.stream("options"), plan)
    if plan.stream("batches").random() < 0.3:
        plan.options["batches"] = True
    for module in modules:
        possible = [kind for kind in module.KINDS if plan.gentle <= (kind.allows == NOTHING) and not kind.alone]
        possible += [kind for kind in module.KINDS if kind.alone and kind.name in plan.options.get("alone", ())]
        plan.decisions += decisions(draw, plan, possible, module)
        plan.decisions += module.share(plan) if hasattr(module, "share") else []
    plan.decisions = [one for one in plan.decisions if matches(only, one.kind.name, one.kind.group)
                      and not matches(without, one.kind.name, one.kind.group)]
    plan.options = {key: value for key, value in plan.options.items() if not matches(without, key)}
    return plan


def strike_each(plan, adapter, operations, purpose, without, only, most=1):
    """For a world: rules for operations that go by only with it. One for each, or up to so many, of those that go by often."""
    draw = plan.stream(purpose, "rules")
    fits = getattr(adapter, "can_strike", lambda kind, operation: True)
    for operation in operations:
        kinds = [kind for kind in adapter.KINDS if kind.strikes == "rule" and plan.gentle <= (kind.allows == NOTHING)
                 and fits(kind.name, operation.split()[-1])]
        for _ in range(draw.randrange(most + 1) if most > 1 else 1):
            made = rule(draw, draw.choice(kinds), operation, operations if most > 1 else ())
            if matches(only, made.kind.name, made.kind.group) and not matches(without, made.kind.name, made.kind.group):
                plan.decisions.append(made)


def matches(patterns, *names):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)


def decisions(draw, plan, possible, module):
    operations, hot = module.OPERATIONS, getattr(module, "HOT", module.OPERATIONS)
    rules = [kind for kind in possible if kind.strikes == "rule"]
    moments = [kind for kind in possible if kind.strikes == "moment" and not kind.alone]
    made = [moment(draw, kind, plan.seconds) for kind in possible if kind.alone and kind.strikes == "moment"]
    if rules and draw.random() < 0.4:
        made += rotated(draw, plan, rules, operations, hot)
    elif rules:
        chosen = swarm(draw, rules)
        made += [struck(draw, chosen, operations, hot) for _ in range(draw.randrange(2, 16))]
    if moments and draw.random() < 0.85:
        chosen = swarm(draw, moments)
        weights = [kind.weight for kind in chosen]
        many = draw.randrange(1, 6)
        made += [moment(draw, kind, plan.seconds) for kind in draw.choices(chosen, weights, k=many)]
    return made


def total(counters):
    whole = Counter()
    for one in counters:
        whole.update(one)
    return whole
