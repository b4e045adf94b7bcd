"""A TCP proxy on 127.0.0.1 that can cut its connections, or hold everything back as a dead network does."""

import socket
import threading


class Proxy:
    """Use it in a with statement. Connect to `port`; it goes on to `target` on 127.0.0.1."""

    def __init__(self, target):
        self.target = target
        self.flowing = threading.Event()
        self.flowing.set()
        self.lock = threading.Lock()
        self.sockets = []  # both ends of each connection
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
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        with self.lock:
            self.sockets += [client, server]
        threading.Thread(target=self.pump, args=(client, server), daemon=True).start()
        self.pump(server, client)

    def pump(self, source, to):
        try:
            while data := source.recv(65536):
                self.flowing.wait()
                to.sendall(data)
        except OSError:
            pass
        self.flowing.wait()  # not even its end is seen on the other side
        for end in (source, to):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """All connections end, on both sides."""
        with self.lock:
            ends, self.sockets = self.sockets, []
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
