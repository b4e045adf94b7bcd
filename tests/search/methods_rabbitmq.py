"""Every method that the RabbitMQ adapter sends, by the purpose of its connection, and what each failure of it leads to. A method
that goes by and does not stand here is a finding of its seed: whoever lets the adapter send something new adds its row, and says
what becomes of it.

A purpose is what stands in parentheses in the connection's name: `intake` and `courier` of a worker, `sender`, `admin`, `replay`
(what `dead retry` publishes on), `dead-letters` (what `move` stores them on). `login` is each connection before it has said its
name. Each method can be refused (the server
closes its channel or the connection), lose its answer with the connection, or meet silence."""

LOGIN = "as a server that cannot be reached: the next host, then again with growing pauses; wrong rights end a command with 78"
INTAKE = "the channel's queue waits, the others go on; it is declared, opened and consumed again with growing pauses. A closed "\
         "connection is made again; the server hands out again what was in hand"
COURIER = "the connection is made again with growing pauses; what is unconfirmed is published again one by one, may be twice; what is "\
          "refused alone waits and is tried again"
SENDER = "the connection is made again until the timeout; what is unconfirmed then is not confirmed to the caller, and may be stored"
ADMIN = "the command fails with exit 69 (78 for rights) and says what the server said; what it had fetched goes back"
NOWAIT = "is not answered: a refusal closes the channel, as of the next method"
GOODBYE = "nobody waits longer than a second"

DECLARING = ("exchange.declare", "exchange.bind", "queue.declare", "queue.bind", "basic.qos")
LOGGING_IN = ("connection.start-ok", "connection.tune-ok", "connection.open", "channel.open")
ENDING = ("connection.close", "connection.close-ok")

PURPOSES = ("intake", "courier", "sender", "admin", "replay", "dead-letters")

METHODS = {
    "login header": LOGIN,
    **{f"{role} {name}": what for role, what in (("intake", INTAKE), ("courier", COURIER), ("sender", SENDER),
                                                 ("admin", ADMIN), ("replay", ADMIN), ("dead-letters", ADMIN))
       for name in (*LOGGING_IN, *DECLARING)},
    **{f"{role} {name}": GOODBYE for role in PURPOSES for name in ENDING},
    **{f"{role} channel.close-ok": "its channel is opened again, or the connection is made again"
       for role in PURPOSES},
    "intake basic.consume": f"{NOWAIT}; {INTAKE}",
    "intake basic.cancel": f"{NOWAIT}; {INTAKE}",
    "intake basic.ack": f"not answered; lost with the connection: the message runs again; refused: {INTAKE}",
    "intake basic.nack": f"not answered; lost with the connection: the server hands it out all the same; refused: {INTAKE}",
    "courier confirm.select": COURIER,
    "courier basic.publish": "nacked: again after a pause; returned: all is declared again, then again; confirm lost: again, "
                             "may be twice; channel closed: one by one, and the one refused alone waits in "
                             "hand; then the original is acknowledged",
    "sender confirm.select": SENDER,
    "sender basic.publish": "nacked or returned: sent again until the timeout; confirm lost: sent again, may be twice; "
                            "channel closed: one by one, and the one refused alone fails",
    "admin basic.publish": "of `check` only, to nowhere: it comes back, or the check says that the broker has an alarm or is silent",
    "admin basic.consume": f"{ADMIN}; so do messages that come without an end",
    "admin basic.cancel": f"{ADMIN}; the consumer ends with the connection",
    "admin basic.get": f"of the retention, and behind acknowledgements: {ADMIN}",
    "admin basic.ack": "not answered; lost with the connection: the letter stays, and one that was replayed or dropped lives on",
    "admin basic.nack": "not answered; lost with the connection: it goes back all the same",
    "admin channel.close": GOODBYE,
    "admin queue.delete": f"{NOWAIT}; {ADMIN}",
    "admin queue.unbind": f"of `topic leave`: {ADMIN}; leaving again unbinds what is left, and deletes",
    "admin exchange.delete": f"{NOWAIT}; {ADMIN}",
    "replay confirm.select": ADMIN,
    "replay basic.publish": "nacked or unconfirmed: the letter stays dead, and may live twice",
    "dead-letters confirm.select": ADMIN,
    "dead-letters basic.publish": "nacked or unconfirmed: the letter stays where it came from, and may be there twice",
    "intake heartbeat": "lost: the server ends the connection after two",
    "courier heartbeat": "lost: the server ends the connection after two",
}

# The steps of a connection are the same for each command.
COMMANDS = ("sender", "admin", "replay", "dead-letters")
STEPS = {*LOGGING_IN, *DECLARING, *ENDING, "channel.close-ok", "connection.tune", "connection.open-ok", "channel.open-ok",
         "basic.qos-ok", "queue.declare-ok"}


def operation(purpose, name):
    """What a rule names: a purpose and a method; the server's methods begin with "<"."""
    if purpose in COMMANDS and name.lstrip("<") in STEPS:
        purpose = "command"
    return f"{purpose} {name}"


# What the server sends; all of it can come late, or never.
ANSWERS = (
    "login <connection.start",
    *(f"{purpose} <{name}" for purpose in ("intake", "courier", "command")
      for name in ("connection.tune", "connection.open-ok", "channel.open-ok", "basic.qos-ok")),
    "intake <basic.deliver", "intake <basic.consume-ok", "intake <basic.cancel-ok", "intake <heartbeat",
    "courier <queue.declare-ok", "courier <confirm.select-ok", "courier <basic.ack", "courier <heartbeat",
    "sender <confirm.select-ok", "sender <basic.ack",
    "command <queue.declare-ok", "command <connection.close-ok",
    "admin <basic.consume-ok", "admin <basic.deliver", "admin <basic.cancel-ok", "admin <basic.get-ok", "admin <channel.close-ok",
    "replay <confirm.select-ok", "replay <basic.ack",
)

# They stand above, but the workload meets them only by chance: no rule has to strike them.
RARE = {
    "admin basic.publish", "admin queue.delete", "admin queue.unbind", "admin exchange.delete", "admin <channel.close-ok",
    "dead-letters confirm.select", "dead-letters basic.publish",
    "intake heartbeat", "courier heartbeat", "courier exchange.bind", "courier <queue.declare-ok",
    "intake connection.close", "courier connection.close",
    *(f"{purpose} {name}" for purpose in ("command", "intake", "courier") for name in ("connection.close-ok", "channel.close-ok")),
}
OPERATIONS = tuple(dict.fromkeys(name for name in (*(operation(*name.split()) for name in METHODS), *ANSWERS)
                                 if name not in RARE))
OF_TOPICS = ("admin queue.delete", "admin queue.unbind")  # they go by with --topics
# They go by often in each seed.
HOT = ("intake <basic.deliver", "intake basic.ack", "courier basic.publish", "courier <basic.ack", "sender basic.publish",
       "command queue.declare", "command queue.bind", "admin basic.consume", "admin <basic.deliver", "command <queue.declare-ok")
# They go by only where a command gets so far.
SELDOM = tuple(name for name in OPERATIONS if name.startswith(("admin", "replay")) or name == "intake basic.nack")
# They go by when a worker connects.
CONNECTING = tuple(name for name in OPERATIONS if name.startswith(("login", "intake", "courier"))
                   and name.split()[1].lstrip("<") in {"header", "connection.start", "confirm.select", "confirm.select-ok", *STEPS})
