"""How fast bide is beside a bare loop over the same broker, in turns: bare, bide, bare, bide, …

A machine's speed changes by a third from one minute to the next; the ratio of two runs beside each other does not. So a
figure is judged by its ratio to the bare loop's, medians of several turns compared."""

import json
import os
import re
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from bidetest.plugins import compile_shared
from bidetest.process import start
from bidetest.project import BUILD, ROOT, Project
from bidetest.waiting import wait_until

SEND_BATCH = 1000  # of `bide send --lines`
CLAIM_BATCH = {"sqlite": 512, "rabbitmq": 512, "redis": 128}  # of a worker under load
BODY_BYTES = 256
TYPICAL = {"sqlite": 100_000, "rabbitmq": 100_000, "redis": 200_000}  # messages a turn: a second or so


@dataclass
class Speed:
    """One run: messages a second, CPU microseconds a message."""

    send: float
    drain: float
    send_us: float
    drain_us: float


# ---- bide ----


def write_lines(path, messages):
    line = json.dumps({"type": "noop", "body": "x" * BODY_BYTES}) + "\n"
    with open(path, "w") as file:
        for written in range(0, messages, 1000):
            file.write(line * min(1000, messages - written))


def finish(process, what, seconds=180):
    """Waits for a process; returns its CPU time in seconds, with that of the children it waited for."""
    watchdog = threading.Timer(seconds, process.kill)
    watchdog.start()
    _, status, usage = os.wait4(process.pid, 0)
    watchdog.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise AssertionError(f"{what} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def configure(project, **settings):
    plugins = project.dir / "plugins"
    plugins.mkdir(exist_ok=True)
    include = f"-I{ROOT / 'framework' / 'include'}"
    compile_shared(ROOT / "tests" / "support" / "plugins" / "noop.c", plugins / "noop.so", include, "-O2")
    row = {"type": "noop", "plugin": "noop", "settings": {"path": str(project.dir / "noop.json")}}
    project.configure(handlers=[row], plugin_dir=str(plugins), **settings)


def send(project, lines):
    """`send --lines` of a file; returns (seconds, CPU seconds)."""
    command = [str(BUILD / "bide"), "send", "--lines"]
    with open(lines) as source, open(project.dir / "ids", "wb") as ids:
        started = time.monotonic()
        process = start(command, project.dir / "send.log", cwd=project.dir, stdin=source, stdout=ids)
        cpu = finish(process, "send --lines")
    return time.monotonic() - started, cpu


def start_worker(project):
    worker = project.worker("--exit-idle", "1500ms")
    wait_until(lambda: "worker started" in worker.log_text(), 60, lambda: f"the worker starts: {worker.log_tail()}")
    return worker


def measure_bide(broker, messages, together, **settings):
    """A run of bide on a database or namespace of its own; together: sender and worker at the same time. The bare loops
    start their clocks once they are connected, so the time of a sender that has nothing to send is taken off."""
    with Project(broker) as project:
        configure(project, **settings)
        write_lines(project.dir / "lines", messages)
        worker = start_worker(project) if together else None
        connecting, _ = send(project, os.devnull)
        started = time.time()
        sending, send_cpu = send(project, project.dir / "lines")
        drain_cpu = finish((worker or start_worker(project)).process, "the worker")
        ran = json.loads((project.dir / "noop.json").read_text())
        if ran["runs"] != messages:
            raise AssertionError(f"{messages} were sent, {ran['runs']} have run")
        began = started if together else ran["first_us"] / 1e6
        return Speed(
            messages / (sending - connecting),
            messages / (ran["last_us"] / 1e6 - began),
            send_cpu / messages * 1e6,
            drain_cpu / messages * 1e6,
        )


# ---- the bare loops ----


def run_bare(name, *arguments):
    command = [str(BUILD / "bench" / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def speed_of_text(text):
    """Of lines such as `bare send: 134000/s, 3.31 us CPU a message`: the sending one, then the draining one."""
    rows = re.findall(r"^bare (\w+):.*?([\d.]+)/s, ([\d.]+) us CPU", text, re.MULTILINE)
    by_name = {name: (float(rate), float(us)) for name, rate, us in rows}
    send, drain = (by_name.get(one) or by_name[other] for one, other in (("send", "publish"), ("drain", "consume")))
    return Speed(send[0], drain[0], send[1], drain[1])


def bare_sqlite(messages):
    with Project("sqlite") as project:
        path = project.dir / "bare.db"
        return speed_of_text(run_bare("bare_sqlite", path, messages, SEND_BATCH, CLAIM_BATCH["sqlite"], "apart"))


def bare_rabbitmq(messages, queue_type="quorum"):
    url, batch = urlsplit(os.environ["BIDE_TEST_BROKER_URL"]), CLAIM_BATCH["rabbitmq"]
    place = (url.hostname, url.port, queue_type)
    return speed_of_text(run_bare("bare_rabbitmq", *place, messages, SEND_BATCH, 2 * batch, batch))


def bare_redis(messages):
    url = urlsplit(os.environ["BIDE_TEST_BROKER_URL"])
    return speed_of_text(run_bare("bare_redis", url.hostname, url.port, messages, SEND_BATCH, CLAIM_BATCH["redis"]))


BARE = {"sqlite": bare_sqlite, "rabbitmq": bare_rabbitmq, "redis": bare_redis}


# ---- both ----


def compare(broker, turns=5, messages=None, say=print, bare_options=None, settings=None):
    """Turns of bare and bide, one after the other; returns (bare runs, bide runs). Sending and draining are measured one
    after the other: at the same time each would be judged by how the other one was let in."""
    messages = messages or TYPICAL[broker]
    bare, bide = [], []
    for turn in range(turns):
        bare.append(BARE[broker](messages, **(bare_options or {})))
        bide.append(measure_bide(broker, messages, together=False, **(settings or {})))
        for name, run in (("bare", bare[-1]), ("bide", bide[-1])):
            say(f"turn {turn + 1} of {turns}, {name}: {row(run)}")
    return bare, bide


def row(run):
    return (
        f"send {run.send:8.0f}/s {run.send_us:5.2f} us CPU a message, "
        f"drain {run.drain:8.0f}/s {run.drain_us:5.2f} us CPU a message"
    )


def medians(runs):
    return Speed(*(statistics.median(getattr(run, field) for run in runs) for field in Speed.__dataclass_fields__))
