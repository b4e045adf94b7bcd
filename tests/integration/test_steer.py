#!/usr/bin/python3
# brokers: sqlite redis
# seconds: 60
"""`bide pause`, `resume`, `tail` and `top` against running workers, and without any."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.process import die_with_parent  # noqa: E402
from bidetest.project import BUILD, read_lines  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def tail(project, name, *options):
    with open(project.dir / name, "wb") as out:
        return subprocess.Popen([str(BUILD / "bide"), "tail", *options], cwd=project.dir, stdout=out, preexec_fn=die_with_parent)


def started(project):
    worker = project.worker()
    wait_until(lambda: any(line["message"] == "worker started" for line in read_lines(worker.log)), 60, "it serves")
    return worker


def without_a_worker(project):
    project.configure()
    for command in (["pause", "probe"], ["resume", "probe"], ["tail"], ["top"]):
        said = project.bide(*command, expect=69).stderr
        expect("no worker" in said and "bide.conf" in said, said)


def a_pause_holds(project):
    project.configure([project.probe(), project.probe(type="other", queue="slow")])
    worker = started(project)
    said = project.bide("pause", "slow").stdout
    expect(said == "slow is paused in 1 worker\n", said)
    project.bide("pause", "probe")
    project.bide("pause", "nobody", expect=65)
    project.bide("pause", "not a name", expect=64)
    sent = project.send([{"type": "other", "id": "o", "body": {}}, {"type": "probe", "id": "p", "body": {}}])
    project.bide("resume", "slow")
    wait_until(lambda: project.journal_count() == 1, 60, "what was resumed runs")
    expect(project.journal()[0]["id"] == "o", f"{project.journal()}")
    said = project.bide("pause", "prob", expect=None).stderr
    expect("did you mean 'probe'" in said, said)
    expect(json.loads(project.bide("resume", "probe", "--json").stdout) == {"resumed": "probe", "workers": 1}, "--json")
    wait_until(lambda: project.all_ended(sent), 60, lambda: f"both are done: {project.status()}")
    expect(all(line["attempt"] == 1 for line in project.journal()), "an attempt was burnt")
    expect(worker.stop() == 0, worker.log_tail())


def what_runs_is_shown(project):
    project.configure()
    worker = started(project)
    tails = [tail(project, "all.txt"), tail(project, "dead.txt", "--json", "--outcome", "dead")]

    def followed():
        """Until both listen: what ran before is not shown."""
        project.bide("send", "probe", "{}")
        return (project.dir / "all.txt").stat().st_size

    wait_until(followed, 60, "it follows")
    number = 0

    def dead_seen():
        nonlocal number
        number += 1
        project.send([{"type": "probe", "id": f"d{number}", "headers": {"traceparent": PARENT}, "body": {"dead": True}}])
        return read_lines(project.dir / "dead.txt")

    seen = wait_until(dead_seen, 60, "a dead one is shown")
    expect(all(row["outcome"] == "dead" and row["trace"] == PARENT for row in seen), f"{seen}")
    wait_until(lambda: "trace " + PARENT.split("-")[1] in (project.dir / "all.txt").read_text(), 60, "the line shows the trace")
    expect("done" in (project.dir / "all.txt").read_text(), "no done one is shown")
    expect(worker.stop() == 0, worker.log_tail())
    expect([process.wait(60) for process in tails] == [0, 0], "tail did not end with the worker")


class Screen:
    """A terminal with `bide top` on it."""

    def __init__(self, project, columns, **env):
        self.keys, terminal = pty.openpty()
        os.set_blocking(self.keys, False)
        self.resize(columns)
        self.before, self.seen = termios.tcgetattr(terminal), b""
        self.process = subprocess.Popen(
            [str(BUILD / "bide"), "top"], cwd=project.dir, stdin=terminal, stdout=terminal, stderr=terminal,
            start_new_session=True, preexec_fn=lambda: (die_with_parent(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)),
            env={**os.environ, "TERM": "xterm", **env},
        )  # fmt: skip
        self.terminal = terminal

    def resize(self, columns):
        fcntl.ioctl(self.keys, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self):
        try:
            self.seen += os.read(self.keys, 1 << 16)
        except BlockingIOError:
            pass
        return self.seen.decode("utf-8", "replace")

    def frame(self):
        """The last that is whole."""
        parts = self.read().split("\033[H")
        return parts[-2] if len(parts) > 2 else ""

    def ends(self, key):
        os.write(self.keys, key)
        wait_until(lambda: self.process.poll() is not None, 60, f"{key} ends it")
        said, after = self.read(), termios.tcgetattr(self.terminal)
        os.close(self.terminal)
        os.close(self.keys)
        expect(self.process.returncode == 0, f"exit {self.process.returncode}")
        expect(said.startswith("\033[?1049h") and said.rstrip().endswith("\033[?1049l"), f"the screen is not left: {said!r}")
        expect(after == self.before, "the terminal is not as it was")


def a_screen_shows_it(project):
    name = "a-rather-long-type." + "x" * 60
    project.configure([project.probe(), project.probe(type=name, queue="slow")])
    worker = started(project)
    screen = Screen(project, 80)
    project.send([{"type": "probe", "body": {}}, {"type": "probe", "body": {"dead": True}}])
    project.bide("pause", "slow")
    frame = wait_until(lambda: (frame := screen.frame()) and "paused" in frame and frame, 60, screen.read)
    expect(all(word in frame for word in (str(worker.pid), "default", "serving", "\033[1m")), frame)
    expect(name not in frame and "…" in frame, "a long name is not cut")
    screen.resize(200)
    wait_until(lambda: name in screen.frame(), 60, lambda: f"it takes the new width: {screen.frame()}")
    screen.ends(b"q")
    plain = Screen(project, 100, NO_COLOR="1")
    frame = wait_until(plain.frame, 60, plain.read)
    expect("\033[1m" not in frame and "\033[3" not in frame, f"colours: {frame!r}")
    plain.ends(b"\x03")

    def counted():
        """What is counted is that of a moment ago."""
        top = json.loads(project.bide("top", "--json").stdout)
        handler = next(row for row in top["handlers"] if row["type"] == "probe")
        return top if (handler["done"], handler["dead"]) == (1, 1) and handler["done_per_s"] is not None else None

    top = wait_until(counted, 60, "one is done and one is dead")
    expect([row["paused"] for row in top["queues"] if row["name"] == "slow"] == [True], f"{top['queues']}")
    expect(top["workers"][0]["pid"] == worker.pid and top["errors"] == [], f"{top}")
    said = project.bide("top", "--once").stdout
    expect(name in said and "\033" not in said, said)
    expect(worker.stop() == 0, worker.log_tail())


main(without_a_worker, a_pause_holds, what_runs_is_shown, a_screen_shows_it)
