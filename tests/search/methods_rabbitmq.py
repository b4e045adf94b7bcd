"""Every method that the RabbitMQ adapter sends, by the purpose of its connection, and what each failure of it leads to. A method
that goes by and does not stand here is a finding of its seed: whoever lets the adapter send something new adds its row, and says
what becomes of it.

A purpose is what stands in parentheses in the connection's name: `intake` and `courier` of a worker, `sender`, `admin`, `replay`
(what `dead retry` publishes on). `login` is each connection before it has said its name. Each method can be refused (the server
closes its channel or the connection), lose its answer with the connection, or meet silence."""

LOGIN = "as a server that cannot be reached: the next host, then again with growing pauses; wrong rights end a command with 78"
INTAKE = "the connection counts as lost: it is made again with growing pauses, the server hands out again what was in hand"
COURIER = "the connection counts as lost: it is made again with growing pauses; what is unconfirmed is published again, may be twice"
SENDER = "the connection is made again until the timeout; what is unconfirmed then is not confirmed to the caller, and may be stored"
ADMIN = "the command fails with exit 69 (78 for rights) and says what the server said; what it had fetched goes back"
NOWAIT = "is not answered: a refusal closes the channel, as of the next method"
GOODBYE = "nobody waits longer than a second"

DECLARING = ("exchange.declare", "exchange.bind", "queue.declare", "queue.bind", "basic.qos")
LOGGING_IN = ("connection.start-ok", "connection.tune-ok", "connection.open", "channel.open")
ENDING = ("connection.close", "connection.close-ok")

METHODS = {
    "login header": LOGIN,
    **{f"{role} {name}": what for role, what in (("intake", INTAKE), ("courier", COURIER), ("sender", SENDER),
                                                 ("admin", ADMIN), ("replay", ADMIN))
       for name in (*LOGGING_IN, *DECLARING)},
    **{f"{role} {name}": GOODBYE for role in ("intake", "courier", "sender", "admin", "replay") for name in ENDING},
    **{f"{role} channel.close-ok": "its channel is opened again, or the connection is made again"
       for role in ("intake", "courier", "sender", "admin", "replay")},
    "intake basic.consume": f"{NOWAIT}; {INTAKE}",
    "intake basic.cancel": f"{NOWAIT}; {INTAKE}",
    "intake basic.ack": f"not answered; lost with the connection: the message runs again; refused: {INTAKE}",
    "intake basic.nack": f"not answered; lost with the connection: the server hands it out all the same; refused: {INTAKE}",
    "courier confirm.select": COURIER,
    "courier basic.publish": "nacked: again after a pause; returned: all is declared again, then again; confirm lost or channel "
                             "closed: again, may be twice; then the original is acknowledged",
    "sender confirm.select": SENDER,
    "sender basic.publish": "nacked or returned: sent again until the timeout; confirm lost: sent again, may be twice",
    "admin basic.get": ADMIN,
    "admin basic.ack": "not answered; lost with the connection: the letter stays, and one that was replayed or dropped lives on",
    "admin basic.nack": "not answered; lost with the connection: it goes back all the same",
    "admin channel.close": GOODBYE,
    "replay confirm.select": ADMIN,
    "replay basic.publish": "nacked or unconfirmed: the letter stays dead, and may live twice",
    "intake heartbeat": "lost: the server ends the connection after two",
    "courier heartbeat": "lost: the server ends the connection after two",
}

# What the server sends; all of it can come late, or never.
ANSWERS = (
    "login <connection.start",
    *(f"{role} <{name}" for role in ("intake", "courier", "sender", "admin")
      for name in ("connection.tune", "connection.open-ok", "channel.open-ok", "basic.qos-ok", "connection.close-ok")),
    "intake <basic.deliver", "intake <basic.consume-ok", "intake <basic.cancel-ok", "intake <heartbeat",
    "courier <queue.declare-ok", "courier <confirm.select-ok", "courier <basic.ack", "courier <heartbeat",
    "sender <queue.declare-ok", "sender <confirm.select-ok", "sender <basic.ack",
    "admin <queue.declare-ok", "admin <basic.get-ok", "admin <channel.close-ok",
    "replay <queue.declare-ok", "replay <confirm.select-ok", "replay <basic.ack",
)

# They stand above, but the workload meets them only by chance: no rule has to strike them.
RARE = {"replay connection.close-ok", "admin connection.close-ok", "sender connection.close-ok", "intake connection.close-ok",
        "courier connection.close-ok", "replay channel.close-ok", "admin channel.close-ok", "intake channel.close-ok",
        "replay exchange.bind", "sender channel.close-ok", "courier channel.close-ok", "replay channel.open"}
OPERATIONS = tuple(name for name in (*METHODS, *ANSWERS) if name not in RARE)
