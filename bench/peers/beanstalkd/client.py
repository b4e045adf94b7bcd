"""client.py work PORT OUT | client.py send PORT MESSAGES RATE DELAY_MS: beanstalkd's protocol by hand.

Debian has no client of it; this is about the least one can do: puts and answers pipelined in hundreds, one connection that
reserves and deletes. Delays are whole seconds, as the protocol has them."""

import json
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from counting import Counter  # noqa: E402

BODY = "x" * 256
PIPELINED = 100


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection.makefile("rwb")


def put(delay_ms):
    due_ms = time.time() * 1000 + delay_ms if delay_ms else 0
    body = json.dumps({"body": BODY, "due_ms": due_ms}).encode()
    return b"put 1 %d 60 %d\r\n%s\r\n" % (delay_ms // 1000, len(body), body)


def put_many(stream, n, delay_ms):
    stream.write(b"".join(put(delay_ms) for _ in range(n)))
    stream.flush()
    for _ in range(n):
        if not stream.readline().startswith(b"INSERTED"):
            sys.exit("beanstalkd refused a job")


def send(port, messages, rate, delay_ms):
    stream, sent, started = connect(port), 0, time.monotonic()
    while sent < messages:
        wanted = int((time.monotonic() - started) * rate) + 1 if rate else messages
        n = min(wanted, messages, sent + PIPELINED) - sent
        if n > 0:
            put_many(stream, n, delay_ms)
            sent += n
        else:
            time.sleep(0.001)
    print(time.monotonic() - started)


def work(port, out):
    stream, counter = connect(port), Counter(lambda: out)
    stream.write(b"reserve\r\n")
    while True:
        stream.flush()
        _, number, size = stream.readline().split()
        counter.ran(json.loads(stream.read(int(size) + 2)[:-2])["due_ms"])
        stream.write(b"delete %s\r\n" % number)
        stream.flush()
        if stream.readline() != b"DELETED\r\n":
            sys.exit("beanstalkd did not delete a job")
        stream.write(b"reserve\r\n")


if sys.argv[1] == "work":
    work(int(sys.argv[2]), sys.argv[3])
else:
    send(*map(int, sys.argv[2:]))
