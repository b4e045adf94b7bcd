#!/usr/bin/python3
# brokers: sqlite
# seconds: 240
"""The console's page in Debian's chromium, at the size of a desk and of a telephone, while a worker runs.

The scenarios are tests/browser/*.js; they run in a temporary folder, where `npm ci` puts playwright-core. BIDE_KEEP=1
keeps that folder, with screenshots in it."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.console import free_port  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.process import die_with_parent, start  # noqa: E402
from bidetest.project import BUILD, ROOT  # noqa: E402
from bidetest.waiting import pace, wait_until  # noqa: E402

RATE, FLOWING_S = 100, 7
JOURNAL, RETRIED, HOPELESS = RATE * FLOWING_S, 6, 4
BODY = '{"order":12345678901234567890,"note":"<img src=x onerror=alert(1)>"}'


def command(arguments, cwd, seconds, what):
    done = subprocess.run(
        arguments, cwd=cwd, capture_output=True, text=True, timeout=seconds, preexec_fn=die_with_parent
    )
    expect(done.returncode == 0, f"{what}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


class Dashboard:
    """A worker with a console, something of everything in its queues, and the scenarios that look at it."""

    def __init__(self, project, size):
        self.project, self.size = project, size
        self.browser = project.dir / "browser"
        shutil.copytree(ROOT / "tests" / "browser", self.browser)
        command(["npm", "ci", "--prefer-offline", "--fetch-retries=5", "--no-audit", "--no-fund", "--ignore-scripts"], self.browser, 120, "npm ci")
        self.given = {
            "url": f"http://127.0.0.1:{free_port()}/", "token": secrets.token_hex(16), "size": size, "scheme": "light",
            "bide": str(BUILD / "bide"), "dir": str(project.dir), "shots": None,
            "journal": JOURNAL, "retried": RETRIED, "hopeless": HOPELESS,
            "broken": "invoice-1", "useless": "hopeless-2",
        }
        if os.environ.get("BIDE_KEEP") == "1":
            self.given["shots"] = str(self.browser)
        self.configure()
        self.worker = project.worker()

    def configure(self):
        invoice = {"type": "invoice", "plugin": "command", "settings": {"program": "/usr/bin/test", "args": ["-e", "repaired"]}}
        retry = {"attempts": 2, "backoff": "fixed", "base": "100ms", "jitter": 0.0}
        self.project.configure(
            handlers=[
                self.project.journal_handler(), self.project.probe(), self.project.probe(type="hopeless"),
                {**invoice, "queue": "mail", "retry": retry},
            ],
            queues=[{"name": "default"}, {"name": "mail"}, {"name": "waiting"}],
            limits=[{"name": "api", "rate": "100/1m"}],
            schedules=[{"name": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "type": "journal"}],
            http={"listen": self.given["url"][len("http://"):-1], "token": self.given["token"]},
        )

    def fill(self):
        """What lies there before the flow: delayed ones in two queues, dead ones, and some that run twice."""
        rows = [{"type": "journal", "delay": "1h"}] * 5 + [{"type": "invoice", "queue": "mail", "delay": "2h"}] * 3
        rows += [{"type": "probe", "body": {"fail": 1}}] * RETRIED
        rows += [{"type": "hopeless", "id": f"hopeless-{n}", "body": {"dead": True}} for n in range(HOPELESS)]
        invoice = {"type": "invoice", "queue": "mail", "body": BODY, "headers": {"tenant": "t-17"}}
        rows += [{**invoice, "id": f"invoice-{n}"} for n in range(3)]
        rows += [{"type": "journal", "queue": "waiting", "delay": "2h", "id": f"wait-{n}", "body": {"number": n}} for n in range(1, 5)]
        self.project.send(rows)
        wait_until(lambda: len(self.project.dead()) == HOPELESS + 3, 60, lambda: f"{self.project.dead()}")

    def flow(self):
        """A steady stream of messages from a thread."""
        sender = self.project.sender()

        def feed():
            for _ in pace(range(JOURNAL), RATE):
                sender.stdin.write(b'{"type":"journal","delay":"50ms"}\n')
                sender.stdin.flush()
            sender.stdin.close()

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        return lambda: (feeder.join(60), expect(sender.wait(60) == 0, "send --lines failed"))

    @contextlib.contextmanager
    def scenarios(self, *rows):
        """Runs them in one browser while messages flow; what stands in the with statement happens meanwhile. A row is a
        scenario's name, or its name and what is different for it."""
        rows = [row if isinstance(row, tuple) else (row, {}) for row in rows]
        given = json.dumps({**self.given, "scenarios": rows})
        self.fill()
        with open(self.browser / "log", "w+") as log:
            try:
                self.node = start(["node", "run.js", given], self.browser / "log", cwd=self.browser, stdout=log)
                self.asked("flow")
                self.flow()()
                yield
                failed = self.node.wait(120)
            finally:
                self.node.kill()
                log.seek(0)
                print(log.read(), end="")
        expect(failed == 0, f"a scenario does not hold on a {self.size}")

    def asked(self, name):
        """Waits for the file by which a scenario asks for something."""
        wait_until(lambda: (self.project.dir / name).exists() or self.node.poll() is not None, 90, f"asks to {name}")


def functions(project):
    command(["node", str(ROOT / "tests" / "browser" / "functions.js"), str(ROOT / "framework" / "console" / "page")],
            project.dir, 60, "the page's functions")


def desktop(project):
    rows = ("figures", ("looks", {"scheme": "dark"}), "looks", "mending", "messages", "schedules", "limits", ("keyboard", {"broken": "invoice-2"}), "locked")
    with Dashboard(project, "desktop").scenarios(*rows):
        pass


def telephone(project):
    """The worker ends when the last scenario says so, and comes back when it says so."""
    dashboard = Dashboard(project, "telephone")
    rows = (("figures", {"scheme": "dark"}), ("looks", {"scheme": "dark"}), "looks", "mending", "outage")
    with dashboard.scenarios(*rows):
        dashboard.asked("stop")
        dashboard.worker.stop()
        dashboard.asked("start")
        project.worker()


main(functions, desktop, telephone)
