#!/usr/bin/python3
# brokers: sqlite
# seconds: 120
"""`bide dev`: one command from a program's file to its runs; each change of the file is taken, whatever it breaks; nothing is left at
the end. And the tutorial's way from an empty folder to a handler with a retry, as it stands there."""

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.process import Worker, die_with_parent  # noqa: E402
from bidetest.project import BUILD, ROOT, read_lines  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

SDK = {"PYTHONPATH": str(ROOT / "sdk" / "python"), "BIDE_BROKER": "sqlite:not-this-one.db"}
TUTORIAL, SECTION = ROOT / "docs" / "tutorial.md", "## From an empty folder to a handler in Python"
MOST_COMMANDS = 5
USAGE = 64
SETTLE_S = 0.1  # changes that are no further apart are one
TASKS = """
import os, time
import bide

@bide.handler("thumb")
def thumb(message):
    print("VERSION begins", message.text)
    while message.text == "waits" and not os.path.exists("go"):
        time.sleep(0.01)
    if message.attempt == 1 and message.text == "fails":
        raise ValueError("not yet")
    print("VERSION ends", message.text, os.environ["SHOP"])
"""
END = "\nbide.serve()\n"


class Dev(Worker):
    """A running `bide dev`, whose log is JSON."""

    def __init__(self, project, *words):
        super().__init__([str(BUILD / "bide"), "dev", "--", *words], project.dir, project.dir / f"dev-{len(project.workers)}.log", {**SDK, "SHOP": "ours"})
        project.workers.append(self)

    def lines(self, message):
        return [row for row in (json.loads(line) for line in self.log_text().splitlines() if line.startswith("{")) if row["message"] == message]

    def printed(self, text, seconds=60):
        wait_until(lambda: any(row["text"] == text for row in self.lines("program printed")), seconds, lambda: f"'{text}': {self.log_tail()}")

    def said(self, message, number=1, seconds=60):
        return wait_until(lambda: self.lines(message)[number - 1 :], seconds, lambda: f"{number} × '{message}': {self.log_tail()}")[0]

    def home(self):
        return Path(wait_until(lambda: re.search(r"-c (\S+)/bide.conf", self.log_text()), 60, self.log_tail)[1])


def write(project, version, more="", name="tasks.py"):
    """As editors do: another file, renamed."""
    (project.dir / "draft").write_text(TASKS.replace("VERSION", version) + more + END)
    os.replace(project.dir / "draft", project.dir / name)


def send(project, type, body, *options):
    return project.bide("send", type, body, *options).stdout.strip()


def is_gone(processes, home):
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), 60, f"processes are left: {processes}")
    expect(not home.exists(), f"{home} is left")


def changes_are_taken(project):
    write(project, "one")
    dev = Dev(project, "python3", "tasks.py")
    home = dev.home()
    send(project, "thumb", "fails")
    dev.printed("one ends fails ours")
    (retry,) = dev.lines("message will be retried")
    expect("ValueError: not yet" in retry["error"], f"{retry}")

    send(project, "thumb", "waits")
    dev.printed("one begins waits")
    first = time.monotonic()
    write(project, "two", '@bide.handler("mail")\ndef mail(message): print("a mail")\n')
    write(project, "two", '@bide.handler("mail")\ndef mail(message): print("a mail", message.text)\n')
    quick = time.monotonic() - first < SETTLE_S
    dev.said("new configuration in use")
    send(project, "mail", "now")
    dev.printed("a mail now")
    expect(not [row for row in dev.lines("program printed") if row["text"] == "one ends waits ours"], "it was waited for")
    (project.dir / "go").touch()
    dev.printed("one ends waits ours")  # what runs is finished by the code it began with
    expect(not quick or len(dev.lines("reading the configuration again")) == 1, "two changes at once: one restart")

    write(project, "three", "x = (\n")
    dev.said("waiting for a change of a source file")
    expect(any("never closed" in row["text"] for row in dev.lines("program printed")), dev.log_tail())
    send(project, "thumb", "still")
    dev.printed("two ends still ours")
    write(project, "four")
    dev.said("new configuration in use", 2)
    send(project, "thumb", "mended")
    dev.printed("four ends mended ours")

    processes = dev.tree()
    expect(len(processes) >= 4, f"{processes}")
    expect(dev.stop() == 0, dev.log_tail())
    is_gone(processes, home)
    expect(not list(project.dir.glob("*.db*")), "the broker of the environment was used, or the folder got one")


