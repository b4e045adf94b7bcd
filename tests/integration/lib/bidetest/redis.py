"""A Redis of the test's own, beside the shared one: to be restarted, killed, filled, demoted."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from bidetest.project import ROOT

SCRIPT = ROOT / "tests" / "support" / "server-redis"


class Server:
    """Use it in a with statement. Each directive is a line of redis.conf."""

    def __init__(self, *directives):
        self.dir = Path(tempfile.mkdtemp(prefix="bide-redis-"))
        self.directives = directives
        self.url = None

    def __enter__(self):
        settings = [word for line in self.directives for word in ("--conf", line)]
        try:
            self.url = self.run("start", *settings).split()[0]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure):
        self.run("stop")
        shutil.rmtree(self.dir, ignore_errors=True)

    def run(self, verb, *arguments, seconds=60):
        """The server it starts keeps its standard error: that goes to a file, or reading would not end."""
        with open(self.dir / "script.log", "ab") as log:
            done = subprocess.run([str(SCRIPT), verb, str(self.dir), *map(str, arguments)], stdout=subprocess.PIPE,
                                  stderr=log, stdin=subprocess.DEVNULL, text=True, timeout=seconds)
        if done.returncode != 0:
            said = (self.dir / "script.log").read_text()[-2000:]
            raise AssertionError(f"server-redis {verb}: exit {done.returncode}: {said}{done.stdout[-500:]}")
        return done.stdout

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
