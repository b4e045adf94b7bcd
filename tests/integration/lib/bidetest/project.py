"""A folder with a bide.conf, and everything a user does in it."""

import json
import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

from bidetest.config import config_text
from bidetest.process import Worker, die_with_parent
from bidetest.waiting import wait_until

ROOT = Path(__file__).resolve().parents[4]
BUILD = Path(os.environ.get("BIDE_BUILD", ROOT / "build" / "release"))


def parse(line):
    try:
        return json.loads(line)
    except ValueError as failure:
        raise AssertionError(f"no JSON: {line[:200]!r}") from failure


def read_lines(path):
    """The JSON objects of a file, one a line; an unfinished last line does not count. A journal may have an empty line: who
    opens it while another process writes over the end of a page finds half a line, and begins its own with a newline."""
    if not path.exists():
        return []
    text = path.read_bytes()
    return [parse(line) for line in text[: text.rfind(b"\n") + 1].splitlines() if line]


class Project:
    """Use it in a with statement: its workers end, and the folder goes, with it."""

    def __init__(self, broker="sqlite"):
        self.broker = broker
        self.dir = Path(tempfile.mkdtemp(prefix="bide-project-"))
        self.url = "sqlite:bide.db" if broker == "sqlite" else os.environ["BIDE_TEST_BROKER_URL"]
        self.name_space = "t" + uuid.uuid4().hex[:12]
        self.workers = []
        self.config = self.dir / "bide.conf"

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        for worker in self.workers:
            if worker.running():
                worker.kill()
            if failure[0] is not None:
                print(f"--- the end of {worker.log.name}:\n{worker.log_tail()}")
        if os.environ.get("BIDE_KEEP") == "1":
            print(f"kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    # ---- configuration ----

    def probe(self, **changes):
        """A row of `handlers`: type probe, quick retries, writes journal.ndjson; time enough for what waits for a test."""
        row = {
            "type": "probe",
            "plugin": "probe",
            "timeout": "10m",
            "retry": {"attempts": 4, "backoff": "fixed", "base": "100ms", "jitter": 0.0},
            "settings": {"path": str(self.dir / "journal.ndjson")},
        }
        row.update(changes)
        return row

    def journal_handler(self, **changes):
        return self.probe(**{"type": "journal", "plugin": "journal", **changes})

    def configure(self, handlers=None, threads=4, **settings):
        """Writes bide.conf: these handlers (default: probe), and whatever else is given as it is."""
        whole = {
            "broker": self.url,
            "namespace": self.name_space,
            "plugin_dir": str(BUILD / "handlers"),
            "allow_unsafe_plugins": True,  # the checkout may lie in somebody else's folder
            "worker": {"threads": threads, **settings.pop("worker", {})},
            **settings,
            "handlers": handlers if handlers is not None else [self.probe()],
        }
        self.write_config(config_text(whole))

    # ---- commands ----

    def write_config(self, text):
        """At once: a command that begins meanwhile reads the old one or the new one, never an empty file."""
        draft = self.config.with_name("bide.conf.new")
        draft.write_text(text)
        os.replace(draft, self.config)

    def bide(self, *arguments, expect=0, text=None, seconds=120, env=None):
        """Runs `bide …` in the folder; asserts its exit code (None: any) and returns what it said."""
        done = subprocess.run(
            [str(BUILD / "bide"), *map(str, arguments)],
            cwd=self.dir,
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
            preexec_fn=die_with_parent,
            env={**os.environ, **(env or {})},
        )
        if expect is not None and done.returncode != expect:
            said = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
            raise AssertionError(f"bide {' '.join(map(str, arguments))}: exit {done.returncode}, not {expect}: {said}")
        return done

    def send(self, rows, seconds=300):
        """`send --lines` of these rows (dicts); returns the ids it printed."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        return self.bide("send", "--lines", text=text, seconds=seconds).stdout.split()

    def sender(self):
        """A running `send --lines` to be fed through its stdin."""
        with open(self.dir / "send.out", "ab") as out, open(self.dir / "send.log", "ab") as log:
            return subprocess.Popen(
                [str(BUILD / "bide"), "send", "--lines"],
                cwd=self.dir, stdin=subprocess.PIPE, stdout=out, stderr=log, preexec_fn=die_with_parent,
            )

    def release(self, name="go"):
        """Lets what waits for this file by "until" go on."""
        (self.dir / name).touch()

    def worker(self, *arguments, env=None):
        log = self.dir / f"worker-{len(self.workers) + 1}.log"
        worker = Worker([str(BUILD / "bide"), "worker", *map(str, arguments)], self.dir, log, env)
        self.workers.append(worker)
        return worker

    def work_until(self, condition, what=None):
        """A worker until that is true, and then its orderly end; returns it. `--exit-idle` would do where the broker never
        takes longer to hand something out than that."""
        worker = self.worker()
        wait_until(condition, 60, what or (lambda: f"{self.status()} {worker.log_tail()}"))
        if worker.stop() != 0:
            raise AssertionError(f"the worker ended with {worker.process.returncode}: {worker.log_tail()}")
        return worker

    def work_off(self, condition):
        """Workers that leave when idle, one after another until that is true: a busy broker may take longer than they wait to
        hand something out. Looked at between two, since a broker need not show what a worker has in hand."""
        wait_until(lambda: self.bide("worker", "--exit-idle", "300ms") and condition(), 60, self.status)

    # ---- looking ----

    def journal(self, name="journal.ndjson"):
        return read_lines(self.dir / name)

    def journal_count(self, name="journal.ndjson"):
        path = self.dir / name
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def dead(self, *filters):
        said = self.bide("dead", "list", "--json", *filters).stdout
        return [json.loads(line) for line in said.splitlines()]

    def status(self):
        return json.loads(self.bide("status", "--json").stdout)

    def queue(self, name):
        """The figures of one queue."""
        return next((queue for queue in self.status()["queues"] if queue["name"] == name), None)

    def left(self):
        """How many messages are neither done nor dead: ready, delayed or in flight."""
        status = self.status()
        waiting = sum((queue[key] or 0) for queue in status["queues"] for key in ("ready", "in_flight"))
        delayed = status.get("delayed_total")
        if delayed is None:
            delayed = sum(queue["delayed"] or 0 for queue in status["queues"])
        return waiting + delayed

    def all_ended(self, sent):
        """Whether each id sent is done or dead and nothing is left, by journal and dead letters: what a RabbitMQ worker
        holds unacknowledged, the broker shows to nobody."""
        done = {line["id"] for line in self.journal() if line["outcome"] == "done"}
        if self.left() > 0 or len(done) + sum(queue["dead"] or 0 for queue in self.status()["queues"]) < len(set(sent)):
            return False
        return len(done | {row["id"] for row in self.dead()}) >= len(set(sent))
