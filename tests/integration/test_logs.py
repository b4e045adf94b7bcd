#!/usr/bin/python3
# brokers: sqlite
# seconds: 120
"""examples/logs: three processors count access logs, by a topic, streams and batches; their totals equal awk's, also when the worker is
killed twenty times meanwhile.

BIDE_LOGS_LINES: how many (15000)."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.plugins import BUILT_FROM, compile_shared  # noqa: E402
from bidetest.process import die_with_parent  # noqa: E402
from bidetest.project import BUILD, ROOT  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

EXAMPLE, LINES, KILLS = ROOT / "examples" / "logs", int(os.environ.get("BIDE_LOGS_LINES", 15000)), 20
INCLUDE = BUILT_FROM / "framework" / "include"


def lay_out(project):
    """The example's files, with a configuration that may lie in somebody else's folder."""
    shutil.copytree(EXAMPLE, project.dir, dirs_exist_ok=True)
    text = project.config.read_text()
    project.write_config(f"allow_unsafe_plugins = true;\n{text}")


def totals_are_right(project):
    found = subprocess.run(["./totals", "--rows"], cwd=project.dir, capture_output=True, text=True, check=True).stdout.splitlines()
    logs = sorted(path.name for path in project.dir.glob("access-*.log"))
    wanted = subprocess.run(["awk", "-f", "expected.awk", "ranges.txt", *logs], cwd=project.dir, capture_output=True, text=True,
                            check=True).stdout.splitlines()
    expect(len(wanted) > 100 and sorted(found) == sorted(wanted), f"{sorted(set(found) ^ set(wanted))[:10]}")
    expect(not project.dead(), f"{project.dead()[:3]}")


def by_its_one_command(project):
    lay_out(project)
    done = subprocess.run(["./run", "3000", "2"], cwd=project.dir, capture_output=True, text=True, timeout=120, preexec_fn=die_with_parent,
                          env={**os.environ, "BIDE": str(BUILD / "bide"), "BIDE_INCLUDE": str(INCLUDE)})
    expect(done.returncode == 0, f"{done.stdout[-1000:]}{done.stderr[-2000:]}")
    for title in ("Requests by city and day", "Errors by path", "Latency by path, ms"):
        expect(title in done.stdout, done.stdout)
    totals_are_right(project)


def counted(project):
    """How many lines all processors have counted."""
    n = 0
    for name in ("geo", "errors", "latency"):
        try:
            db = sqlite3.connect(f"file:{project.dir / name}.db?mode=ro", uri=True, timeout=30)
            n += db.execute("SELECT count(*) FROM bide_once").fetchone()[0]
            db.close()
        except sqlite3.OperationalError:
            continue  # not there yet
    return n


def killed_twenty_times(project):
    """The stream ends when all lines are counted, and not before; no line counts twice. Small batches, so that kills hit many of them."""
    lay_out(project)
    project.write_config(project.config.read_text().replace("batch = 5000", "batch = 200"))
    compile_shared(EXAMPLE / "logs.c", project.dir / "logs.so", f"-I{INCLUDE}", "-Wl,--no-as-needed", "-lsqlite3")
    subprocess.run(["./generate", str(LINES), "3"], cwd=project.dir, check=True)
    worker = project.worker()
    logs = [f"access-{file}.log" for file in (1, 2, 3)]
    with open(project.dir / "stream.out", "wb") as out:
        stream = subprocess.Popen([str(BUILD / "bide"), "stream", "send", "logs", "--type", "line", "--for", "geo,errors,latency", "--wait", *logs],
                                  cwd=project.dir, stdout=out, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
    try:
        for kill in range(1, KILLS + 1):
            wait_until(lambda: counted(project) > 3 * LINES * kill // (KILLS + 2), 60, lambda: f"{kill} of {KILLS} kills: {worker.log_tail()}")
            worker.kill()
            worker = project.worker()
        status = stream.wait(90)
    finally:
        stream.send_signal(signal.SIGKILL)
        stream.wait()
    said = (project.dir / "stream.out").read_text()
    expect(status == 0, f"{status}: {said} {worker.log_tail()}")
    expect(counted(project) == 3 * LINES, f"--wait returned when {counted(project)} of {3 * LINES} were counted: {said}")
    totals_are_right(project)
    expect(worker.stop() == 0, worker.log_tail())


main(by_its_one_command, killed_twenty_times)
