"""The Celery application: as its optimizing guide has it for many short tasks, acknowledged late as bide does.

BENCH_URL: the broker; BENCH_OUT: where each pool process writes what it ran."""

import json
import os
import threading
import time

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_URL"])
app.conf.update(
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=128,
    worker_send_task_events=False,
    task_send_sent_event=False,
    task_default_delivery_mode="persistent",
    worker_disable_rate_limits=True,
    broker_pool_limit=1,
    worker_hijack_root_logger=False,
)
if os.environ["BENCH_URL"].startswith("amqp"):
    app.conf.broker_transport_options = {"confirm_publish": True}

seen = {"runs": 0, "first_us": 0, "last_us": 0, "late_ms": []}


def write_now_and_then():
    out, written = f"{os.environ['BENCH_OUT']}-{os.getpid()}", -1
    while True:
        if seen["runs"] != written:
            written = seen["runs"]
            with open(out + ".new", "w") as file:
                json.dump({**seen, "late_ms": list(seen["late_ms"])}, file)
            os.replace(out + ".new", out)
        time.sleep(0.1)


@app.task
def noop(body, due_ms=0):
    now_us = time.time_ns() // 1000
    if seen["runs"] == 0:
        seen["first_us"] = now_us
        threading.Thread(target=write_now_and_then, daemon=True).start()
    seen["runs"] += 1
    seen["last_us"] = now_us
    if due_ms:
        seen["late_ms"].append(now_us / 1000 - due_ms)
