"""The brokers of the comparison, each with the durability that bide's documentation asks of it."""

import socket
import subprocess
import tempfile
import time
from urllib.parse import urlsplit

from peers import debian_program
from report import Server

# Written to disk within a second; RabbitMQ: durable queues, persistent messages, confirms.
REDIS = ("--conf", "appendonly yes", "--conf", "appendfsync everysec")


class Beanstalkd:
    """A private one with a log that is synced every second."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="bide-bench-")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        command = [debian_program("beanstalkd"), "-l", "127.0.0.1", "-p", str(self.port), "-b", self.folder.name, "-f", "1000"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except OSError:
                time.sleep(0.05)
        raise SystemExit("beanstalkd did not start")

    def __exit__(self, *failure):
        self.process.terminate()
        self.process.wait(10)
        self.folder.cleanup()


class Broker(Server):
    def __enter__(self):
        super().__enter__()
        self.port = urlsplit(self.url).port if self.url else None
        return self


def server_of(broker):
    if broker == "beanstalkd":
        return Beanstalkd()
    return Broker(broker, *(REDIS if broker == "redis" else ()))
