"""A proxy on 127.0.0.1 before a real Redis that reads its protocol: it can cut a connection before a command, or between the
server's answer and the client, hold a command back, and answer in the server's place."""

import hashlib
import re
import socket
import threading
import time
from collections import Counter, deque

# Words of one command; the second belongs to the name.
TWO_WORDS = ("CLIENT", "SCRIPT", "CONFIG", "XINFO", "XGROUP", "ACL", "CLUSTER", "MEMORY", "OBJECT")


class Closed(Exception):
    """The peer has closed, or what it sends is no RESP."""


class Reader:
    """RESP from a socket, whole values as they came."""

    def __init__(self, end):
        self.file = end.makefile("rb", 65536)

    def line(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise Closed
        return line

    def block(self, size):
        data = self.file.read(size + 2)
        if len(data) != size + 2:
            raise Closed
        return data

    def command(self):
        """-> (its bytes, its words)"""
        head = self.line()
        if head[:1] != b"*":
            return head, head.split()
        raw, words = [head], []
        for _ in range(int(head[1:])):
            size = self.line()
            data = self.block(int(size[1:]))
            raw += (size, data)
            words.append(data[:-2])
        return b"".join(raw), words

    def reply(self):
        head = self.line()
        if head[:1] in b"$=" and int(head[1:]) >= 0:
            return head + self.block(int(head[1:]))
        if head[:1] in b"*~>" and int(head[1:]) > 0:
            return head + b"".join(self.reply() for _ in range(int(head[1:])))
        if head[:1] == b"%":
            return head + b"".join(self.reply() for _ in range(2 * int(head[1:])))
        return head


class Pending:
    """A command whose answer is due: from the server (`text` None), or ours; `cut`: the connection ends in its place."""

    def __init__(self, text=None, cut=False, forwarded=True):
        self.text, self.cut, self.forwarded = text, cut, forwarded


class Connection:
    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.pending, self.lock, self.subscribed = deque(), threading.Lock(), False

    def serve(self):
        answers = threading.Thread(target=self.answer, daemon=True)
        answers.start()
        reader = Reader(self.client)
        try:
            while True:
                raw, words = reader.command()
                self.take(raw, words)
        except (OSError, Closed, ValueError):
            self.close()

    def take(self, raw, words):
        operation = self.proxy.operation(self, words)
        fault = self.proxy.passes(operation)
        if fault and fault.name in ("delay", "stall"):
            time.sleep(fault.seconds)
            fault = None
        self.proxy.flowing.wait()
        if fault and fault.name == "cut-before":
            raise Closed
        answer = fault.text if fault else None
        if operation == "WAIT" and self.proxy.replicas is not None and not answer:
            answer = f":{self.proxy.replicas}\r\n".encode()
            self.put(Pending(answer, fault and fault.name == "cut-after", forwarded=False))
            return
        forwarded = not fault or fault.name in ("cut-after", "executed-error")
        if operation == "SUBSCRIBE" and forwarded:
            self.subscribed = True
        self.put(Pending(answer, bool(fault) and fault.name in ("cut-after", "max-clients"), forwarded))
        if forwarded:
            self.server.sendall(raw)

    def put(self, pending):
        with self.lock:
            self.pending.append(pending)
            self.flush()

    def flush(self):
        """Those of our own answers whose turn it is."""
        while self.pending and not self.pending[0].forwarded:
            self.deliver(self.pending.popleft(), b"")

    def deliver(self, pending, reply):
        self.proxy.flowing.wait()
        if pending.cut and pending.forwarded:
            raise Closed
        self.client.sendall(pending.text or reply)
        if pending.cut:
            raise Closed

    def answer(self):
        reader = Reader(self.server)
        try:
            while True:
                reply = reader.reply()
                with self.lock:
                    if self.pending:
                        self.deliver(self.pending.popleft(), reply)
                    else:
                        self.proxy.flowing.wait()
                        self.client.sendall(reply)  # a message to a subscriber
                    self.flush()
        except (OSError, Closed, ValueError):
            self.close()

    def close(self):
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class RespProxy:
    """Use it in a with statement. `decide(operation, how many of it have gone by)` -> a fault (name, seconds, text) or None.

    `replicas`: what WAIT is answered with, instead of asking the server; None: it is asked."""

    def __init__(self, target, scripts, decide):
        self.target, self.scripts, self.decide = target, scripts, decide
        self.replicas = None
        self.names = {}  # sha -> name
        self.lock, self.seen = threading.Lock(), Counter()
        self.flowing = threading.Event()
        self.flowing.set()
        self.connections = set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.flowing.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connect, args=(client,), daemon=True).start()

    def connect(self, client):
        self.flowing.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self.target()))
        except OSError:
            client.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self, client, server)
        with self.lock:
            self.connections.add(connection)
        connection.serve()
        with self.lock:
            self.connections.discard(connection)
        client.close()
        server.close()

    def cut(self):
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            connection.close()

    # ---- what goes by ----

    def passes(self, operation):
        with self.lock:
            self.seen[operation] += 1
            return self.decide(operation, self.seen[operation])

    def operation(self, connection, words):
        name = words[0].decode(errors="replace").upper()
        if name == "EVALSHA":
            return f"EVALSHA {self.names.get(words[1].lower(), 'unknown')}"
        if name in TWO_WORDS and len(words) > 1:
            name += " " + words[1].decode(errors="replace").upper()
        if name == "SCRIPT LOAD":
            self.learn(words[2])
        return name

    def learn(self, lua):
        sha = hashlib.sha1(lua).hexdigest().encode()
        if sha not in self.names:
            name = next((name for name, own in self.scripts if lua.endswith(own)), None)
            if name:
                self.names[sha] = name


def scripts_of(root):
    """[(name, its own text as the server gets it, which stands behind its parts)], the longest first: cmake/EmbedLua.cmake."""
    found = []
    for folder in ("broker", "store"):
        path = root / "framework" / folder / "redis/scripts"
        rows = re.findall(r'ROW\(BIDE_\w+, "([^"]+)",\s*bide_(?:redis|store)_lua_(\w+)', (path / "scripts.h").read_text())
        found += [(name, own_text((path / f"{file}.lua").read_text())) for name, file in rows]
    return sorted(found, key=lambda row: -len(row[1]))


def own_text(lua):
    lua = re.sub(r"(^|\n) *--[^\n]*", r"\1", lua)
    return re.sub(r"\n\n+", "\n", lua).removeprefix("\n").encode()
