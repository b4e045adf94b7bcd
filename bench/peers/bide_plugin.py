"""bide with a handler in C, measured as the peers are."""

import json
import os
import time

from bidetest import speed
from bidetest.ledger import lateness_ms
from bidetest.project import Project
from bidetest.waiting import pace, wait_until
from working import pss_mib

SETTINGS = {"rabbitmq": {"queue_type": "classic"}, "redis": {}}


def starting_ns(project):
    """CPU time of a worker that has nothing to do."""
    idle = project.worker()
    wait_until(lambda: "worker started" in idle.log_text(), 30, "the worker starts")
    time.sleep(1)
    starting = idle.cpu_ns()
    idle.stop()
    return starting


def backlog(broker, messages):
    with Project(broker) as project:
        speed.configure(project, **SETTINGS[broker])
        starting = starting_ns(project)
        speed.write_lines(project.dir / "lines", messages)
        connecting, _ = speed.send(project, os.devnull)
        sending, _ = speed.send(project, project.dir / "lines")
        worker = project.worker()
        time.sleep(1)  # `bide status` shall not compete with it for the processors
        wait_until(lambda: project.left() == 0, 120, lambda: f"{project.left()} are left")
        cpu, memory = (worker.cpu_ns() - starting) / 1e9, pss_mib(worker)
        worker.stop()
        ran = json.loads((project.dir / "noop.json").read_text())
        if ran["runs"] != messages:
            raise AssertionError(f"{ran['runs']} of {messages} ran")
        return sending - connecting, ran, cpu, memory


def delayed(broker, messages, rate, delay_ms):
    with Project(broker) as project:
        project.configure(handlers=[project.journal_handler()], threads=4, **SETTINGS[broker])
        project.worker()
        sender, body = project.sender(), "x" * 256
        for number in pace(range(messages), rate):
            row = {"type": "journal", "id": str(number), "body": body, "delay": f"{delay_ms}ms"}
            sender.stdin.write(json.dumps(row).encode() + b"\n")
            sender.stdin.flush()
        sender.stdin.close()
        sender.wait(60)
        wait_until(lambda: project.journal_count() == messages, 60, lambda: f"{project.journal_count()} of {messages} ran")
        return lateness_ms(project.journal())


def measure(broker, arguments, delay_ms):
    """seconds of sending, what ran, CPU seconds, MiB, lateness in ms."""
    return *backlog(broker, arguments.messages), delayed(broker, arguments.rate * arguments.seconds, arguments.rate, delay_ms)
