"""A TCP proxy on 127.0.0.1 that does to its connections what networks do: cuts them, also in the middle of a frame; holds
everything back as a dead network does; delays what passes."""

import socket
import threading
import time


class Proxy:
    """Use it in a with statement. Connect to `port`; it goes on to `target` on 127.0.0.1.

    `delay`: seconds that each piece is held back, in both directions."""

    def __init__(self, target):
        self.target = target
        self.delay = 0
        self.flowing = threading.Event()
        self.flowing.set()
        self.lock = threading.Lock()
        self.sockets = []  # both ends of each connection
        self.cuts = 0  # how often all were cut
        self.allowed = None  # bytes that still pass before the connection that carries the last is cut; None: all
        self.truncated = 0  # how many were cut so
        self.pieces = 0  # how many have come, in both directions
        self.fault = None  # (at which piece, what happens then)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.resume()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.cut()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return  # the end
            threading.Thread(target=self.connect, args=(client,), daemon=True).start()

    def connect(self, client):
        self.flowing.wait()
        cuts = self.cuts
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            is_cut = self.cuts > cuts  # while it was made, it may be to where the target was before
            self.sockets += [] if is_cut else [client, server]
        if is_cut:
            client.close()
            server.close()
            return
        threading.Thread(target=self.pump, args=(client, server), daemon=True).start()
        self.pump(server, client)

    def pump(self, source, to):
        try:
            while data := source.recv(65536):
                data, whole = self.step(data), len(data)
                self.flowing.wait()
                time.sleep(self.delay)
                passing = self.let_pass(data)
                to.sendall(passing)
                if len(passing) < whole:
                    break
        except OSError:
            pass
        self.flowing.wait()  # not even its end is seen on the other side
        for end in (source, to):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def step(self, data):
        """What is left of a piece: the one at which the fault is to happen is kept back, halved, or stands still."""
        with self.lock:
            self.pieces += 1
            at, what = self.fault or (None, None)
            if self.pieces != at:
                return data
            self.truncated += what != "freeze"
        if what == "freeze":
            self.freeze()
            return data
        return data[: len(data) // 2] if what == "halve" else b""

    def fail_at(self, piece, what):
        """What a peer sends at once is a piece. At the next so many: "cut" the connection before it, "halve" it and cut, or
        "freeze" all before it."""
        with self.lock:
            self.pieces, self.fault = 0, (piece, what)

    def let_pass(self, data):
        """As much of it as may still pass; less than all means that this connection ends here."""
        with self.lock:
            if self.allowed is None:
                return data
            passing = data[: self.allowed]
            self.allowed -= len(passing)
            if len(passing) < len(data):
                self.allowed = None
                self.truncated += 1
            return passing

    def truncate_after(self, size):
        """Once: after so many bytes more, in either direction, the connection that carries the next is cut before it."""
        with self.lock:
            self.allowed = size

    def cut(self):
        """All connections end, on both sides."""
        with self.lock:
            ends, self.sockets = self.sockets, []
            self.cuts += 1
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def freeze(self):
        """Nothing passes any more, and nobody is told: half-open connections on both sides."""
        self.flowing.clear()

    def resume(self):
        self.flowing.set()
