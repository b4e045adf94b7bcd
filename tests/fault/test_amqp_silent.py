#!/usr/bin/python3
# brokers: rabbitmq
# needs: named
# seconds: 120
"""Connected and not consuming: heartbeats come, deliveries do not. The worker notices that its queue has messages which
do not reach it, and connects anew."""

import sys
import time
from urllib.parse import urlsplit

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.proxy import Proxy  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

MESSAGES, NOTICED_S = 200, 60
FRAME_HEAD, METHOD, CONTENT = 7, 1, (2, 3)
DELIVER = (60).to_bytes(2, "big") * 2  # class and method of basic.deliver


class SwallowingProxy(Proxy):
    """One that can keep the deliveries, and nothing else, from the connections there are at that moment."""

    def __init__(self, target):
        super().__init__(target)
        self.deaf = []
        self.swallowed = 0

    def deafen(self):
        with self.lock:
            self.deaf = list(self.sockets)

    def pump(self, source, to):
        if source.getpeername()[1] != self.target:
            super().pump(source, to)
            return
        rest = b""
        try:
            while data := source.recv(65536):
                frames, rest = self.split(rest + data)
                to.sendall(b"".join(frame for frame in frames if not self.swallows(frame, to)))
        except OSError:
            pass
        self.cut_pair(source, to)

    @staticmethod
    def cut_pair(source, to):
        for end in (source, to):
            end.close()

    @staticmethod
    def split(data):
        frames = []
        while len(data) >= FRAME_HEAD:
            size = FRAME_HEAD + int.from_bytes(data[3:FRAME_HEAD], "big") + 1
            if len(data) < size:
                break
            frames.append(data[:size])
            data = data[size:]
        return frames, data

    def swallows(self, frame, to):
        if to not in self.deaf:
            return False
        is_delivery = frame[0] in CONTENT or (frame[0] == METHOD and frame[FRAME_HEAD:FRAME_HEAD + 4] == DELIVER)
        self.swallowed += is_delivery
        return is_delivery


def begin(project, proxy):
    project.url = f"amqp://guest:guest@127.0.0.1:{proxy.port}?heartbeat=4"
    project.configure(threads=2, worker={"prefetch": 8})
    worker = project.worker()
    project.send([{"type": "probe", "id": "first"}])
    wait_until(lambda: project.journal_count() == 1, 60, worker.log_tail)
    return worker


def deliveries_are_swallowed(project):
    with SwallowingProxy(urlsplit(project.url).port) as proxy:
        worker = begin(project, proxy)
        proxy.deafen()
        sent, since = project.send({"type": "probe", "id": f"s{n}"} for n in range(MESSAGES)), time.monotonic()
        wait_until(lambda: proxy.swallowed > 0, 60, "something was swallowed")
        expect(project.journal_count() == 1, "the proxy lets deliveries pass")
        wait_until(lambda: project.journal_count() == MESSAGES + 1, NOTICED_S, worker.log_tail)
        print(f"noticed, and all {MESSAGES} run, after {time.monotonic() - since:.1f} s")
        expect({line["id"] for line in project.journal()} == {"first", *sent}, "others ran")
        expect("none arrives: connecting again" in worker.log_text(), worker.log_tail())
        expect(worker.stop() == 0, worker.log_tail())


main(deliveries_are_swallowed)
