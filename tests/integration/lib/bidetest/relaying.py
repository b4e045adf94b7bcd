"""A relay from a project's broker to another one, its hub, whose worker writes hub.ndjson."""

import json

from bidetest.config import config_text
from bidetest.process import Worker
from bidetest.project import BUILD


class Hub:
    """`url`: of the target. Settings: those of both ends' configurations."""

    def __init__(self, project, url="sqlite:hub.db", queues=("default",), **settings):
        self.project, self.url = project, url
        self.settings = {**settings, "queues": [{"name": name} for name in queues]}

    def configure(self, handlers, **settings):
        """bide.conf is the source's, hub.conf its target's; the handlers write into a journal of their own there."""
        self.project.configure(handlers, **self.settings, **settings)
        there = [{**row, "settings": {"path": str(self.project.dir / "hub.ndjson")}} for row in handlers]
        text = config_text({"broker": self.url, "namespace": self.project.name_space, "plugin_dir": str(BUILD / "handlers"),
                            "allow_unsafe_plugins": True, "handlers": there, **self.settings})
        (self.project.dir / "hub.conf").write_text(text)

    def worker(self):
        """Of the target. No relay is beside it."""
        return self.project.worker("-c", "hub.conf")

    def waiting(self):
        """Messages at the target, where it is SQLite or Redis."""
        queues = json.loads(self.project.bide("-c", "hub.conf", "status", "--json").stdout)["queues"]
        return sum(queue["ready"] + queue["delayed"] for queue in queues)

    def relay(self):
        log = self.project.dir / f"relay-{len(self.project.workers) + 1}.log"
        command = [str(BUILD / "bide"), "relay", "--from", self.project.url, "--to", self.url]
        worker = Worker(command, self.project.dir, log)
        self.project.workers.append(worker)
        return worker