def begins_with_what_does_not_start(project):
    """No file, another `bide dev` in this folder, types that are none: each is said, and the next change mends it."""
    dev = Dev(project, "python3", "tasks.py")
    dev.said("waiting for a change of a source file")
    early = send(project, "thumb", "early")  # it waits
    for words, text in ((("dev", "--", "true"), "another `bide dev` runs"), (("dev", "-c", "x", "--", "true"), "of its own"), (("dev",), "something is missing")):
        said = project.bide(*words, expect=USAGE).stderr
        expect(text in said, f"{words}: {said}")
    (project.dir / "tasks.py").write_text("import bide\n@bide.handler('no name')\ndef f(message): pass\nbide.serve()\n")
    dev.said("waiting for a change of a source file", 2)
    expect("no name" in dev.log_text(), dev.log_tail())
    write(project, "one")
    dev.printed("one ends early ours")
    expect(early, "no id")
    home, processes = dev.home(), dev.tree()
    dev.process.kill()  # nobody is left to clear up
    dev.wait(60)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), 60, "its processes live on")
    said = project.bide("send", "thumb", "late", expect=None)
    expect(said.returncode != 0 and "no configuration" in said.stderr, f"a message for nobody: {said}")
    again = Dev(project, "python3", "tasks.py")
    send_through_the_socket(again)
    expect(sum(queue["dead"] for queue in project.status()["queues"]) == 0, "the database of the one before")
    expect(again.stop() == 0, again.log_tail())
    is_gone([], home)


def send_through_the_socket(dev):
    """As a web application under development would."""
    url = f"unix:{dev.home()}/send.sock"
    dev.said("worker started")
    sent = subprocess.run([sys.executable, "-c", "import bide; print(bide.Client().send('thumb', 'by socket'))"],
                          env={**os.environ, **SDK, "BIDE_URL": url}, capture_output=True, text=True, timeout=120)
    expect(sent.returncode == 0, sent.stderr)
    dev.printed("one ends by socket ours")
    page = re.search(r"http://127\.0\.0\.1:\d+/", dev.log_text())
    with urllib.request.urlopen(page[0], timeout=120) as answer:
        expect(b"<title>" in answer.read(), "no dashboard")


class Terminal:
    """A shell script on a terminal of its own; what is typed there arrives as from a keyboard."""

    def __init__(self, script, cwd, env):
        self.master, end = pty.openpty()

        def own_terminal():
            die_with_parent()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(["bash", "-c", script], cwd=cwd, env=env, stdin=end, stdout=end, stderr=end,
                                        start_new_session=True, preexec_fn=own_terminal)
        os.close(end)
        self.text = ""
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while data := os.read(self.master, 4096):
                self.text += data.decode(errors="replace").replace("\r\n", "\n")
        except OSError:
            pass  # the other end has gone

    def shows(self, text, seconds=60):
        wait_until(lambda: text in self.text, seconds, lambda: f"'{text}': {self.text[-2000:]}")

    def type(self, text):
        os.write(self.master, text.encode())


def commands_of(script):
    """The commands of a script: a here document belongs to its command, a comment is none."""
    without = re.sub(r"<<'(\w+)'\n.*?^\1$", "", script, flags=re.M | re.S)
    return [line for line in without.splitlines() if line.strip() and not line.startswith("#")]


def from_an_empty_folder(project):
    """The commands of the tutorial, typed as they stand there."""
    section = TUTORIAL.read_text().partition(SECTION + "\n")[2].partition("\n## ")[0]
    scripts = re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S)
    expect(len(scripts) == 2, f"two terminals, not {scripts}")
    expect(sum(len(commands_of(script)) for script in scripts) <= MOST_COMMANDS, f"{scripts}")
    home, folder = project.dir / "home", project.dir / "empty"
    home.mkdir()
    folder.mkdir()
    (home / "bide").symlink_to(ROOT)
    env = {**os.environ, "HOME": str(home), "PATH": f"{BUILD}:{os.environ['PATH']}"}
    env.pop("PYTHONPATH", None)
    terminal = Terminal(scripts[0], folder, env)
    try:
        terminal.shows("program serves")
        subprocess.run(["bash", "-ec", scripts[1]], cwd=folder, env=env, check=True, timeout=120)
        terminal.shows("message will be retried")
        terminal.shows("    | Traceback")
        terminal.shows("message done")
        expect("program printed" not in terminal.text and '{"time"' not in terminal.text, f"not readable: {terminal.text}")
        terminal.type("\x03")
        terminal.process.wait(60)
        expect("worker stopped" in terminal.text, terminal.text[-2000:])
    finally:
        terminal.process.kill()
        terminal.process.wait()
    is_gone([], Path(re.search(r"-c (\S+)/bide.conf", terminal.text)[1]))
    expect(sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == ["bide.py", "tasks.py"], f"{list(folder.iterdir())}")


main(changes_are_taken, begins_with_what_does_not_start, from_an_empty_folder)
