"""A RabbitMQ of the test's own, beside the shared one: to be stopped, alarmed, given TLS or three nodes."""

import contextlib
import os
import signal

from bidetest.own_server import OwnServer


class Server(OwnServer):
    """Use it in a with statement. `urls`: one for each node."""

    script = "server-rabbitmq"

    def __init__(self, nodes=1, settings=""):
        super().__init__()
        self.nodes = nodes
        self.settings = settings
        self.urls = []

    def begin(self):
        extra = self.dir / "extra.conf"
        extra.write_text(self.settings)
        self.urls = self.run("start", "--nodes", self.nodes, "--conf", extra, seconds=240).split()

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
