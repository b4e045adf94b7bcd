"""A proxy that understands AMQP, between bide and a real RabbitMQ, and does to methods what a plan says: see amqp_faults.

What it keeps, for the books:
  windows    by message id: how often it was in flight when its connection or channel ended, so that one more copy may live
  published  by purpose and message id: how often it was published
  delivered  the same of what the server delivered
  numbers    how many went by, by purpose and method; those of the server begin with "<"
  declared   names of queues and exchanges that bide declared, and bindings (queue, exchange, key)"""

import asyncio
import collections
import select
import threading
import time

import amqp_channel
import amqp_faults
import amqp_frames
from amqp_frames import method

LOST_ACKS_S = 3.0  # the server may not have handled acknowledgements that are younger when their connection ends
AFTER_S = 0.03  # enough for the server to handle what it does not answer
ANSWER_S = 2.0  # a cut after an answer that does not come happens all the same


class Cut(Exception):
    """The connection ends here, without a word."""


class AmqpProxy:
    """Use it in a with statement. Connect to `port`; it goes on to `target` on 127.0.0.1."""

    def __init__(self, target, plan=amqp_faults.nothing):
        self.target, self.plan = target, plan
        self.port = None
        self.windows = collections.Counter()
        self.published, self.delivered = collections.Counter(), collections.Counter()
        self.numbers, self.declared = collections.Counter(), {"queue": set(), "exchange": set(), "binding": set()}
        self.lost_acks_s = LOST_ACKS_S
        self.log = []
        self.connections = set()
        self.loop = asyncio.new_event_loop()

    def __enter__(self):
        ready = threading.Event()
        self.thread = threading.Thread(target=self.serve, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()
        return self

    def __exit__(self, *failure):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def serve(self, ready):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self.accept, "127.0.0.1", 0, limit=1 << 20))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()
        server.close()
        for connection in list(self.connections):
            connection.abort()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    async def accept(self, reader, writer):
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self.target, limit=1 << 20)
        except OSError:
            writer.transport.abort()
            return
        connection = Connection(self, (reader, writer), upstream)
        self.connections.add(connection)
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)

    def cut_all(self, role=None):
        """All connections, or those for one purpose, end without a word."""
        def now():
            for connection in list(self.connections):
                if role in (None, connection.role):
                    connection.abort()

        self.loop.call_soon_threadsafe(now)

    def cancel_consumers_of(self, queue):
        """As if it had been deleted."""
        def now():
            for connection in list(self.connections):
                for channel in list(connection.channels.values()):
                    if channel.queue == queue:
                        channel.cancel_consumers()

        self.loop.call_soon_threadsafe(now)

    def heal(self):
        """No more faults; what stands still goes on."""
        def now():
            self.plan = amqp_faults.nothing
            for connection in list(self.connections):
                connection.flowing_at = 0

        self.loop.call_soon_threadsafe(now)

    def decide(self, role, from_client, unit):
        key = f"{role} {'' if from_client else '<'}{unit.name}"
        self.numbers[key] += 1
        if from_client and unit.name in ("queue.declare", "exchange.declare"):
            kind = unit.name.split(".")[0]
            self.declared[kind].add(getattr(unit, kind))
        if from_client and unit.name == "queue.bind":
            self.declared["binding"].add((unit.queue, unit.exchange, unit.key))
        fault = self.plan(role, from_client, unit, self.numbers[key])
        if fault:
            self.log.append(f"{time.time():.3f} {key} number {self.numbers[key]}: {fault.name} {unit.message_id() or ''}")
        return fault


