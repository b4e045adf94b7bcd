"""An application with an outbox: its own SQLite database, orders, and messages in the same transactions."""

import sqlite3
import sys

from bidetest.process import Worker
from bidetest.project import BUILD, ROOT

sys.path.insert(0, str(ROOT / "sdk" / "python"))
import bide  # noqa: E402


class Shop:
    """`mode`: the journal mode of its database. Close it."""

    def __init__(self, project, name="shop.db", mode="WAL"):
        self.project, self.url = project, f"outbox+sqlite:{name}"
        self.db = sqlite3.connect(project.dir / name, timeout=30, check_same_thread=False)
        self.db.execute(f"PRAGMA journal_mode = {mode}")
        self.db.execute("CREATE TABLE IF NOT EXISTS orders (id TEXT)")
        self.db.commit()

    def order(self, number, commits=True, prefix="o", **options):
        """A transaction that stores an order and sends a message, or is rolled back."""
        identity = f"{prefix}{number:06d}"
        self.db.execute("INSERT INTO orders VALUES (?)", (identity,))
        bide.outbox_send(self.db, "journal", {"order": number}, id=identity, **options)
        if commits:
            self.db.commit()
        else:
            self.db.rollback()
        return identity

    def committed(self):
        return {identity for identity, in self.db.execute("SELECT id FROM orders")}

    def waiting(self):
        return self.db.execute("SELECT count(*) FROM bide_outbox WHERE refused IS NULL").fetchone()[0]

    def relay(self, *arguments, env=None):
        """A running `bide relay` from it to the project's broker."""
        log = self.project.dir / f"relay-{len(self.project.workers) + 1}.log"
        worker = Worker([str(BUILD / "bide"), "relay", "--from", self.url, *arguments], self.project.dir, log, env)
        self.project.workers.append(worker)
        return worker

    def close(self):
        self.db.close()
