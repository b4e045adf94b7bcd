"""Notes in orders.db that an order was shipped."""

import sqlite3

import bide

db = sqlite3.connect("orders.db", timeout=10, isolation_level=None)


@bide.handler("shipped")
def note(message):
    with bide.once_sqlite(db, message) as is_new:
        if is_new:
            db.execute("UPDATE orders SET shipped = shipped + 1 WHERE number = ?", (message.json()["order"],))


bide.serve()
