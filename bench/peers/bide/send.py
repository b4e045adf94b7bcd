"""send.py URL SINGLE MANY: one message, so many one by one, so many in thousands. Prints the seconds of the last two."""

import sys
import time

import bide

url, single, many = sys.argv[1], *map(int, sys.argv[2:])
body = "x" * 256
with bide.Client(url, "") as client:
    client.send("noop", body)
    started = time.monotonic()
    for _ in range(single):
        client.send("noop", body)
    print(time.monotonic() - started)
    started = time.monotonic()
    for sent in range(0, many, 1000):
        client.send_many({"type": "noop", "body": body} for _ in range(min(1000, many - sent)))
    print(time.monotonic() - started)
