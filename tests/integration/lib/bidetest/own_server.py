"""A broker of the test's own, beside the shared one: started, asked and stopped by a script of tests/support/."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from bidetest.project import ROOT


class OwnServer:
    """Use it in a with statement. A subclass says how it is started: begin()."""

    script = None  # in tests/support/
    seconds = 120  # for one call of it

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix=f"bide-{self.script}-"))

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure):
        self.run("stop")
        shutil.rmtree(self.dir, ignore_errors=True)

    def run(self, verb, *arguments, seconds=None):
        """What it prints. The daemons it starts keep its standard error: that goes to a file, or reading would not
        end."""
        command = [str(ROOT / "tests" / "support" / self.script), verb, str(self.dir), *map(str, arguments)]
        with open(self.dir / "script.log", "ab") as log:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True,
                                  timeout=seconds or self.seconds)
        if done.returncode != 0:
            said = (self.dir / "script.log").read_text()[-2000:]
            raise AssertionError(f"{self.script} {verb}: exit {done.returncode}: {said}{done.stdout[-500:]}")
        return done.stdout
