"""A program for the tests, on the Python SDK: does what a JSON body tells it, and writes a line for each run it ends well."""

import json
import os
import sys
import time

sys.path.insert(0, os.environ["BIDE_SDK"])
import bide  # noqa: E402


def write(message, outcome):
    line = {"id": message.id, "type": message.type, "attempt": message.attempt, "pid": os.getpid(),
            "worker_pid": os.getppid(), "outcome": outcome,
            "started_us": time.time_ns() // 1000, "due_ms": message.due_ms, "sent_ms": message.sent_ms}
    with open("journal.ndjson", "a", encoding="utf-8") as journal:
        os.write(journal.fileno(), (json.dumps(line) + "\n").encode())


def obey(message):
    if "TASKS_NOTE_STARTS" in os.environ:
        write(message, "start")
    orders = json.loads(message.body or b"{}")
    if message.attempt <= orders.get("fail", 0):
        raise ValueError(f"attempt {message.attempt} of {orders['fail']} that fail")
    if orders.get("dead"):
        raise bide.Dead("hopeless")
    if "exit" in orders and message.attempt <= orders["exit"]:
        print("about to leave", file=sys.stderr, flush=True)
        os._exit(3)
    if "hang" in orders and message.attempt <= orders["hang"]:
        time.sleep(3600)
    if orders.get("wait"):
        while not message.cancelled:
            time.sleep(0.01)
        raise bide.Retry("cancelled in time")
    for follow in orders.get("send", ()):
        bide.send(**follow)
    if "say" in orders:
        print(orders["say"], flush=True)
        bide.log("info", orders["say"], n=7)
    time.sleep(orders.get("sleep_ms", 0) / 1000)
    write(message, "done")
    return orders.get("result")


@bide.handler("task")
def task(message):
    return obey(message)


@bide.handler("other")
def other(message):
    return obey(message)


bide.serve()
