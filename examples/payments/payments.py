"""The same in Python: books each payment exactly once into payments.db."""

import sqlite3

import bide

db = sqlite3.connect("payments.db", timeout=5, isolation_level=None)
db.executescript(
    """PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, cents INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS payments (id TEXT NOT NULL, account TEXT NOT NULL, cents INTEGER NOT NULL);"""
)


@bide.handler("payment")
def payment(message):  # with a concurrency of 1: on the thread that made the connection
    order = message.json()
    with bide.once_sqlite(db, message) as is_new:
        if is_new:
            db.execute(
                "INSERT INTO accounts (name, cents) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET cents = cents + ?2",
                (order["account"], order["cents"]),
            )
            db.execute("INSERT INTO payments VALUES (?, ?, ?)", (message.id, order["account"], order["cents"]))


bide.serve()
