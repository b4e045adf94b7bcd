"""AMQP 0-9-1 with RabbitMQ's extensions, on the wire: all methods and their fields, all reply codes, frames read and written.

The tables are those of the protocol's definition (amqp0-9-1.extended.xml) and of RabbitMQ's list of extensions."""

import struct

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_END = 0xCE
PROTOCOL_HEADER = b"AMQP\0\0\x09\x01"

# Field types: o octet, h 16 bits, l 32 bits, q 64 bits, s short string, S long string, b bit, t table.
METHODS = {
    (10, 10): ("connection.start", "o:major o:minor t:properties S:mechanisms S:locales"),
    (10, 11): ("connection.start-ok", "t:properties s:mechanism S:response s:locale"),
    (10, 20): ("connection.secure", "S:challenge"),
    (10, 21): ("connection.secure-ok", "S:response"),
    (10, 30): ("connection.tune", "h:channel_max l:frame_max h:heartbeat"),
    (10, 31): ("connection.tune-ok", "h:channel_max l:frame_max h:heartbeat"),
    (10, 40): ("connection.open", "s:vhost s:reserved b:insist"),
    (10, 41): ("connection.open-ok", "s:reserved"),
    (10, 50): ("connection.close", "h:code s:text h:class_id h:method_id"),
    (10, 51): ("connection.close-ok", ""),
    (10, 60): ("connection.blocked", "s:reason"),
    (10, 61): ("connection.unblocked", ""),
    (10, 70): ("connection.update-secret", "S:secret s:reason"),
    (10, 71): ("connection.update-secret-ok", ""),
    (20, 10): ("channel.open", "s:reserved"),
    (20, 11): ("channel.open-ok", "S:reserved"),
    (20, 20): ("channel.flow", "b:active"),
    (20, 21): ("channel.flow-ok", "b:active"),
    (20, 40): ("channel.close", "h:code s:text h:class_id h:method_id"),
    (20, 41): ("channel.close-ok", ""),
    (30, 10): ("access.request", "s:realm b:exclusive b:passive b:active b:write b:read"),
    (30, 11): ("access.request-ok", "h:ticket"),
    (40, 10): (
        "exchange.declare",
        "h:ticket s:exchange s:type b:passive b:durable b:auto_delete b:internal b:nowait t:arguments",
    ),
    (40, 11): ("exchange.declare-ok", ""),
    (40, 20): ("exchange.delete", "h:ticket s:exchange b:if_unused b:nowait"),
    (40, 21): ("exchange.delete-ok", ""),
    (40, 30): ("exchange.bind", "h:ticket s:destination s:source s:key b:nowait t:arguments"),
    (40, 31): ("exchange.bind-ok", ""),
    (40, 40): ("exchange.unbind", "h:ticket s:destination s:source s:key b:nowait t:arguments"),
    (40, 51): ("exchange.unbind-ok", ""),
    (50, 10): ("queue.declare", "h:ticket s:queue b:passive b:durable b:exclusive b:auto_delete b:nowait t:arguments"),
    (50, 11): ("queue.declare-ok", "s:queue l:messages l:consumers"),
    (50, 20): ("queue.bind", "h:ticket s:queue s:exchange s:key b:nowait t:arguments"),
    (50, 21): ("queue.bind-ok", ""),
    (50, 30): ("queue.purge", "h:ticket s:queue b:nowait"),
    (50, 31): ("queue.purge-ok", "l:messages"),
    (50, 40): ("queue.delete", "h:ticket s:queue b:if_unused b:if_empty b:nowait"),
    (50, 41): ("queue.delete-ok", "l:messages"),
    (50, 50): ("queue.unbind", "h:ticket s:queue s:exchange s:key t:arguments"),
    (50, 51): ("queue.unbind-ok", ""),
    (60, 10): ("basic.qos", "l:size h:count b:global"),
    (60, 11): ("basic.qos-ok", ""),
    (60, 20): ("basic.consume", "h:ticket s:queue s:consumer b:no_local b:no_ack b:exclusive b:nowait t:arguments"),
    (60, 21): ("basic.consume-ok", "s:consumer"),
    (60, 30): ("basic.cancel", "s:consumer b:nowait"),
    (60, 31): ("basic.cancel-ok", "s:consumer"),
    (60, 40): ("basic.publish", "h:ticket s:exchange s:key b:mandatory b:immediate"),
    (60, 50): ("basic.return", "h:code s:text s:exchange s:key"),
    (60, 60): ("basic.deliver", "s:consumer q:tag b:redelivered s:exchange s:key"),
    (60, 70): ("basic.get", "h:ticket s:queue b:no_ack"),
    (60, 71): ("basic.get-ok", "q:tag b:redelivered s:exchange s:key l:messages"),
    (60, 72): ("basic.get-empty", "s:reserved"),
    (60, 80): ("basic.ack", "q:tag b:multiple"),
    (60, 90): ("basic.reject", "q:tag b:requeue"),
    (60, 100): ("basic.recover-async", "b:requeue"),
    (60, 110): ("basic.recover", "b:requeue"),
    (60, 111): ("basic.recover-ok", ""),
    (60, 120): ("basic.nack", "q:tag b:multiple b:requeue"),
    (85, 10): ("confirm.select", "b:nowait"),
    (85, 11): ("confirm.select-ok", ""),
    (90, 10): ("tx.select", ""),
    (90, 11): ("tx.select-ok", ""),
    (90, 20): ("tx.commit", ""),
    (90, 21): ("tx.commit-ok", ""),
    (90, 30): ("tx.rollback", ""),
    (90, 31): ("tx.rollback-ok", ""),
}
IDS = {name: ids for ids, (name, _) in METHODS.items()}
FIELDS = {name: [field.split(":") for field in fields.split()] for name, fields in METHODS.values()}
WITH_CONTENT = {"basic.publish", "basic.return", "basic.deliver", "basic.get-ok"}

