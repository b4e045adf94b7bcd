#!/usr/bin/python3
# brokers: redis
# seconds: 90
"""bide check on a Redis: what the server's settings promise and what they cost, its memory, its clock. And the same server by
its Unix socket."""

import json
import re
import struct
import sys
from urllib.parse import urlsplit

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest.faults import close_books, configure, mix  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.plugins import build_library  # noqa: E402
from bidetest.redis import Server  # noqa: E402

AHEAD_MS = 25000
SETTINGS = (  # what is set; the finding's subject, severity, words; exit code
    ("maxmemory-policy allkeys-lru", "maxmemory-policy", "error", "allkeys-lru.*throws.*noeviction", 78),
    ("maxmemory-policy noeviction", "maxmemory-policy", "ok", "noeviction", 0),
    ("save ''", "persistence", "warning", "loses all messages.*appendonly yes", 0),
    ("save '900 1'", "persistence", "warning", "snapshots only .save 900 1.*appendonly yes", 0),
    ("appendonly yes", "persistence", "ok", "at most about one second", 0),
    ("appendfsync no", "persistence", "warning", "half minute.*everysec", 0),
    ("appendfsync always", "persistence", "ok", "nothing confirmed is lost", 0),
    ("maxmemory 0", "memory", "warning", "no maxmemory.*set maxmemory", 0),
    ("maxmemory 200mb", "memory", "ok", "of 200 MiB", 0),
)


def finding(project, subject, code=0, env=None):
    said = project.bide("check", "--json", expect=code, env=env).stdout
    rows = [json.loads(line) for line in said.splitlines()]
    row = next((row for row in rows if row["subject"] == subject), None)
    expect(row, f"nothing about {subject}: {said}")
    return row["severity"], f"{row['text']} {row['remedy'] or ''}"


def says(project, subject, severity, words, code=0, env=None):
    found = finding(project, subject, code, env)
    print(f"{subject}: {found[1]}")
    expect(found[0] == severity and re.search(words, found[1]), f"{subject}: {found}, not {severity}: {words}")


def what_the_settings_mean(project):
    with Server() as server:
        configure(project, server.url)
        says(project, "server version", "ok", r"^\d+\.\d+")
        for setting, subject, severity, words, code in SETTINGS:
            name, value = setting.split(" ", 1)
            expect(server.ask("CONFIG", "SET", name, value.strip("'")) == "OK", setting)
            says(project, subject, severity, words, code)
        used = int(server.info("memory")["used_memory"])
        server.ask("CONFIG", "SET", "maxmemory", used * 110 // 100)
        says(project, "memory", "warning", "raise maxmemory")


def clocks_apart(project):
    clock = project.dir / "ahead"
    clock.write_bytes(struct.pack("=q", AHEAD_MS))
    library = build_library("wall_clock.c", project.dir / "wall_clock.so")
    with Server() as server:
        configure(project, server.url)
        says(project, "clock", "ok", "differs")
        says(project, "clock", "warning", r"by -2[45]\d\d\d ms.*time service",
             env={"LD_PRELOAD": str(library), "WALL_CLOCK_AHEAD": str(clock)})


def by_its_socket(project):
    """The same messages by redis+unix://, and by TCP for whoever looks from there."""
    with Server() as server:
        configure(project, (server.dir / "url-unix").read_text().strip())
        expect(urlsplit(project.url).scheme == "redis+unix", project.url)
        sent = project.send(mix(300, latest_ms=500))
        worker = project.worker()
        close_books(project, [worker], sent, 0)
        ended = project.status()["queues"]
        configure(project, server.url)
        expect(project.status()["queues"] == ended and ended[0]["dead"] == 15, f"{ended}; {project.status()}")


main(what_the_settings_mean, clocks_apart, by_its_socket)
