#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# runs: alone
# seconds: 60
"""How soon a worker consumes after its start, and how long `bide send` takes, where the topology exists.

Medians of five. BIDE_STRICT=1 holds them to what the project promises of a quiet machine; else to what a busy one keeps."""

import os
import socket
import statistics
import struct
import sys
import time
from urllib.parse import urlsplit

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

STRICT = os.environ.get("BIDE_STRICT") == "1"
WORKER_MS, SEND_MS = (150, 20) if STRICT else (400, 150)
TURNS = 5


# ---- the broker's own connection time ----


def read_frame(stream):
    kind, channel, size = struct.unpack(">BHI", stream.read(7))
    payload = stream.read(size + 1)[:size]
    return struct.unpack(">HH", payload[:4])


def write_frame(stream, channel, class_id, method, arguments):
    payload = struct.pack(">HH", class_id, method) + arguments
    stream.write(struct.pack(">BHI", 1, channel, len(payload)) + payload + b"\xce")
    stream.flush()


def login(url):
    secret = f"\0{url.username}\0{url.password}".encode()
    return struct.pack(">I", 0) + b"\x05PLAIN" + struct.pack(">I", len(secret)) + secret + b"\x05en_US"


def connect_rabbitmq(url, stream):
    stream.write(b"AMQP\0\0\x09\x01")
    stream.flush()
    expect(read_frame(stream) == (10, 10), "no connection.start")
    write_frame(stream, 0, 10, 11, login(url))
    expect(read_frame(stream) == (10, 30), "no connection.tune")
    write_frame(stream, 0, 10, 31, struct.pack(">HIH", 2047, 131072, 0))
    write_frame(stream, 0, 10, 40, b"\x01/\0\0")
    expect(read_frame(stream) == (10, 41), "no connection.open-ok")
    write_frame(stream, 1, 20, 10, b"\0")
    expect(read_frame(stream) == (20, 11), "no channel.open-ok")
    write_frame(stream, 0, 10, 50, struct.pack(">HBHH", 200, 0, 0, 0))
    expect(read_frame(stream) == (10, 51), "no connection.close-ok")


def connect_redis(url, stream):
    stream.write(b"PING\r\n")
    stream.flush()
    expect(stream.readline() == b"+PONG\r\n", "no answer to PING")


CONNECT = {"rabbitmq": connect_rabbitmq, "redis": connect_redis}


def connecting_ms(project):
    """Connecting, logging in, a channel, closing: what any program pays."""
    if project.broker not in CONNECT:
        return 0.0
    url, started = urlsplit(project.url), time.monotonic()
    with socket.create_connection((url.hostname, url.port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection.makefile("rwb") as stream:
            CONNECT[project.broker](url, stream)
    return (time.monotonic() - started) * 1000


# ---- what bide takes ----


def worker_ms(project):
    project.send([{"type": "journal"}])
    have, started = project.journal_count(), time.monotonic()
    worker = project.worker()
    while project.journal_count() == have:
        expect(time.monotonic() < started + 30, f"the worker runs nothing: {worker.log_tail()}")
        time.sleep(0.001)
    took = (time.monotonic() - started) * 1000
    expect(worker.stop() == 0, "the worker ended badly")
    return took


def send_ms(project):
    started = time.monotonic()
    project.bide("send", "journal", "{}", "--delay", "1h")
    return (time.monotonic() - started) * 1000


def of_both(project):
    project.configure(handlers=[project.journal_handler()])
    worker = project.worker()  # makes what is missing
    project.send([{"type": "journal"}])
    wait_until(lambda: project.journal_count() == 1, 60, "the worker runs")
    expect(worker.stop() == 0, "the worker ended badly")
    started, sent, connected = ([measure(project) for _ in range(TURNS)] for measure in (worker_ms, send_ms, connecting_ms))
    beyond = statistics.median(sent) - statistics.median(connected)
    print(f"worker {statistics.median(started):.0f} ms; send {statistics.median(sent):.1f} ms, "
          f"of which connecting {statistics.median(connected):.1f} ms; limits {WORKER_MS} and {SEND_MS} ms beyond it")
    expect(statistics.median(started) <= WORKER_MS, f"a worker took {started} ms to begin")
    expect(beyond <= SEND_MS, f"send took {beyond:.1f} ms beyond connecting: {sent} and {connected}")


main(of_both)
