"""send.py MESSAGES RATE DELAY_MS: apply_async over one connection kept open. Prints the seconds it took once connected."""

import sys
import time

from bench_tasks import app, noop

messages, rate, delay_ms = map(int, sys.argv[1:])
body = "x" * 256


def send(producer):
    if delay_ms:
        noop.apply_async((body, time.time() * 1000 + delay_ms), countdown=delay_ms / 1000, producer=producer)
    else:
        noop.apply_async((body,), producer=producer)


with app.producer_pool.acquire(block=True) as producer:
    producer.connection.ensure_connection()
    started = time.monotonic()
    for number in range(messages):
        if rate:
            time.sleep(max(0, started + number / rate - time.monotonic()))
        send(producer)
    print(time.monotonic() - started)
