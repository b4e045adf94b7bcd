#!/usr/bin/python3
# brokers: rabbitmq
# needs: named
# seconds: 300
"""The broker goes and comes, connections are cut or die in silence, an operator does what operators do: nothing is
lost, duplicates are only what was unacknowledged, and work goes on by itself within 10 s of the broker being back."""

import re
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest import faults  # noqa: E402
from bidetest.faults import PREFETCH, THREADS, configure, goes_on, reaches  # noqa: E402
from bidetest.foreign import Foreign  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.proxy import Proxy  # noqa: E402
from bidetest.rabbitmq import Server  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

SERVER = Server()  # of this file alone: it is stopped, alarmed and cut off
BACK_S = 10
LANDING = 200  # at most so many of the delayed wait with a worker for their last two seconds


def mix(count):
    return faults.mix(count, latest_ms=8000)


def close_books(project, worker, sent, disturbances):
    faults.close_books(project, [worker], sent, disturbances * (PREFETCH + THREADS + LANDING))


def three_restarts(project):
    configure(project, SERVER.urls[0])
    sent = project.send(mix(20000))
    worker = project.worker()
    for restart in range(1, 4):
        reaches(project, worker, 4000 * restart)
        SERVER.stop_node()
        SERVER.start_node()
        goes_on(project, worker, f"restart {restart}")
    close_books(project, worker, sent, 3)


def proxied(proxy, options=""):
    return f"amqp://guest:guest@127.0.0.1:{proxy.port}{options}"


def connection_cut(project):
    with Proxy(SERVER.port()) as proxy:
        configure(project, proxied(proxy))
        sent = project.send(mix(6000))
        worker = project.worker()
        for cut in range(1, 4):
            reaches(project, worker, 1200 * cut)
            proxy.cut()
            goes_on(project, worker, f"cut {cut}")
        close_books(project, worker, sent, 3)


def connection_frozen(project):
    """Half-open: no end, no answer. The heartbeat finds it; what was handed out is run again by whoever is there."""
    with Proxy(SERVER.port()) as proxy:
        configure(project, proxied(proxy, "?heartbeat=2&connect_timeout=2"))
        sent = project.send(mix(6000))
        worker = project.worker()
        reaches(project, worker, 2000)
        proxy.freeze()
        wait_until(lambda: re.search("heartbeat[^=]|no answer", worker.log_text()), 60,
                   lambda: f"the worker notices: {worker.log_tail()}")
        proxy.resume()
        goes_on(project, worker, "freeze")
        close_books(project, worker, sent, 1)


def restart_while_sending(project):
    """What a sender was told is sent is sent, whatever became of the rest; it may be told to try again."""
    configure(project, SERVER.urls[0])
    worker = project.worker()
    sender = project.sender()
    rows = list(mix(6000))
    text = "".join('{"type":"probe","id":"%s","body":{"sleep_ms":1}}\n' % row["id"] for row in rows).encode()
    half = text.index(b'"f003000"') - len(b'{"type":"probe","id":')
    sender.stdin.write(text[:half])
    sender.stdin.flush()
    reaches(project, worker, 1000)
    SERVER.stop_node()
    try:
        sender.stdin.write(text[half:])
        sender.stdin.close()
    except BrokenPipeError:
        pass  # it gave up; its exit code says so
    SERVER.start_node()
    code = sender.wait(60)
    confirmed = (project.dir / "send.out").read_text().split()
    print(f"the sender: exit {code}, {len(confirmed)} confirmed; {(project.dir / 'send.log').read_text()[-300:]}")
    expect(code in (0, 69) and (code == 69 or len(confirmed) == len(rows)), f"exit {code}, {len(confirmed)} confirmed")
    wait_until(lambda: project.left() == 0, 60, lambda: f"everything has ended: {project.status()}")
    expect(worker.stop() == 0, worker.log_tail())
    ran = {line["id"] for line in project.journal()}
    expect(not set(confirmed) - ran, f"{len(set(confirmed) - ran)} confirmed and lost: {sorted(set(confirmed) - ran)[:5]}")
    expect(not ran - {row["id"] for row in rows}, "ids nobody sent")


