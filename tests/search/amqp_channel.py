"""One channel of a connection through the proxy: what is unacknowledged and unconfirmed on it, and closing it as a server does."""

import asyncio
import collections
import time

import amqp_frames
from amqp_frames import method

CONSUMER_ENDS = "basic.cancel-ok"


class Channel:
    """Sequence numbers of publishes are the client's; the server counts only what was forwarded (`of_server` translates)."""

    def __init__(self, connection):
        self.connection = connection
        self.number = None
        self.told_closed = False  # the client was told; its "close-ok" has not come
        self.server_closes = False  # the server was asked to close it; its "close-ok" has not come
        self.server_closed = asyncio.Event()
        self.server_closed.set()
        self.forget()

    def forget(self):
        """What a new channel begins with."""
        self.unacked = {}  # delivery tag -> message id
        self.acked = collections.deque()  # (when, message id): lately
        self.confirmed = collections.deque()  # the same of what the client was told
        self.next_publish = self.next_forwarded = 0  # 0: confirms were not asked for
        self.of_server = {}  # the server's number -> the client's
        self.open = {}  # the client's number -> (message id, forwarded)
        self.refused = set()  # stored, and to be refused all the same
        self.held = None  # confirms that come late: [(number, good)]
        self.cut_at = None  # the connection ends instead of this confirm
        self.consumers, self.queue = [], None  # those that were begun and not ended, and of which queue
        self.cancelling = set()  # consumers whose end the client is told when the server has confirmed it

    # ---- books ----

    def windows(self):
        return self.connection.proxy.windows

    def end(self, well=False):
        """Of its connection or itself: what was in flight may live twice. What a command only looked at does not count."""
        published, looks = self.connection.proxy.published, self.connection.role == "admin" and not self.connection.moves
        self.windows().update(identity for identity in self.unacked.values()
                              if identity and not (looks and not published["replay", identity]))
        self.windows().update(identity for identity, forwarded in self.open.values() if forwarded and identity)
        if not well:
            self.windows().update(self.lately(self.acked))
        if self.connection.client_left_unread():
            self.windows().update(self.lately(self.confirmed))
        self.forget()

    def note_lately(self, events, identity):
        events.append((time.monotonic(), identity))
        while events[0][0] < time.monotonic() - self.connection.proxy.lost_acks_s:
            events.popleft()

    def lately(self, events):
        since = time.monotonic() - self.connection.proxy.lost_acks_s
        return [identity for when, identity in events if when > since and identity]

    def note_sent(self, unit, forwarded):
        self.number = unit.channel
        if unit.name == "confirm.select":
            self.next_publish = self.next_forwarded = 1
        elif unit.name == "basic.publish":
            self.note_publish(unit, forwarded)
        elif unit.name in ("basic.ack", "basic.nack", "basic.reject"):
            self.note_settled(unit)
        elif unit.name == "basic.consume":
            self.consumers.append(unit.consumer)
            self.queue = unit.queue
        elif unit.name == "basic.cancel" and unit.consumer in self.consumers:
            self.consumers.remove(unit.consumer)
        elif unit.name == "channel.close":
            self.end(well=True)

    def note_publish(self, unit, forwarded):
        identity = unit.message_id()
        self.connection.proxy.published[self.connection.role, identity] += 1
        if not self.next_publish:
            return
        self.open[self.next_publish] = (identity, forwarded)
        if forwarded:
            self.of_server[self.next_forwarded] = self.next_publish
            self.next_forwarded += 1
        self.next_publish += 1

    def note_settled(self, unit):
        multiple = unit.name != "basic.reject" and unit.multiple
        tags = [tag for tag in self.unacked if not unit.tag or tag <= unit.tag] if multiple else [unit.tag]
        for tag in tags:
            if tag in self.unacked:
                self.note_lately(self.acked, self.unacked.pop(tag))

    def note_received(self, unit):
        if unit.name in ("basic.deliver", "basic.get-ok"):
            identity = self.unacked[unit.tag] = unit.message_id()
            self.connection.proxy.delivered[self.connection.role, identity] += unit.name == "basic.deliver"
        elif unit.name == "channel.close":
            self.end()

    # ---- confirms ----

    def take_confirm(self, unit):
        """The server's, in the client's numbers; whether the connection is to be cut instead. What nobody hears stays in flight."""
        if self.connection.client_has_gone():
            return False
        numbers = [n for n in self.of_server if n <= unit.tag] if unit.multiple else [unit.tag]
        mine = sorted(self.of_server.pop(n) for n in numbers if n in self.of_server)
        if self.cut_at in mine:
            return True
        good = unit.name == "basic.ack"
        confirms = [(number, good and number not in self.refused) for number in mine]
        for number in mine:
            if number in self.refused:
                self.windows()[self.open[number][0]] += 1
        if self.held is not None:
            self.held += confirms
        else:
            self.send_confirms(confirms, gather=unit.multiple)
        return False

    def hold_confirms(self, fault):
        if self.held is not None:
            return
        self.held = []
        generation = self.open
        self.connection.later(fault.seconds, lambda: self.open is generation and self.release_confirms(fault))

    def release_confirms(self, fault):
        confirms, self.held = self.held, None
        if fault.kind == "reordered":
            fault.draw.shuffle(confirms)
        self.send_confirms(confirms, gather=fault.kind == "gathered")

    def confirm(self, numbers, good):
        self.send_confirms([(number, good) for number in numbers], gather=False)

    def send_confirms(self, confirms, gather):
        out = b"".join(self.one_confirm(number, good) for number, good in confirms if not (gather and good))
        if gather:
            out += self.gathered({number for number, good in confirms if good})
        if self.connection.client_has_gone():
            return
        for number, good in confirms:
            identity, _ = self.open.pop(number, (None, False))
            self.refused.discard(number)
            if good:
                self.note_lately(self.confirmed, identity)
        self.connection.to_client.write(out)

    def one_confirm(self, number, good, multiple=False):
        if good:
            return method(self.number, "basic.ack", tag=number, multiple=multiple)
        return method(self.number, "basic.nack", tag=number, multiple=multiple)

    def gathered(self, numbers):
        """As many as go into one "multiple", which speaks for all up to its number; the others alone."""
        last = 0
        for number in self.open:  # in their order
            if number not in numbers:
                break
            last = number
        out = self.one_confirm(last, True, multiple=True) if last else b""
        return out + b"".join(self.one_confirm(number, True) for number in sorted(numbers) if number > last)

    def return_message(self, code, unit):
        """Not forwarded; it comes back, and is then confirmed, as the protocol has it."""
        self.note_sent(unit, forwarded=False)
        frames = method(unit.channel, "basic.return", code=code, text=amqp_frames.REPLIES[code][0],
                        exchange=unit.exchange, key=unit.key)
        self.connection.to_client.write(frames + amqp_frames.content(unit.channel, unit.header, unit.body))
        if self.next_publish:
            self.confirm([self.next_publish - 1], good=True)

    # ---- the end of a consumer ----

    def cancel_consumers(self):
        """The server ends them first; then the client is told as if their queue had been deleted."""
        self.cancelling.update(self.consumers)
        for consumer in self.consumers:
            self.connection.to_server.write(method(self.number, "basic.cancel", consumer=consumer))
        self.consumers = []

    # ---- closing ----

    def close_both(self, code, unit):
        """Closed by the server, as the client sees it; by the client, as the server sees it."""
        name = amqp_frames.REPLIES[code][0]
        ids = amqp_frames.IDS[unit.name]
        self.number = unit.channel
        self.end()
        self.told_closed = self.server_closes = True
        self.server_closed.clear()
        self.connection.to_server.write(method(self.number, "channel.close", code=200))
        self.connection.to_client.write(method(self.number, "channel.close", code=code, text=f"{name} - by the proxy",
                                               class_id=ids[0], method_id=ids[1]))

    async def while_closed(self, unit):
        """The client's frames on a closed channel count for nothing until its "close-ok"."""
        if unit.name == "channel.close":
            self.connection.to_client.write(method(self.number, "channel.close-ok"))
        if unit.name not in ("channel.close-ok", "channel.close"):
            return
        await self.server_closed.wait()
        self.told_closed = False

    def swallow(self, unit):
        """Whether what the server sends is none of the client's business."""
        self.number = unit.channel
        if self.server_closes:
            if unit.name == "channel.close":  # both at once: its answer is due
                self.connection.to_server.write(method(self.number, "channel.close-ok"))
            if unit.name == "channel.close-ok":
                self.server_closes = False
                self.server_closed.set()
            return True
        if unit.name == CONSUMER_ENDS and unit.consumer in self.cancelling:
            self.cancelling.discard(unit.consumer)
            self.connection.to_client.write(method(self.number, "basic.cancel", consumer=unit.consumer, nowait=True))
            return True
        return False
