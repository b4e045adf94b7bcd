#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 120
"""examples/payments: each payment is booked exactly once, by the id in the handler's own transaction, whatever comes twice:
copies, killed workers, connections that are cut. In C, in Python, and by the command that the example names.

BIDE_PAYMENTS: how many (1000)."""

import os
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.plugins import compile_shared  # noqa: E402
from bidetest.project import BUILD, ROOT  # noqa: E402
from bidetest.proxy import Proxy  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

EXAMPLE, PAYMENTS, KILLS = ROOT / "examples" / "payments", int(os.environ.get("BIDE_PAYMENTS", 1000)), 3
LIBRARIES = ("-Wl,--no-as-needed", "-lsqlite3", "-ljansson")


def rows():
    for number in range(PAYMENTS):
        yield {"type": "payment", "id": f"p{number}", "body": {"account": f"A-{number % 7}", "cents": number}}


def booked(project):
    try:
        with sqlite3.connect(f"file:{project.dir / 'payments.db'}?mode=ro", uri=True, timeout=30) as db:
            return db.execute("SELECT count(*), count(DISTINCT id), sum(cents) FROM payments").fetchone()
    except sqlite3.OperationalError:
        return 0, 0, 0  # no table yet


def books_are_right(project):
    wanted = (PAYMENTS, PAYMENTS, sum(range(PAYMENTS)))
    wait_until(lambda: booked(project)[1] == PAYMENTS and project.left() == 0, 100, lambda: f"{booked(project)} of {wanted}; {project.status()}")
    expect(booked(project) == wanted, f"{booked(project)}, not {wanted}")
    with sqlite3.connect(project.dir / "payments.db") as db:
        expect(db.execute("SELECT sum(cents) FROM accounts").fetchone()[0] == wanted[2], "the accounts do not add up")
    expect(not project.dead(), f"{project.dead()}")


def under_kills(project, target):
    """Copies of everything, a worker killed again and again, and the connections of all cut."""
    project.send(rows())
    steady, victim = project.worker(), project.worker()
    for kill in range(1, KILLS + 1):
        wait_until(lambda: booked(project)[0] >= PAYMENTS * kill // (KILLS + 2), 100, lambda: f"{booked(project)}: {steady.log_tail()}")
        victim.kill()
        target()
        project.send(row for number, row in enumerate(rows()) if number % KILLS == kill - 1)
        victim = project.worker()
    books_are_right(project)
    expect(steady.stop() == 0 and victim.stop() == 0, "a worker did not end with 0")


def through_a_proxy(project, configure):
    """With a broker that is a server, its workers reach it by a proxy that can cut their connections."""
    if project.broker == "sqlite":
        configure()
        under_kills(project, lambda: None)
        return
    host = project.url.split("://", 1)[1].rsplit("@", 1)[-1].split("/", 1)[0]
    with Proxy(int(host.rsplit(":", 1)[1])) as proxy:
        project.url = project.url.replace(host, f"127.0.0.1:{proxy.port}")
        configure()
        under_kills(project, proxy.cut)


RETRY = {"attempts": 100, "backoff": "fixed", "base": "100ms", "jitter": 0.0}


def in_c(project):
    include = f"-I{ROOT / 'framework' / 'include'}"
    compile_shared(EXAMPLE / "payments.c", project.dir / "payments.so", include, *LIBRARIES)
    row = {"type": "payment", "plugin": "payments", "retry": RETRY, "settings": {"database": "payments.db"}}
    through_a_proxy(project, lambda: project.configure([row], plugin_dir=str(project.dir)))


def in_python(project):
    program = {"name": "payments", "run": [sys.executable, str(EXAMPLE / "payments.py")],
               "env": [f"PYTHONPATH={ROOT / 'sdk' / 'python'}"]}
    row = {"type": "payment", "program": "payments", "retry": RETRY}
    through_a_proxy(project, lambda: project.configure([row], programs=[program]))


def by_its_command(project):
    if project.broker != "sqlite":
        return
    folder = project.dir / "payments"
    shutil.copytree(EXAMPLE, folder)
    conf = folder / "bide.conf"
    conf.write_text(conf.read_text() + "allow_unsafe_plugins = true;\n")  # the folder may lie in somebody else's
    environment = {**os.environ, "BIDE": str(BUILD / "bide"), "BIDE_INCLUDE": str(ROOT / "framework" / "include")}
    done = subprocess.run([folder / "run"], env=environment, capture_output=True, text=True, timeout=120)
    expect(done.returncode == 0 and done.stdout.endswith("(100, 5050)\n"), f"{done.stdout} {done.stderr}")


main(in_c, in_python, by_its_command)
