"""The console of a running worker, asked by HTTP."""

import http.client
import json
import re
import socket

from bidetest.waiting import wait_until

SAMPLE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Console:
    def __init__(self, port, token=None):
        self.port, self.token = port, token

    def ask(self, method, path, headers=None, host=None):
        """Status and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True)
            connection.putheader("Host", host or f"127.0.0.1:{self.port}")
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def act(self, path, **options):
        return self.ask("POST", path, {"Authorization": f"Bearer {self.token}"}, **options)

    def answers(self):
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def is_ready(self):
        return self.answers() and self.ask("GET", "/readyz")[0] == 200

    def wait_ready(self, seconds=30):
        wait_until(self.is_ready, seconds, "the worker is ready")

    def read_json(self, path):
        status, text = self.ask("GET", path)
        assert status == 200, f"{path}: {status} {text}"
        return json.loads(text)

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