# What a refusal closes: the protocol calls it a soft error (the channel) or a hard one (the connection). RabbitMQ also closes
# channels with 506, 540 and 541.
REPLIES = {
    311: ("CONTENT_TOO_LARGE", "channel"),
    312: ("NO_ROUTE", "return"),
    313: ("NO_CONSUMERS", "return"),
    320: ("CONNECTION_FORCED", "connection"),
    402: ("INVALID_PATH", "connection"),
    403: ("ACCESS_REFUSED", "channel"),
    404: ("NOT_FOUND", "channel"),
    405: ("RESOURCE_LOCKED", "channel"),
    406: ("PRECONDITION_FAILED", "channel"),
    501: ("FRAME_ERROR", "connection"),
    502: ("SYNTAX_ERROR", "connection"),
    503: ("COMMAND_INVALID", "connection"),
    504: ("CHANNEL_ERROR", "connection"),
    505: ("UNEXPECTED_FRAME", "connection"),
    506: ("RESOURCE_ERROR", "connection"),
    530: ("NOT_ALLOWED", "connection"),
    540: ("NOT_IMPLEMENTED", "connection"),
    541: ("INTERNAL_ERROR", "connection"),
}

NUMBERS = {"o": ">B", "h": ">H", "l": ">I", "q": ">Q"}


class Malformed(Exception):
    """What came is no AMQP."""


# ---- frames and units ----


class Unit:
    """A method with the content that belongs to it, or a heartbeat (`name` "heartbeat"). `raw`: its frames as they came."""

    __slots__ = ("channel", "name", "payload", "raw", "header", "body", "left", "_fields")

    def __init__(self, channel, name, payload, raw):
        self.channel, self.name, self.payload, self.raw = channel, name, payload, raw
        self.header, self.body, self.left, self._fields = b"", b"", None, None

    def __getattr__(self, field):
        if self._fields is None:
            self._fields = read_fields(self.name, self.payload)
        try:
            return self._fields[field]
        except KeyError:
            raise AttributeError(f"{self.name} has no field '{field}'") from None

    def complete(self):
        return self.name not in WITH_CONTENT or self.left == 0

    def add(self, kind, payload, raw):
        """One more frame of its content."""
        self.raw += raw
        if kind == HEADER:
            self.header, self.left = payload, struct.unpack_from(">Q", payload, 4)[0]
        elif kind == BODY and self.left is not None:
            self.body += payload
            self.left -= len(payload)
        else:
            raise Malformed(f"frame type {kind} within {self.name}")

    def message_id(self):
        return message_id(self.header) if self.header else None


