"""The Celery application: as its optimizing guide has it for many short tasks, acknowledged late as bide does.

BENCH_URL: the broker; BENCH_OUT: where each pool process writes what it ran."""

import os

from celery import Celery
from counting import Counter

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

counter = Counter(lambda: f"{os.environ['BENCH_OUT']}-{os.getpid()}")


@app.task
def noop(body, due_ms=0):
    counter.ran(due_ms)
