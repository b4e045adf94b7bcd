"""bide with a handler in Python or Node, sent to by the client of the same language; measured as the peers are."""

import json
import random
import re
from contextlib import contextmanager

from bidetest.console import free_port
from bidetest.project import ROOT, Project
from bidetest.waiting import wait_until
from lateness import send_steadily
from peers import HERE, debian_libraries, debian_program
from working import await_runs, run_rate, run_sender

SETTINGS = {"rabbitmq": {"queue_type": "classic"}}
# A program of each language, and its concurrency: what one of its processes takes at once where handlers do not wait.
PROGRAMS = {"python": (["/usr/bin/python3", str(HERE / "bide" / "tasks.py")], 1), "node": (["node", str(HERE / "bide" / "tasks.mjs")], 100)}
SENDERS = {"python": ["/usr/bin/python3", str(HERE / "bide" / "send.py")], "node": ["node", str(HERE / "bide" / "send.mjs")]}
TOKEN = "a-token-that-may-send"
ENVIRONMENT = {"PYTHONPATH": f"{HERE}:{ROOT / 'sdk' / 'python'}", "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def at_work(project, language, processes):
    """A worker with the program; await_runs finds what it ran by the path."""
    out = project.dir / "ran"
    run, concurrency = PROGRAMS[language]
    env = [f"{name}={value}" for name, value in {**ENVIRONMENT, "BENCH_OUT": out}.items()]
    program = {"name": "tasks", "run": run, "processes": processes, "concurrency": concurrency, "env": env}
    project.configure(handlers=[{"type": "noop", "program": "tasks"}], programs=[program], **SETTINGS.get(project.broker, {}))
    worker = project.worker()
    yield worker, out
    worker.stop()


@contextmanager
def taking(project, **http):
    """A host that only sends what its console takes."""
    path = project.dir / "send.sock"
    project.configure(handlers=[], http={"send_socket": str(path), **http}, **SETTINGS.get(project.broker, {}))
    host = project.worker()
    wait_until(path.exists, 30, lambda: host.log_tail())
    yield f"unix:{path}"
    host.stop()


def sent(project, language, single, many):
    """Messages a second one by one, and in thousands."""
    with taking(project) as url:
        command = [*SENDERS[language], url, str(single), str(many)]
        seconds = [float(line) for line in run_sender(command, ENVIRONMENT, project.dir).split()]
    return {"one by one": single / seconds[0], "many": many / seconds[1]}


def posted(broker, lines, connections, seconds):
    """Messages a second by POST /send, so many in each request."""
    place = f"127.0.0.1:{free_port()}"
    with Project(broker) as project, taking(project, listen=place, send_token=TOKEN):
        line = json.dumps({"type": "noop", "body": "x" * 256}) + "\n"
        script = f"wrk.method = 'POST'\nwrk.headers['Authorization'] = 'Bearer {TOKEN}'\nwrk.body = string.rep({json.dumps(line)}, {lines})\n"
        (project.dir / "post.lua").write_text(script)
        command = [debian_program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", "post.lua", f"http://{place}/send"]
        said = run_sender(command, {"LD_LIBRARY_PATH": debian_libraries()}, project.dir)
        if "Non-2xx" in said or "Socket errors" in said:
            raise AssertionError(said)
        return float(re.search(r"Requests/sec: *([\d.]+)", said).group(1)) * lines


def turn(broker, language, processes, single, many):
    """A backlog is sent, then run: jobs a second of each."""
    with Project(broker) as project:
        rates = sent(project, language, single, many)
        with at_work(project, language, processes) as (worker, out):
            n = 1 + single + many
            return {**rates, "run": run_rate(n, await_runs(out, n, worker))}


def late(broker, language, processes, messages, rate, shortest_ms, longest_ms):
    """Sorted lateness in ms."""
    draw, body = random.Random(1), "x" * 256
    with Project(broker) as project, at_work(project, language, processes) as (worker, out):
        wait_until(lambda: "worker started" in worker.log_text(), 30, lambda: worker.log_tail())
        rows = ({"type": "noop", "body": body, "delay": f"{draw.randint(shortest_ms, longest_ms)}ms"} for _ in range(messages))
        send_steadily(project, [json.dumps(row).encode() + b"\n" for row in rows], rate)
        return await_runs(out, messages, worker)["late_ms"]
