"""Every command that the Redis adapter sends, and what each failure of it leads to. The proxy of the search names them so:
the command's word, with its second word where it has one (`CLIENT SETNAME`), `EVALSHA NAME` for a script (named in
framework/broker/redis/scripts/scripts.h). A command that goes by and does not stand here is a finding of its seed: whoever
lets the adapter send something new adds its row, and says what becomes of it.

COMMANDS: name -> (who sends it, what a refusal, a lost answer and silence lead to). RARE: those that the workload of the
search does not send; they stand here, but no rule strikes them."""

CONNECTING = "the connection counts as lost; it is made again with growing pauses"
ASKING = "admin: the command fails with exit 69 and says what the server said; nothing is changed"
KEEPING = "keeper: the connection counts as lost and is made again; heartbeats go on"

COMMANDS = {
    "AUTH": ("all", CONNECTING),
    "SELECT": ("all", CONNECTING),
    "CLIENT SETNAME": ("all", "refused: ignored; lost: " + CONNECTING),
    "ROLE": ("all", "refused: taken for a master; lost: " + CONNECTING),
    "SCRIPT LOAD": ("all", CONNECTING),
    "PING": ("admin", "the connection counts as lost and is made again"),
    "EVALSHA send": ("sender", "refused: not stored, again until the timeout where waiting helps; answer lost: sent again, may be twice"),
    "WAIT": ("sender", "stored, but not confirmed"),
    "EVALSHA claim": ("receiver", "claimed again; an answer that was lost: `keep` gives back what the worker does not know"),
    "XREADGROUP": ("receiver", "read again; an answer that was lost: `keep` gives back what the worker does not know"),
    "EVALSHA ack": ("receiver", "sent again after a new connection; a second time does nothing"),
    "EVALSHA follow": ("receiver", "sent again after a new connection; a second time does nothing"),
    "EVALSHA move": ("receiver", "sent again after a new connection; a second time does nothing"),
    "EVALSHA release": ("receiver", "sent again after a new connection; a second time does nothing"),
    "EVALSHA keep": ("receiver", CONNECTING),
    "EVALSHA declare": ("receiver, admin", CONNECTING),
    "EVALSHA join": ("keeper", KEEPING),
    "EVALSHA beat": ("keeper", KEEPING),
    "EVALSHA leave": ("keeper", "others take over once the heartbeat has ended"),
    "EVALSHA take over": ("keeper", KEEPING),
    "EVALSHA orphans": ("keeper", KEEPING),
    "SUBSCRIBE": ("keeper", KEEPING),
    "SMEMBERS": ("keeper, admin", ASKING),
    "SREM": ("keeper", KEEPING),
    "HKEYS": ("keeper, admin", ASKING),
    "EVALSHA replay": ("admin", ASKING),
    "EVALSHA drop": ("admin", ASKING),
    "EVALSHA entries": ("admin", ASKING),
    "EVALSHA held": ("admin", ASKING),
    "EVALSHA cancel": ("admin", "the command fails with exit 69 after what it has reported; an answer lost: done, and not reported"),
    "EVALSHA reschedule": ("admin", "the command fails with exit 69 after what it has reported; an answer lost: done, and not reported"),
    "EVALSHA leave a topic": ("admin", ASKING + "; an answer lost: left, and what waits there stays until the command is given again"),
    "SISMEMBER": ("admin", ASKING),
    "EVALSHA store apply": ("all, of a store", "applied again for as long as the call may take; a second time changes nothing, but takes permits "
                                               "of a rate again; then: the store is away"),
    "EVALSHA store scan": ("admin, clock", "asked again; then: the store is away"),
    "EVALSHA store beat": ("who holds permits", "asked again; after 3 s without one the permits are free"),
    "EVALSHA trim": ("console", "said in the log; the next round, a minute later, does it again"),
    "EVALSHA oldest": ("admin", ASKING),
    "EVALSHA export": ("admin", ASKING),
    "EVALSHA bury": ("admin", ASKING),
    "ZREVRANGEBYSCORE": ("admin", ASKING),
    "ZRANGE": ("admin", ASKING),
    "ZCARD": ("admin", ASKING),
    "ZCOUNT": ("admin", ASKING),
    "HMGET": ("admin", ASKING),
    "HGET": ("admin", ASKING),
    "HLEN": ("admin", ASKING),
    "SCARD": ("admin", ASKING),
    "GET": ("admin", ASKING),
    "EXISTS": ("admin", ASKING),
    "DEL": ("admin", ASKING),
    "XLEN": ("admin", ASKING),
    "XPENDING": ("admin", ASKING),
    "XINFO CONSUMERS": ("admin", ASKING),
    "INFO": ("admin (check)", "said as not checked"),
    "SET": ("admin (move)", ASKING),
    "TIME": ("admin (check)", "said as not checked"),
    "CONFIG GET": ("admin (check)", "said as not checked"),
}

RARE = ("EXISTS", "DEL", "XPENDING", "SET", "EVALSHA bury", "EVALSHA trim", "EVALSHA cancel", "EVALSHA reschedule", "EVALSHA entries",
        "EVALSHA held", "EVALSHA leave a topic", "SISMEMBER", "EVALSHA store apply", "EVALSHA store scan", "EVALSHA store beat")
OF_STORE = ("EVALSHA store apply", "EVALSHA store scan", "EVALSHA store beat")  # they go by where the broker is the store
OF_TOPICS = ("EVALSHA leave a topic", "SISMEMBER")  # they go by with --topics
HOT = ("CLIENT SETNAME", "ROLE", "SCRIPT LOAD", "EVALSHA send", "EVALSHA claim", "EVALSHA ack", "EVALSHA move", "WAIT",
       "EVALSHA follow", "EVALSHA beat", "EVALSHA declare", "EVALSHA release", "AUTH", "SELECT")
SELDOM = ("SREM", "EVALSHA export", "EVALSHA drop", "ZRANGE", "HGET", "SCARD", "HLEN", "ZCOUNT", "EVALSHA replay")
OPERATIONS = tuple(name for name in COMMANDS if name not in RARE)
