#!/usr/bin/python3
# brokers: sqlite
# seconds: 120
"""What a service manager hears: ready once all serve, a watchdog that stops when a process is stuck, stopping."""

import os
import select
import signal
import socket
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

LIMIT_S = 6  # of the watchdog: an idle worker goes round its loop every 5 s


class Manager:
    """The socket that a service manager listens at."""

    def __init__(self, address):
        self.address, self.heard = address, []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address[0] == "@" else address)

    def environment(self, **more):
        return {"NOTIFY_SOCKET": self.address, **more}

    def hear(self, seconds):
        """The next datagram as a list of lines; None when none comes in time."""
        if not select.select([self.socket], [], [], seconds)[0]:
            return None
        self.heard.append(self.socket.recv(4096).decode().split("\n"))
        return self.heard[-1]

    def hear_line(self, line, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if line in (self.hear(deadline - time.monotonic()) or ()):
                return
        raise AssertionError(f"not heard within {seconds} s: {line}; but {self.heard}")


def a_worker_process(project):
    """The pid of one that has run a message; the supervisor has other children, too."""
    project.send([{"type": "probe", "id": "m1"}])
    wait_until(lambda: project.journal_count() == 1, 60, "the message has run")
    return project.journal()[0]["worker_pid"]


def ready_only_when_all_serve(project):
    """Not when the first of two does; and a process that dies later changes the status alone."""
    project.configure(worker={"processes": 2})
    manager = Manager(f"@bide-{os.getpid()}")
    worker = project.worker(env=manager.environment())
    first = manager.hear(60)
    expect(first and first[0].startswith("STATUS="), f"{first}")
    manager.hear_line("READY=1", 60)
    expect(manager.heard[-1][1] == "STATUS=2 of 2 worker processes serve", f"{manager.heard}")
    expect(not any("READY=1" in said for said in manager.heard[:-1]), f"{manager.heard}")
    expect(worker.log_text().count('"worker started"') == 2, worker.log_tail())
    os.kill(a_worker_process(project), signal.SIGKILL)  # no service manager's business but as a status
    manager.hear_line("STATUS=1 of 2 worker processes serve", 60)
    manager.hear_line("STATUS=2 of 2 worker processes serve", 60)
    worker.process.terminate()
    manager.hear_line("STOPPING=1", 60)
    expect(worker.wait(60) == 0, worker.log_tail())


def a_reload_is_told(project):
    project.configure(threads=2)
    manager = Manager(str(project.dir / "notify"))
    worker = project.worker(env=manager.environment())
    manager.hear_line("READY=1", 60)
    project.configure(threads=3)
    worker.process.send_signal(signal.SIGHUP)
    manager.hear_line("RELOADING=1", 60)
    manager.hear_line("READY=1", 60)
    expect(worker.stop() == 0, worker.log_tail())


def a_worker_that_cannot_start_is_never_ready(project):
    project.configure(worker={"processes": 1})
    (project.dir / "bide.db").mkdir()  # no file: no database
    manager = Manager(str(project.dir / "notify"))
    worker = project.worker(env=manager.environment())
    expect(worker.wait(60) != 0, "it started with a folder for a database")
    while manager.hear(0):
        pass
    expect(manager.heard and not any("READY=1" in said for said in manager.heard), f"{manager.heard}")


def the_watchdog_sees_a_stuck_process(project):
    project.configure()
    manager = Manager(str(project.dir / "notify"))
    worker = project.worker(env=manager.environment(WATCHDOG_USEC=str(LIMIT_S * 1000000)))
    manager.hear_line("READY=1", 60)
    for _ in range(2):
        manager.hear_line("WATCHDOG=1", 60)
    child = a_worker_process(project)
    os.kill(child, signal.SIGSTOP)
    deadline = time.monotonic() + 4 * LIMIT_S
    while manager.hear(1.2 * LIMIT_S) is not None:
        expect(time.monotonic() < deadline, "it says all is well while its process is stopped")
    os.kill(child, signal.SIGCONT)
    manager.hear_line("WATCHDOG=1", 60)
    expect(worker.stop() == 0, worker.log_tail())


def starts(worker):
    return worker.log_text().count('"worker started"')


def one_that_leaves_need_not_be_awake(project):
    """After a reload the old process still runs a message, and is stopped: the new one serves, all is well."""
    project.configure(threads=2)
    manager = Manager(str(project.dir / "notify"))
    worker = project.worker(env=manager.environment(WATCHDOG_USEC="1000000"))
    manager.hear_line("READY=1", 60)
    old = a_worker_process(project)
    for number in range(2):  # while it runs something, a process goes round its loop ten times a second
        project.send([{"type": "probe", "id": f"long{number}", "body": {"sleep_ms": 60000}}])
        wait_until(lambda: project.queue("default")["in_flight"] == number + 1, 60, project.status)
        if number == 0:
            worker.process.send_signal(signal.SIGHUP)
            wait_until(lambda: starts(worker) == 2, 60, worker.log_tail)
            manager.hear_line("READY=1", 60)
    os.kill(old, signal.SIGSTOP)
    while manager.hear(0):
        pass
    for _ in range(5):
        manager.hear_line("WATCHDOG=1", 60)
    worker.kill()


def a_watchdog_of_somebody_else_is_not_fed(project):
    project.configure()
    manager = Manager(str(project.dir / "notify"))
    worker = project.worker(env=manager.environment(WATCHDOG_USEC="200000", WATCHDOG_PID="1"))
    manager.hear_line("READY=1", 60)
    expect(manager.hear(1) is None, f"{manager.heard}")
    expect(worker.stop() == 0, worker.log_tail())


main(
    ready_only_when_all_serve,
    a_reload_is_told,
    a_worker_that_cannot_start_is_never_ready,
    a_watchdog_of_somebody_else_is_not_fed,
    the_watchdog_sees_a_stuck_process,
    one_that_leaves_need_not_be_awake,
)
