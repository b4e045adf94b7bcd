#!/usr/bin/python3
"""A channel through the proxy: the client's sequence numbers and the server's, confirms in any shape, what was in flight."""

import collections
import types
import unittest

import amqp_channel
import amqp_faults
from amqp_frames import Reader, method


class Pipe:
    """Where the proxy writes: `said()` are the units since the last time."""

    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += data

    def said(self):
        data, self.data = self.data, b""
        return [(unit.name[6:], unit.tag, unit.multiple) for unit in Reader(from_client=False).feed(data)]


def unit(name, **fields):
    (one,) = Reader(from_client=False).feed(method(1, name, **fields))
    return one


class Channels(unittest.TestCase):
    def setUp(self):
        self.proxy = types.SimpleNamespace(windows=collections.Counter(), published=collections.Counter(),
                                           delivered=collections.Counter(), lost_acks_s=3.0)
        self.client = Pipe()
        self.channel = amqp_channel.Channel(types.SimpleNamespace(
            proxy=self.proxy, role="courier", moves=False, to_client=self.client, to_server=Pipe(),
            client_has_gone=lambda: self.gone, client_left_unread=lambda: self.unread, later=lambda seconds, action: None))
        self.gone = self.unread = False
        self.channel.note_sent(unit("confirm.select"), forwarded=True)

    def publish(self, *identities, forwarded=True):
        for identity in identities:
            publish = types.SimpleNamespace(name="basic.publish", channel=1, message_id=lambda identity=identity: identity)
            self.channel.note_sent(publish, forwarded)

    def test_numbers_are_the_clients(self):
        self.publish("a")
        self.publish("b", forwarded=False)
        self.publish("c", "d")
        self.channel.confirm([2], good=False)
        self.channel.take_confirm(unit("basic.ack", tag=2))  # the server's second is the client's third
        self.assertEqual(self.client.said(), [("nack", 2, False), ("ack", 3, False)])
        self.channel.take_confirm(unit("basic.ack", tag=3, multiple=True))
        self.assertEqual(self.client.said(), [("ack", 4, True)])

    def test_multiple_never_speaks_for_an_open_one(self):
        self.publish("a", "b", "c", "d")
        self.channel.send_confirms([(number, True) for number in (1, 2, 4)], gather=True)
        self.assertEqual(self.client.said(), [("ack", 2, True), ("ack", 4, False)])

    def test_a_refused_one_is_stored(self):
        self.publish("a", "b")
        self.channel.refused.add(1)
        self.channel.take_confirm(unit("basic.ack", tag=2, multiple=True))
        self.assertEqual(sorted(self.client.said()), [("ack", 2, False), ("nack", 1, False)])
        self.assertEqual(self.proxy.windows, {"a": 1})

    def test_what_was_in_flight_at_the_end(self):
        self.publish("confirmed", "open")
        self.publish("never forwarded", forwarded=False)
        self.channel.take_confirm(unit("basic.ack", tag=1))
        self.channel.unacked.update({1: "acknowledged", 2: "in hand"})
        self.channel.note_sent(unit("basic.ack", tag=1), forwarded=True)
        self.channel.end()
        self.assertEqual(self.proxy.windows, {"open": 1, "in hand": 1, "acknowledged": 1})

    def test_a_confirm_that_nobody_hears(self):
        """The server's comes when the client has gone, or it is held here until then."""
        self.publish("heard", "late", "held")
        self.channel.take_confirm(unit("basic.ack", tag=1))
        self.channel.hold_confirms(amqp_faults.Fault("late"))
        self.channel.take_confirm(unit("basic.ack", tag=3))
        self.gone = True
        self.channel.take_confirm(unit("basic.ack", tag=2))
        self.channel.release_confirms(amqp_faults.Fault("late"))
        self.channel.end()
        self.assertEqual(self.proxy.windows, {"late": 1, "held": 1})

    def test_a_confirm_that_the_client_left_unread(self):
        self.publish("a", "b")
        self.channel.take_confirm(unit("basic.ack", tag=2, multiple=True))
        self.unread = True
        self.channel.end()
        self.assertEqual(self.proxy.windows, {"a": 1, "b": 1})

    def test_all_acknowledged_before_a_good_end(self):
        self.channel.unacked.update({1: "a", 2: "b"})
        self.channel.note_sent(unit("basic.ack", tag=0, multiple=True), forwarded=True)
        self.channel.end(well=True)
        self.assertEqual(self.proxy.windows, {})


unittest.main()
