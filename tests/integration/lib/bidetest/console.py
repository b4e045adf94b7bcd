"""The console of a running worker, asked by HTTP."""

import http.client
import json
import os
import random
import re
import socket
from pathlib import Path

from bidetest.waiting import wait_until

SAMPLE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$")
FOLDERS = [Path("/run/bide"), Path(os.environ.get("XDG_RUNTIME_DIR", "/nowhere")) / "bide", Path(f"/tmp/bide-{os.getuid()}")]
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def free_port():
    """Neither of those that the system gives to clients, of which it might give away this one before it is used, nor of those that
    tests/support/server-* take."""
    while True:
        try:
            with socket.create_server(("127.0.0.1", random.randrange(12000, 20000))) as listener:
                return listener.getsockname()[1]
        except OSError:
            continue  # taken


class Console:
    def __init__(self, port, token=None):
        self.port, self.token, self.host = port, token, f"127.0.0.1:{port}"

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def authorization(self):
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def ask(self, method, path, headers=None, host=None):
        """Status and text. Shows the token where no headers are given; {} shows none."""
        headers = headers if headers is not None else self.authorization()
        connection = self.connection()
        try:
            connection.putrequest(method, path, skip_host=True)
            connection.putheader("Host", host or self.host)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def act(self, path, **options):
        return self.ask("POST", path, **options)

    def post(self, path, value, headers=None):
        """POSTs a value as JSON; headers as those of `ask`."""
        connection = self.connection()
        try:
            connection.request("POST", path, json.dumps(value), headers if headers is not None else self.authorization())
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def answers(self):
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def is_closed(self):
        """Nobody listens there any more: another may."""
        try:
            with socket.create_server(("127.0.0.1", self.port)):
                return True
        except OSError:
            return False

    def is_ready(self):
        try:
            return self.ask("GET", "/healthz")[0] == 200 and self.ask("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False  # none yet, or one that is just being replaced

    def wait_ready(self, seconds=60):
        wait_until(self.is_ready, seconds, "the worker is ready")

    def read_json(self, path):
        status, text = self.ask("GET", path)
        assert status == 200, f"{path}: {status} {text}"
        return json.loads(text)

    def handler(self, name):
        """Its row of /status, or None."""
        return next((row for row in self.read_json("/status")["worker"]["handlers"] if row["type"] == name), None)

    def metrics_text(self):
        return self.ask("GET", "/metrics")[1]

    def metrics(self):
        """(name, label value, …) in the order of the labels' names -> number."""
        found = {}
        for line in self.metrics_text().splitlines():
            match = SAMPLE.match(line)
            if match:
                labels = dict(LABEL.findall(match.group(2) or ""))
                found[(match.group(1), *(labels[name] for name in sorted(labels)))] = float(match.group(3))
        return found


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class LocalConsole(Console):
    """A worker's console by its Unix socket, which asks for no token. It answers: a socket that is there need not be listened to yet."""

    def __init__(self, project, worker):
        name = f"{project.name_space}-*.{worker.pid}.sock"
        found = wait_until(lambda: [path for folder in FOLDERS for path in folder.glob(name)], 60,
                           lambda: f"{name} is there: {worker.log_tail()}")
        self.path, self.token, self.host = found[0], None, "localhost"
        wait_until(self.answers, 60, lambda: f"{name} answers: {worker.log_tail()}")

    def connection(self):
        return UnixConnection(self.path)