def queue_deleted_under_a_consumer(project):
    """Empty when it goes: what lay in it would go with it. It comes back, is consumed, and delays end there too."""
    configure(project, SERVER.urls[0])
    worker = project.worker()
    project.send([{"type": "probe", "id": "before"}])
    reaches(project, worker, 1)
    wait_until(lambda: project.left() == 0, 60, "acknowledged")
    for round_, queue in enumerate(("default", "default.landing"), 1):
        with Foreign(project) as foreign:
            foreign.delete_queue(queue)
            wait_until(lambda: foreign.depth(queue) is not None, BACK_S, lambda: f"{queue} is back: {worker.log_tail()}")
        rows = [{"type": "probe", "id": f"after{round_}-{n}", **({"delay": "300ms"} if n % 2 else {})} for n in range(20)]
        project.send(rows)
        reaches(project, worker, 1 + 20 * round_, BACK_S)
    ids = [line["id"] for line in project.journal()]
    expect(len(ids) == len(set(ids)) == 41 and worker.stop() == 0, f"{sorted(ids)}")


def memory_alarm(project):
    """Sending waits or fails clearly; what is queued is worked off; what must be published again waits, and comes."""
    configure(project, SERVER.urls[0])
    sent = project.send({"type": "probe", "id": f"a{n:04d}", "body": {"sleep_ms": 2} if n % 200 else {"fail": 1}}
                        for n in range(2000))  # fewer that fail than are taken at once: those wait in the worker
    worker = project.worker()
    reaches(project, worker, 200)
    SERVER.ctl("set_vm_memory_high_watermark", "0.0000001")
    try:
        done = project.bide("send", "probe", "{}", "--id", "refused", expect=69, seconds=120)
        print(f"while the alarm is on: {done.stderr.strip()}")
        expect(re.search("alarm|memory", done.stderr), f"{done.stderr}")
        wait_until(lambda: sum(line["outcome"] == "done" for line in project.journal()) >= 1990, 60,
                   lambda: f"consuming goes on: {project.journal_count()}: {worker.log_tail()}")
        expect(worker.running(), worker.log_tail())
    finally:
        SERVER.ctl("set_vm_memory_high_watermark", "0.6")
    project.send([{"type": "probe", "id": "afterwards"}])
    wait_until(lambda: any(line["id"] == "afterwards" for line in project.journal()), BACK_S, worker.log_tail)
    close_books(project, worker, [*sent, "afterwards", *ran_all_the_same(project)], 0)


def ran_all_the_same(project):
    """A message whose sender was told "not confirmed" may have been stored: that is no stranger."""
    return {line["id"] for line in project.journal()} & {"refused"}


def connections():
    """The workers' connections as the broker knows them: a new one has another pid."""
    rows = SERVER.ctl("list_connections", "pid", "client_properties").splitlines()
    return sorted(row.split("\t")[0] for row in rows if "bide worker" in row)


def handler_longer_than_the_heartbeat(project):
    """Four of them, one for each thread: heartbeats go on although no thread is free."""
    configure(project, SERVER.urls[0] + "?heartbeat=2")
    worker = project.worker()
    project.send({"type": "probe", "id": f"slow{n}", "body": {"sleep_ms": 8000}} for n in range(THREADS))
    wait_until(lambda: project.queue("default")["ready"] == 0, 60, "all are taken")
    before = wait_until(connections, 60, "the worker's connections are listed")
    reaches(project, worker, THREADS, 20)
    expect(connections() == before, f"a connection was replaced: {before} became {connections()}")
    wait_until(lambda: project.left() == 0, 60, "acknowledged")
    expect(worker.stop() == 0, worker.log_tail())
    runs = sorted((line["id"], line["attempt"], line["outcome"]) for line in project.journal())
    expect(runs == [(f"slow{n}", 1, "done") for n in range(THREADS)], f"{runs}")


with SERVER:
    main(three_restarts, connection_cut, connection_frozen, restart_while_sending, queue_deleted_under_a_consumer,
         memory_alarm, handler_longer_than_the_heartbeat)