class Reader:
    """Bytes in, units out. The protocol header, with which a client begins, is a unit called "header"."""

    def __init__(self, from_client):
        self.buffer, self.expects_header, self.open = bytearray(), from_client, {}

    def feed(self, data):
        self.buffer += data
        if self.expects_header and len(self.buffer) >= 8:
            head, self.expects_header = bytes(self.buffer[:8]), False
            if head[:4] != b"AMQP":
                raise Malformed(f"{head} instead of a protocol header")
            del self.buffer[:8]
            yield Unit(0, "header", b"", head)
        at = 0
        while not self.expects_header and len(self.buffer) - at >= 8:
            kind, channel, size = struct.unpack_from(">BHI", self.buffer, at)
            if len(self.buffer) - at < size + 8:
                break
            raw = bytes(self.buffer[at : at + size + 8])
            at += size + 8
            unit = self.take(kind, channel, raw)
            if unit:
                yield unit
        del self.buffer[:at]

    def take(self, kind, channel, raw):
        """The unit that this frame completes."""
        if raw[-1] != FRAME_END:
            raise Malformed("a frame without its end")
        payload = raw[7:-1]
        if kind == HEARTBEAT:
            return Unit(channel, "heartbeat", b"", raw)
        if kind == METHOD:
            ids = struct.unpack_from(">HH", payload)
            if ids not in METHODS:
                raise Malformed(f"unknown method {ids}")
            unit = Unit(channel, METHODS[ids][0], payload, raw)
        elif channel in self.open:
            unit = self.open.pop(channel)
            unit.add(kind, payload, raw)
        else:
            raise Malformed(f"frame type {kind} without a method on channel {channel}")
        if unit.complete():
            return unit
        self.open[channel] = unit
        return None


# ---- fields ----


def short_text(data, at):
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("utf-8", "replace"), end


def long_bytes(data, at):
    size = struct.unpack_from(">I", data, at)[0]
    return data[at + 4 : at + 4 + size], at + 4 + size


def read_fields(name, payload):
    """The fields of a method; a table stays as its bytes."""
    values, at, bit = {}, 4, 0
    for kind, field in FIELDS.get(name, []):
        if kind == "b":
            values[field] = bool(payload[at] >> bit & 1)
            bit += 1
            continue
        at, bit = at + (bit > 0), 0
        if kind in NUMBERS:
            values[field] = struct.unpack_from(NUMBERS[kind], payload, at)[0]
            at += struct.calcsize(NUMBERS[kind])
        elif kind == "s":
            values[field], at = short_text(payload, at)
        else:
            values[field], at = long_bytes(payload, at)
    return values


def write_fields(name, values):
    out, bits = b"", []

    def end_bits():
        nonlocal out, bits
        if bits:
            out += bytes([sum(bool(value) << place for place, value in enumerate(bits))])
        bits = []

    for kind, field in FIELDS[name]:
        value = values.get(field, 0 if kind in NUMBERS or kind == "b" else b"")
        value = value.encode() if isinstance(value, str) else value
        if kind == "b":
            bits.append(value)
            continue
        end_bits()
        if kind in NUMBERS:
            out += struct.pack(NUMBERS[kind], value)
        else:
            out += struct.pack(">B" if kind == "s" else ">I", len(value)) + value
    end_bits()
    return out


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([FRAME_END])


def method(channel, name, **fields):
    """A method as a frame."""
    return frame(METHOD, channel, struct.pack(">HH", *IDS[name]) + write_fields(name, fields))


def content(channel, header, body, frame_max=131072):
    """A message's header and body as frames."""
    pieces = [body[at : at + frame_max - 8] for at in range(0, len(body), frame_max - 8)]
    return frame(HEADER, channel, header) + b"".join(frame(BODY, channel, piece) for piece in pieces)


def message_id(header):
    """Of a content header: the properties stand in the order of their flags, the highest first."""
    flags, at = struct.unpack_from(">H", header, 12)[0], 14
    for bit, kind in ((15, "s"), (14, "s"), (13, "t"), (12, "o"), (11, "o"), (10, "s"), (9, "s"), (8, "s"), (7, "s")):
        if not flags >> bit & 1:
            continue
        if kind == "s":
            value, at = short_text(header, at)
            if bit == 7:
                return value
        elif kind == "t":
            at = long_bytes(header, at)[1]
        else:
            at += 1
    return None


def text_in_table(table, key):
    """The first long string with this key in a table's bytes, at whatever depth: enough for a connection's name."""
    at = table.find(bytes([len(key)]) + key.encode() + b"S")
    return long_bytes(table, at + len(key) + 2)[0].decode("utf-8", "replace") if at >= 0 else ""
