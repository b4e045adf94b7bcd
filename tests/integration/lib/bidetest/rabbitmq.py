"""A RabbitMQ of the test's own, beside the shared one: to be stopped, alarmed, given TLS or three nodes."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from bidetest.project import ROOT

SCRIPT = ROOT / "tests" / "support" / "server-rabbitmq"


class Server:
    """Use it in a with statement. `urls`: one for each node."""

    def __init__(self, nodes=1, settings=""):
        self.dir = Path(tempfile.mkdtemp(prefix="bide-rabbitmq-"))
        self.nodes = nodes
        self.settings = settings
        self.urls = []

    def __enter__(self):
        extra = self.dir / "extra.conf"
        extra.write_text(self.settings)
        try:
            self.urls = self.run("start", "--nodes", self.nodes, "--conf", extra, seconds=240).split()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure):
        self.run("stop")
        shutil.rmtree(self.dir, ignore_errors=True)

    def run(self, verb, *arguments, seconds=120):
        """The daemons it starts keep its standard error: that goes to a file, or reading would not end."""
        with open(self.dir / "script.log", "ab") as log:
            done = subprocess.run([str(SCRIPT), verb, str(self.dir), *map(str, arguments)], stdout=subprocess.PIPE,
                                  stderr=log, stdin=subprocess.DEVNULL, text=True, timeout=seconds)
        if done.returncode != 0:
            said = (self.dir / "script.log").read_text()[-2000:]
            raise AssertionError(f"server-rabbitmq {verb}: exit {done.returncode}: {said}")
        return done.stdout

    def port(self, node=1):
        return int(self.urls[node - 1].rsplit(":", 1)[1])

    def stop_node(self, node=1):
        self.run("stop-node", node)

    def start_node(self, node=1):
        self.run("start-node", node)

    def kill_node(self, node=1):
        self.run("kill-node", node)

    @contextlib.contextmanager
    def frozen_node(self, node):
        """While in it the node answers nobody."""
        pid = int((self.dir / f"node{node}.pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def drain_node(self, node=1):
        """What an operator does before stopping a node: its queues' leaders go elsewhere, and its clients."""
        self.run("drain", node)

    def ctl(self, *arguments, node=1):
        """rabbitmqctl; what it prints."""
        return self.run("ctl", node, *arguments)
