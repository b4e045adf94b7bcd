"""What strikes the store, for worlds that are about what it remembers.

With Redis and SQLite the broker is the store there, and faults strike both. With RabbitMQ the store is a SQLite file, `store.db`:
its calls fail, and others hold it, as those of a broker in SQLite (sqlite_faults.py)."""

import threading
import time

import sqlite_faults
from faults import Plan, decisions, matches, strike_each


def add_rules(plan, adapter, without, only):
    """The decisions have a stream of their own: several worlds that use the store strike it once."""
    if plan.store or any(one.operation in getattr(adapter, "OF_STORE", ()) for one in plan.decisions):
        return
    strike_each(plan, adapter, getattr(adapter, "OF_STORE", ()), "store", without, only, 3)
    if adapter.__name__ == "rabbitmq_faults":
        kinds = [kind for kind in sqlite_faults.KINDS if not kind.alone]
        made = decisions(plan.stream("store"), plan, kinds, sqlite_faults)
        plan.store = [one for one in made if matches(only, one.kind.name) and not matches(without, one.kind.name)]


def table(plan):
    return [f"  {decision}, of the store's file" for decision in plan.store]


class File(sqlite_faults.Broker):
    def __init__(self, project):
        super().__init__(project, Plan(0, 0, True))
        self.path = project.dir / "store.db"


def prepare(project, common):
    """Before any process of bide starts."""
    common.pop("store", None)
    if project.url.startswith("amqp"):
        common["store"] = "sqlite:store.db"
    if project.url.startswith("amqp") and not hasattr(project, "store_file"):
        project.store_file = File(project).__enter__()


class Striking(threading.Thread):
    """Does plan.store, at its times. Nothing, where the broker is the store."""

    def __init__(self, project, plan, started):
        super().__init__(daemon=True)
        self.file, self.plan, self.started = getattr(project, "store_file", None), plan, started
        project.store_file = None  # another world has no hand in it

    def run(self):
        if not self.file:
            return
        self.file.begin()
        for decision in sorted(self.plan.store, key=lambda one: one.at):
            time.sleep(max(0, self.started + decision.at - time.monotonic()))
            self.file.inject(decision)

    def counts(self):
        return {(kind, f"store: {operation}"): n for (kind, operation), n in (self.file.counts() if self.file else {}).items()}

    def heal(self):
        if self.file:
            self.join(60)
            self.file.heal()
