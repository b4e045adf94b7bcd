"""What the measuring scripts share: building, servers, tables, JSON with the machine it was measured on."""

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def say(text):
    print(text, file=sys.stderr, flush=True)


def build():
    say("building release …")
    for command in (["cmake", "--preset", "release", "-G", "Ninja"], ["cmake", "--build", "build/release"]):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


class Server:
    """A private server of the tests, for as long as the with statement lasts; none for SQLite. BIDE_TEST_BROKER_URL is
    set meanwhile, for bidetest. Further arguments go to the script's start."""

    def __init__(self, broker, *arguments):
        self.script = ROOT / "tests" / "support" / f"server-{broker}"
        self.has = self.script.exists()
        self.arguments = arguments
        self.url = None

    def __enter__(self):
        if not self.has:
            return self
        self.folder = tempfile.TemporaryDirectory(prefix="bide-bench-")
        say(f"starting {self.script.name} …")
        # To a file: a pipe would stay open in the server.
        with open(Path(self.folder.name) / "started", "w") as out:
            subprocess.run([self.script, "start", self.folder.name, *self.arguments], stdout=out, check=True, timeout=180)
        self.url = (Path(self.folder.name) / "started").read_text().split()[0]
        os.environ["BIDE_TEST_BROKER_URL"] = self.url
        return self

    def __exit__(self, *failure):
        if self.has:
            subprocess.run([self.script, "stop", self.folder.name], check=False, stdout=subprocess.DEVNULL)
            self.folder.cleanup()


def end_cleanly():
    """SIGTERM goes through the with statements: the servers end, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def table(rows):
    """Lines of text; a heading cell with '>' in front makes its column right-aligned."""
    widths = [max(len(row[i].removeprefix(">")) for row in rows) for i in range(len(rows[0]))]
    right = [cell.startswith(">") for cell in rows[0]]

    def line(row):
        cells = (cell.removeprefix(">") for cell in row)
        return "  ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(cells, widths, right)).rstrip()

    return "\n".join(map(line, rows))


STARTED = {"processors": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg(), "at": time.time()}


def write_json(path, whole):
    """Adds the machine (its load is that of the start) and how long it took."""
    machine = {key: value for key, value in STARTED.items() if key != "at"}
    seconds = round(time.time() - STARTED["at"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "seconds": seconds, **whole}, indent=1) + "\n")
    say(f"{path} written, {seconds} s")
