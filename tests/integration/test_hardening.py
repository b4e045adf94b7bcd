#!/usr/bin/python3
# brokers: sqlite
# seconds: 90
"""Whose code is run, how it was built, and what is said of a death."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.project import BUILD, ROOT  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402


def own_plugins(project):
    """A folder of plugins that is the test's alone."""
    folder = project.dir / "plugins"
    shutil.copytree(BUILD / "handlers", folder, ignore=lambda _, names: [n for n in names if not n.endswith(".so")])
    project.configure(plugin_dir=str(folder), allow_unsafe_plugins=False)
    return folder


def runs(project):
    project.send([{"type": "probe", "body": {}}])
    before = project.journal_count()
    done = project.bide("worker", "--exit-idle", "300ms", expect=None)
    return done.returncode, done.stderr, project.journal_count() - before


def refused(project, why):
    code, said, n = runs(project)
    expect(code == 78 and n == 0, f"a worker ended with {code} having run {n}: {said}")
    for text in (said, project.bide("check", expect=78).stdout, project.bide("handlers", expect=78).stderr):
        expect(why in text and "allow_unsafe_plugins" in text and "chmod go-w" in text, f"not said clearly: {text}")


def what_others_could_change_is_refused(project):
    folder = own_plugins(project)
    expect(runs(project)[0] == 0, "an ordinary folder is refused")
    folder.chmod(0o777)
    refused(project, "can be written by everybody")
    folder.chmod(0o755)
    (folder / "probe.so").chmod(0o666)
    refused(project, "can be written by everybody")
    project.configure(plugin_dir=str(folder), allow_unsafe_plugins=True)
    code, said, n = runs(project)
    expect(code == 0 and n > 0, f"allowed, and yet: {code} {said}")


def log_lines(worker, message):
    rows = (json.loads(line) for line in worker.log_text().splitlines() if line.startswith("{"))
    return [row for row in rows if row["message"] == message]


def build_of(plugin):
    said = subprocess.run(["readelf", "-n", plugin], check=True, capture_output=True, text=True).stdout
    return re.search(r"Build ID: (\w+)", said).group(1)


def a_crash_names_the_build(project):
    project.configure()
    worker = project.worker()
    project.send([{"type": "probe", "id": "bad", "body": {"crash": True}}])
    wait_until(lambda: log_lines(worker, "handler crashed"), 60, lambda: f"a crash is logged: {worker.log_tail()}")
    row = log_lines(worker, "handler crashed")[0]
    expect((row["id"], row["type"], row["plugin"]) == ("bad", "probe", "probe"), f"{row}")
    expect(row["build"] == build_of(BUILD / "handlers" / "probe.so"), f"{row}")
    expect("SIGSEGV" in row["how"], f"{row}")
    worker.kill()


def runs_handlers(pid):
    """Whether it has pool threads: a worker process, not its supervisor or console."""
    try:
        return any((task / "comm").read_text().startswith("bide-run") for task in Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return False  # it, or a thread of it, has just ended


def a_kill_says_who_it_was(project):
    project.configure()
    worker = project.worker()
    wait_until(lambda: log_lines(worker, "worker started"), 60, "a worker process serves")
    serving = wait_until(lambda: [pid for pid in worker.tree() if runs_handlers(pid)], 60, worker.log_tail)
    os.kill(serving[0], signal.SIGKILL)
    wait_until(lambda: log_lines(worker, "worker process died"), 60, lambda: f"a death is logged: {worker.log_tail()}")
    row = log_lines(worker, "worker process died")[0]
    expect(re.search(r"SIGKILL \((not for want of memory|by hand or out of memory|out of memory)", row["how"]), f"{row}")
    expect(worker.stop() == 0, worker.log_tail())


def the_release_build_is_hardened(project):
    done = subprocess.run([ROOT / "tests" / "check" / "hardening", str(BUILD)], capture_output=True, text=True)
    print(done.stdout)
    expect(done.returncode == 0, done.stdout + done.stderr)


main(what_others_could_change_is_refused, a_crash_names_the_build, a_kill_says_who_it_was, the_release_build_is_hardened)
