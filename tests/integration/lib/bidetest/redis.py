"""A Redis of the test's own, beside the shared one: to be restarted, killed, filled, demoted."""

import os
import signal

from bidetest.own_server import OwnServer


class Server(OwnServer):
    """Use it in a with statement. Each directive is a line of redis.conf."""

    script = "server-redis"
    seconds = 60

    def __init__(self, *directives):
        super().__init__()
        self.directives = directives
        self.url = None

    def begin(self):
        settings = [word for line in self.directives for word in ("--conf", line)]
        self.url = self.run("start", *settings).split()[0]

    def port(self):
        return int((self.dir / "port").read_text())

    def restart(self):
        """In an orderly way if it runs; returns once it answers."""
        self.run("restart")

    def kill(self):
        self.run("kill")

    def freeze(self):
        os.kill(int((self.dir / "pid").read_text()), signal.SIGSTOP)

    def resume(self):
        os.kill(int((self.dir / "pid").read_text()), signal.SIGCONT)

    def ask(self, *words):
        """redis-cli; what it prints."""
        return self.run("cli", *words).strip()

    def info(self, section):
        rows = (row.partition(":") for row in self.ask("INFO", section).splitlines())
        return {name: value.strip() for name, colon, value in rows if colon}