class Connection:
    """One client, one connection to the server."""

    def __init__(self, proxy, client, server):
        self.proxy, self.role, self.moves = proxy, "login", False
        self.from_client, self.to_client = client
        self.from_server, self.to_server = server
        self.channels = collections.defaultdict(lambda: amqp_channel.Channel(self))
        self.flowing_at = 0.0  # nothing passes before
        self.unblocked = asyncio.Event()
        self.unblocked.set()
        self.ended_well = self.closing = False
        self.cut_after = None  # (channel, class of methods): the next answer on it is kept back and ends all

    # ---- its life ----

    async def run(self):
        pumps = [asyncio.ensure_future(self.pump(self.from_client, self.of_client, True)),
                 asyncio.ensure_future(self.pump(self.from_server, self.of_server, False))]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if pumps[0] in done and not pumps[0].exception():  # the client has ended: let the server read all of it
                self.to_server.close()
                await asyncio.wait(pumps[1:], timeout=ANSWER_S)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for channel in self.channels.values():
                channel.end(well=self.ended_well)
            self.abort() if any(self.has_failed(pump) for pump in pumps) else self.close()

    @staticmethod
    def has_failed(pump):
        return not pump.cancelled() and pump.exception() is not None

    def client_has_gone(self):
        """It has closed its connection, or that was cut: nobody hears what the server still says."""
        return self.to_client.transport.is_closing() or self.kernel_says(select.POLLRDHUP)

    def client_left_unread(self):
        """It closed its connection before it had read all: its kernel says so by a reset."""
        if self.to_client.transport.is_closing():
            return self.from_client.exception() is not None
        return self.kernel_says(select.POLLHUP | select.POLLERR)

    def kernel_says(self, events):
        """Sooner than we read it."""
        poll = select.poll()
        poll.register(self.to_client.get_extra_info("socket").fileno(), events)
        return any(said & events for _, said in poll.poll(0))

    def abort(self):
        self.to_client.transport.abort()
        self.to_server.transport.abort()

    def close(self):
        self.to_client.close()
        self.to_server.close()

    async def pump(self, source, handle, is_client):
        frames = amqp_frames.Reader(from_client=is_client)
        other = self.to_server if is_client else self.to_client
        try:
            while data := await source.read(65536):
                for unit in frames.feed(data):
                    await self.until_flowing()
                    await handle(unit)
                await other.drain()
        except (ConnectionError, OSError):
            raise Cut from None
        except amqp_frames.Malformed as wrong:
            self.proxy.log.append(f"{self.role}: malformed from {'client' if is_client else 'server'}: {wrong}")
            raise

    async def until_flowing(self):
        while (wait := self.flowing_at - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(wait, 0.05))

    @staticmethod
    def write(to, data):
        if to.transport.is_closing():
            raise Cut
        to.write(data)

    def later(self, seconds, action):
        asyncio.get_running_loop().call_later(seconds, action)

    # ---- what the client sends ----

    async def of_client(self, unit):
        if unit.name == "connection.start-ok":
            name = amqp_frames.text_in_table(unit.properties, "connection_name")
            self.moves = name.startswith("bide move")
            self.role = name.rsplit("(", 1)[-1].rstrip(")").replace(" ", "-") if "(" in name else "other"
        if self.closing:
            return  # it was told that the connection is closed: nothing counts but its "close-ok", and then its end
        channel = self.channels[unit.channel]
        if channel.told_closed:
            await channel.while_closed(unit)
            return
        fault = self.proxy.decide(self.role, True, unit)
        if unit.name == "basic.publish":
            await self.unblocked.wait()
        if fault and await self.fault_of_client(fault, channel, unit):
            return
        self.forward(channel, unit)
        if fault and fault.kind == "cut-after":
            await self.cut_when_handled(channel, unit)

    def forward(self, channel, unit):
        channel.note_sent(unit, forwarded=True)
        self.write(self.to_server, unit.raw)

    async def fault_of_client(self, fault, channel, unit):
        """Whether the unit has been dealt with."""
        if await self.fault_of_both(fault):
            return False
        if fault.kind == "connection":
            self.close_connection(fault, unit)
        elif fault.kind == "channel":
            if fault.code in amqp_faults.STORED:
                self.forward(channel, unit)
                await asyncio.sleep(AFTER_S)
            channel.close_both(fault.code, unit)
        elif fault.kind == "nack":
            channel.note_sent(unit, forwarded=False)
            channel.confirm([channel.next_publish - 1], good=False)
        elif fault.kind == "nack-stored":
            channel.refused.add(channel.next_publish)
            return False
        elif fault.kind == "return":
            channel.return_message(fault.code, unit)
        elif fault.kind == "blocked":
            self.block(fault.seconds)
            return False
        else:
            return False
        return True

    async def fault_of_both(self, fault):
        """What can happen to any unit in either direction; whether it was that."""
        if fault.kind == "cut-before":
            raise Cut
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        elif fault.kind in ("stall", "stall-long"):
            self.flowing_at = asyncio.get_running_loop().time() + fault.seconds
            await self.until_flowing()
        else:
            return False
        return True

    async def cut_when_handled(self, channel, unit):
        if unit.name == "basic.publish" and channel.next_publish:
            channel.cut_at = channel.next_publish - 1
        elif unit.name in amqp_frames.IDS and unit.name + "-ok" in amqp_frames.IDS:
            self.cut_after = (unit.channel, unit.name.split(".")[0])
            if unit.name not in ("connection.close", "channel.close") and getattr_or(unit, "nowait", False):
                await asyncio.sleep(AFTER_S)
                raise Cut
        else:
            await asyncio.sleep(AFTER_S)
            raise Cut
        self.later(ANSWER_S, self.abort)

    def close_connection(self, fault, unit):
        """The client is told; for the server it just ends."""
        self.closing = True
        name = amqp_frames.REPLIES[fault.code][0]
        ids = amqp_frames.IDS.get(unit.name, (0, 0))
        self.to_client.write(method(0, "connection.close", code=fault.code, text=f"{name} - by the proxy",
                                    class_id=ids[0], method_id=ids[1]))
        self.to_server.transport.abort()

    def block(self, seconds):
        """As the server does: it says so, and reads no more from who publishes."""
        self.unblocked.clear()
        self.to_client.write(method(0, "connection.blocked", reason="by the proxy"))
        self.later(seconds, self.unblock)

    def unblock(self):
        self.unblocked.set()
        if not self.closing and not self.to_client.transport.is_closing():
            self.to_client.write(method(0, "connection.unblocked"))

    # ---- what the server sends ----

    async def of_server(self, unit):
        if self.closing:
            return
        channel = self.channels[unit.channel]
        if channel.swallow(unit):
            return
        if self.cut_after and self.cut_after == (unit.channel, unit.name.split(".")[0]):
            raise Cut
        fault = self.proxy.decide(self.role, False, unit)
        if fault and not await self.fault_of_both(fault):
            if fault.kind == "drop":
                return
            if fault.kind == "cancel":
                channel.cancel_consumers()
            elif fault.kind in ("late", "reordered", "gathered"):
                channel.hold_confirms(fault)
        if unit.name in ("basic.ack", "basic.nack"):
            if channel.take_confirm(unit):
                raise Cut
            return
        if unit.name == "connection.close-ok":
            self.ended_well = True
        channel.note_received(unit)
        self.write(self.to_client, unit.raw)


def getattr_or(unit, field, default):
    try:
        return getattr(unit, field)
    except AttributeError:
        return default
