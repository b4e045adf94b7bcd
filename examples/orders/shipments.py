"""Ships what is paid, and tells the shop: both in one transaction of shipments.db, once for each message."""

import sqlite3

import bide

db = sqlite3.connect("shipments.db", timeout=10, isolation_level=None)


@bide.handler("shipment")
def ship(message):
    paid = message.json()
    with bide.once_sqlite(db, message) as is_new:
        if is_new:
            db.execute("INSERT INTO shipments VALUES (?, ?)", (paid["order"], paid["cents"]))
            bide.outbox_send(db, "shipped", paid)


bide.serve()
