"""An application with a database of its own, orders, and transaction messages about them."""

import sqlite3
import sys

from bidetest.console import Console, free_port
from bidetest.project import ROOT
from bidetest.streams import store_of
from bidetest.waiting import wait_until

sys.path.insert(0, str(ROOT / "sdk" / "python"))
import bide  # noqa: E402

ORDER, CHECK, TOKEN = "order", "order-check", "a-token-that-may-do-all"
# The handlers, and the check: what it answers is in the order's row.
TASKS = """
import json, os, sqlite3, bide

@bide.handler("order")
def order(message):
    with open("ran.ndjson", "a", encoding="utf-8") as ran:
        os.write(ran.fileno(), (json.dumps({"id": message.id, "attempt": message.attempt}) + "\\n").encode())

@bide.handler("order-check")
def check(message):
    db = sqlite3.connect("shop.db", timeout=30)
    row = db.execute("SELECT state FROM orders WHERE id = ?", (message.transaction,)).fetchone()
    if not row:  # it cannot commit any more: its producer would find this row
        with db:
            row = db.execute("INSERT INTO orders VALUES (?, 'aborted') ON CONFLICT DO UPDATE SET id = id RETURNING state", (message.transaction,)).fetchone()
    db.close()
    return {"committed": bide.COMMIT, "aborted": bide.ABORT}.get(row[0])

bide.serve()
"""


class Orders:
    def __init__(self, project, **settings):
        self.project, self.console = project, Console(free_port(), TOKEN)
        self.socket = project.dir / "send.sock"
        self.url = f"unix:{self.socket}"
        (project.dir / "tasks.py").write_text(TASKS)
        http = {"listen": self.console.host, "token": TOKEN, "send_socket": str(self.socket)}
        program = {"name": "tasks", "run": ["/usr/bin/python3", "tasks.py"], "env": [f"PYTHONPATH={ROOT / 'sdk' / 'python'}"]}
        project.configure([{"type": ORDER, "program": "tasks", **settings.pop("order", {})}, {"type": CHECK, "program": "tasks"}],
                          http=http, programs=[program], **store_of(project), **settings)
        self.db = sqlite3.connect(project.dir / "shop.db", timeout=30, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("CREATE TABLE orders (id TEXT PRIMARY KEY, state TEXT)")

    def begin(self, **options):
        """A worker, and a client of its console."""
        worker = self.project.worker(**options)
        self.console.wait_ready()
        return worker, bide.Client(self.url)

    def record(self, identity, state):
        self.db.execute("INSERT INTO orders VALUES (?, ?)", (identity, state))

    def states(self):
        return dict(self.db.execute("SELECT id, state FROM orders"))

    def ran(self):
        return self.project.journal("ran.ndjson")

    def decides_by_hand(self, identity):
        """A transaction that nobody knows of is committed, and its letter asks in vain."""
        project = self.project
        assert identity in project.bide("transaction", "list").stdout
        project.bide("transaction", "commit", identity)
        wait_until(lambda: identity in {line["id"] for line in self.ran()}, 60, lambda: f"{identity} runs")
        project.bide("dead", "retry", f"transaction:{identity}")
        wait_until(lambda: project.left() == 0 and not project.dead(), 60, lambda: f"{project.status()}")
