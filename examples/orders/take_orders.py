"""Takes orders until so many are stored, each with the message that asks for its payment: both are committed, or neither."""

import random
import sqlite3
import sys

import bide


class Gone(Exception):
    """The customer has left before the end."""


db = sqlite3.connect("orders.db", timeout=10)
stored = db.execute("SELECT count(*) FROM orders").fetchone()[0]
while stored < int(sys.argv[1]):
    cents = random.randint(1, 10000)
    try:
        with db:  # a transaction
            number = db.execute("INSERT INTO orders (cents) VALUES (?)", (cents,)).lastrowid
            bide.outbox_send(db, "payment", {"order": number, "cents": cents})
            if random.random() < 0.1:
                raise Gone
        stored += 1
    except Gone:
        pass  # it was rolled back: there is no order, and nobody is asked to pay
