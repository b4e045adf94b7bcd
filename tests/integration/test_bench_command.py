#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 120
"""bide bench: plausible figures, and nothing of it left in the broker, however it ends."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.foreign import Foreign  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.process import start  # noqa: E402
from bidetest.project import BUILD  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

QUEUES = ("default", "default.dead", "unrouted", "hold.8.9", "hold.0.1")


def sqlite_names(project):
    with closing(sqlite3.connect(project.dir / "bide.db", timeout=30)) as db:
        return [name for (name,) in db.execute("SELECT name FROM sqlite_master") if "-bench" in name]


def redis_names(project):
    command = ["redis-cli", "-u", project.url, "--scan", "--pattern", f"*{project.name_space}-bench*"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.split()


def rabbitmq_names(project):
    with Foreign(project) as foreign:
        foreign.name_space += "-bench"
        return [queue for queue in QUEUES if foreign.depth(queue) is not None]


NAMES = {"sqlite": sqlite_names, "rabbitmq": rabbitmq_names, "redis": redis_names}


def names_of_bench(project):
    """What the broker has of the bench's namespace."""
    return NAMES[project.broker](project)


def throughput(project):
    """Its rates fit the time it took; the user's own messages stay where they are."""
    project.configure(threads=2)
    project.send([{"type": "probe", "id": "mine", "delay": "1h"}])
    started = time.monotonic()
    said = json.loads(project.bide("bench", "throughput", "--messages", 5000, "--body", 100, "--json").stdout)
    took = time.monotonic() - started
    print(said)
    expect((said["messages"], said["body_bytes"], said["threads"]) == (5000, 100, 2), f"{said}")
    for half in (said["send"], said["run"]):
        expect(0 < half["took_us"] < took * 1e6, f"{half}: {took} s in all")
        expect(abs(half["per_second"] - 5000 / (half["took_us"] / 1e6)) < 2, f"{half}: rate and time disagree")
        expect(0 < half["cpu_ns_a_message"] < 2 * took * 1e9 / 5000, f"{half}: CPU time")
    expect(names_of_bench(project) == [], f"left: {names_of_bench(project)}")
    expect(project.left() == 1, "the user's own message is gone")


def delay(project):
    """Nobody runs early; the table for people says the same as JSON."""
    project.configure(threads=2)
    options = ("--messages", 500, "--rate", 1000, "--delay", "700ms")
    late = json.loads(project.bide("bench", "delay", *options, "--json").stdout)["lateness_us"]
    print(late)
    values = [late[name] for name in ("min", "p50", "p90", "p99", "p99_9", "max")]
    expect(values == sorted(values) and values[0] >= 0, f"{late}")
    shown = project.bide("bench", "delay", *options).stdout
    expect("500 messages of 256 bytes" in shown and "p99 " in shown, shown)
    expect(names_of_bench(project) == [], f"left: {names_of_bench(project)}")


def long_bench(project):
    """One that has begun, and would take minutes."""
    project.configure(threads=2)
    command = [str(BUILD / "bide"), "bench", "delay", "--messages", "100000", "--rate", "500", "--delay", "60s"]
    bench = start(command, project.dir / "bench.log", cwd=project.dir, stdout=subprocess.DEVNULL)
    wait_until(lambda: names_of_bench(project), 60, "the bench has begun")
    return bench


def interrupted(project):
    """Ctrl-C amid sending and running: it ends soon, says so, and leaves nothing."""
    bench = long_bench(project)
    time.sleep(0.5)  # anywhere in its work
    bench.send_signal(signal.SIGINT)
    said = bench.wait(60)
    expect(said == 130, f"exit {said}: {(project.dir / 'bench.log').read_text()}")
    expect(names_of_bench(project) == [], f"left: {names_of_bench(project)}")


def after_a_killed_one(project):
    """What a SIGKILL left is cleared away by the next."""
    bench = long_bench(project)
    time.sleep(0.5)
    bench.kill()
    bench.wait()
    expect(names_of_bench(project) != [], "a killed one left nothing: this case proves nothing")

    def goes_on():
        return project.bide("bench", "throughput", "--messages", 1000, "--json", expect=None).returncode == 0

    wait_until(goes_on, 60, "the killed one counts as gone")
    expect(names_of_bench(project) == [], f"left: {names_of_bench(project)}")


main(throughput, delay, interrupted, after_a_killed_one)
