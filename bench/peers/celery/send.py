"""send.py MESSAGES RATE DELAY_MS [LONGEST_MS]: apply_async over one connection kept open. Prints the seconds it took once connected."""

import random
import sys
import time

from bench_tasks import app, noop

messages, rate, shortest_ms, longest_ms = map(int, (*sys.argv[1:], sys.argv[3])[:4])
draw, body = random.Random(1), "x" * 256


def send(producer):
    if longest_ms:
        delay_ms = draw.randint(shortest_ms, longest_ms)
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
