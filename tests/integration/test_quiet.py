#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 90
"""SIGTSTP: a worker begins nothing new and finishes what runs, until SIGCONT; also across a reload."""

import os
import signal
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.project import read_lines  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

COUNT, QUIET_S, HEARD_S = 300, 2, 1  # how long it may take on a busy machine until all processes have heard


def logged(worker, text):
    return len([line for line in read_lines(worker.log) if line["message"] == text])


def nothing_new_is_begun(project):
    project.configure(threads=2, worker={"processes": 2})
    worker = project.worker()
    wait_until(lambda: logged(worker, "worker started") == 2, 60, "both serve")
    sent = project.send({"type": "probe", "id": f"q{number}", "body": {"sleep_ms": 30}} for number in range(COUNT))
    wait_until(lambda: project.journal_count() >= 20, 60, "they run")
    os.kill(worker.pid, signal.SIGTSTP)
    wait_until(lambda: logged(worker, "quiet: nothing new is begun") == 1, 60, worker.log_tail)
    told_us = time.time() * 1e6
    sent += project.send({"type": "probe", "id": f"late{number}", "body": {}} for number in range(20))
    os.kill(worker.pid, signal.SIGHUP)
    wait_until(lambda: logged(worker, "new configuration in use") == 1, 60, worker.log_tail)
    time.sleep(HEARD_S + QUIET_S)  # in which nothing may begin: there is nothing to wait for
    begun = [line for line in project.journal() if line["started_us"] > told_us + HEARD_S * 1e6]
    expect(not begun, f"{len(begun)} have begun since, such as {begun[:2]}")
    expect(project.journal_count() < COUNT, "all were done before there was quiet: nothing is shown")
    expect(worker.running(), "the worker is gone")
    os.kill(worker.pid, signal.SIGCONT)
    wait_until(lambda: project.all_ended(sent), 60, lambda: f"all have ended: {project.status()}")
    expect(worker.stop() == 0, worker.log_tail())
    journal = project.journal()
    expect(len(journal) == len(sent), f"{len(journal)} runs of {len(sent)} messages")
    expect(all(line["attempt"] == 1 for line in journal), "attempts were burnt")


main(nothing_new_is_begun)
