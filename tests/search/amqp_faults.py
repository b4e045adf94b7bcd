"""The faults that amqp_proxy does to methods, and which method each can strike."""

import random

import amqp_frames

SOFT = (311, 313, 403, 404, 405, 406, 506, 540, 541)  # close a channel
HARD = (320, 402, 501, 502, 503, 504, 505, 506, 530, 540, 541)  # close the connection
STORED = {506, 540, 541}  # the server did what was asked before it failed
ENDING = {"connection.close", "connection.close-ok", "channel.close", "channel.close-ok"}


class Fault:
    """`name`: a row of KINDS of rabbitmq_faults; `code`: of a reply; `seconds`: how long it lasts; `chance`: in [0, 1)."""

    def __init__(self, name, seconds=0.0, chance=0.0):
        self.name, self.seconds = name, seconds
        head, _, code = name.rpartition("-")
        self.kind, self.code = (head, int(code)) if code.isdigit() else (name, 0)
        self.draw = random.Random(chance)


def nothing(role, from_client, unit, number):
    """A plan without faults. `number`: how many of this method have come from this side on connections for this purpose."""


def can_strike(kind, method):
    """Whether a fault of this kind is possible at a method; those of the server begin with "<"."""
    name = method.lstrip("<")
    if method.startswith("<"):
        return kind in ("cut-before", "delay", "stall", "stall-long") or kind in {
            "heartbeat": ("drop",), "basic.deliver": ("cancel",), "basic.ack": ("late", "reordered", "gathered")}.get(name, ())
    if name in ("header", "heartbeat"):
        return kind in ("cut-before", "delay", "stall", "stall-long")
    if kind in ("cut-before", "cut-after", "delay"):
        return True
    if name in ENDING:
        return False
    if kind in ("stall", "stall-long") or kind.startswith("connection-"):
        return True
    if kind.startswith("channel-"):
        return not name.startswith("connection.") and name != "channel.open"
    return name == "basic.publish" and kind in ("nack", "nack-stored", "return-312", "return-313", "blocked")


assert set(SOFT) | set(HARD) | {312} == set(amqp_frames.REPLIES), "each reply code is injected"
