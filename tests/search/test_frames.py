#!/usr/bin/python3
"""The proxy's reading and writing of AMQP: what is written is read again, in whatever pieces it comes."""

import struct
import unittest

import amqp_frames
from amqp_frames import Malformed, Reader, content, method

VALUES = {"b": True, "o": 7, "h": 700, "l": 70000, "q": 1 << 40, "s": "text", "S": b"long", "t": b""}


def properties(identity):
    """A content header with headers, delivery mode and a message id."""
    flags = 1 << 13 | 1 << 12 | 1 << 7
    text = identity.encode()
    return flags, struct.pack(">I", 0) + b"\x02" + bytes([len(text)]) + text


def header(identity, size):
    flags, encoded = properties(identity)
    return struct.pack(">HHQH", 60, 0, size, flags) + encoded


class Frames(unittest.TestCase):
    def test_each_method_is_read_as_it_was_written(self):
        for name, fields in amqp_frames.FIELDS.items():
            values = {field: VALUES[kind] for kind, field in fields}
            raw = method(3, name, **values)
            if name in amqp_frames.WITH_CONTENT:
                raw += content(3, header("m1", 0), b"")
            (unit,) = Reader(from_client=False).feed(raw)
            self.assertEqual((unit.name, unit.channel, unit.raw), (name, 3, raw))
            for field, value in values.items():
                self.assertEqual(getattr(unit, field), value, f"{name} {field}")

    def test_content_in_any_pieces(self):
        body = bytes(range(256)) * 40
        raw = amqp_frames.PROTOCOL_HEADER + method(1, "basic.publish", exchange="x", key="k", mandatory=True)
        raw += content(1, header("m1", len(body)), body, frame_max=1000) + method(1, "basic.ack", tag=9)
        for size in (1, 2, 7, 100, len(raw)):
            reader, units = Reader(from_client=True), []
            for at in range(0, len(raw), size):
                units += reader.feed(raw[at : at + size])
            self.assertEqual([unit.name for unit in units], ["header", "basic.publish", "basic.ack"])
            self.assertEqual((units[1].message_id(), units[1].body, units[2].tag), ("m1", body, 9))
            self.assertEqual(b"".join(unit.raw for unit in units), raw)

    def test_channels_interleave(self):
        pieces = [method(1, "basic.publish", key="a"), method(2, "basic.publish", key="b"), content(2, header("b", 0), b""),
                  content(1, header("a", 1), b"!")]
        units = list(Reader(from_client=False).feed(b"".join(pieces)))
        self.assertEqual([(unit.channel, unit.message_id()) for unit in units], [(2, "b"), (1, "a")])

    def test_nonsense_is_refused(self):
        for raw in (amqp_frames.frame(amqp_frames.BODY, 1, b"x"), amqp_frames.frame(amqp_frames.METHOD, 1, b"\xff\xff\0\1"),
                    method(1, "basic.ack", tag=1)[:-1] + b"\0"):
            with self.assertRaises(Malformed):
                list(Reader(from_client=False).feed(raw))


unittest.main()
