"""A worker's console by its Unix socket: one request a call."""

import http.client
import json
import os
import socket
from pathlib import Path

from bidetest.harness import expect
from bidetest.waiting import wait_until

FOLDERS = [Path("/run/bide"), Path(os.environ.get("XDG_RUNTIME_DIR", "/nowhere")) / "bide", Path(f"/tmp/bide-{os.getuid()}")]


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class LocalConsole:
    def __init__(self, project, worker):
        name = f"{project.name_space}-*.{worker.pid}.sock"
        found = wait_until(lambda: [path for folder in FOLDERS for path in folder.glob(name)], 20,
                           lambda: f"{name} is there: {worker.log_tail()}")
        self.path = found[0]

    def ask(self, method, where):
        connection = Connection(self.path)
        try:
            connection.request(method, where)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        expect(answer.status == 200, f"{method} {where}: {answer.status} {text}")
        return text

    def handler(self, name):
        """Its row of /status."""
        rows = json.loads(self.ask("GET", "/status"))["worker"]["handlers"]
        return next((row for row in rows if row["type"] == name), None)

    def metric(self, line):
        """The value of a line of /metrics, or None."""
        said = self.ask("GET", "/metrics").split("\n")
        return next((float(row.rsplit(" ", 1)[1]) for row in said if row.startswith(line + " ")), None)
