#!/usr/bin/python3
# brokers: rabbitmq
# needs: named
# seconds: 1500
"""A single RabbitMQ node with the broker's own settings is restarted under a mixed backlog, stopped and killed. What fell due meanwhile
may wait for dead_letter_worker_publisher_confirm_timeout, three minutes by default, at most two of them: nothing is lost, nothing is
early. On RabbitMQ 3.x a change of policy releases it at once (docs/rabbitmq.md)."""

import random
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest import ledger  # noqa: E402
from bidetest.faults import PREFETCH, THREADS, configure, reaches, where_it_hangs  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.rabbitmq import Server  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

COUNT, RESTARTS = 20000, 3
LATEST_S = 40
WAIT_S = 2 * 180  # what was refused just behind the timer's beginning waits for its second round
LANDING = 4000    # nearly due, in hand or on a hop when the broker goes: may run twice
SOON_S = 30       # behind a restart, with the policy
NUDGE = ("bide-nudge", r"^[^.]+\.hold\.", '{"max-length":1000000000}', "--priority", "-1", "--apply-to", "queues")


def mix():
    draw = random.Random(13)
    for number in range(COUNT):
        row = {"type": "probe", "id": f"r{number:06d}", "body": {}}
        if number % 10:
            row["delay"] = f"{draw.randrange(200, LATEST_S * 1000)}ms"
        yield row


def restart(server, number):
    server.kill_node() if number % 2 else server.stop_node()
    server.start_node()


def late_s(project):
    return sorted(line["lateness_us"] / 1e6 for line in project.journal())


def run(project, server, released):
    """Returns how late each run began, sorted, and how long the longest outage was."""
    configure(project, server.urls[0])
    worker = project.worker()
    sent = project.send(mix())
    outage_s = 0
    for number in range(RESTARTS):
        reaches(project, worker, COUNT * (number + 1) // 5, 120 + WAIT_S)
        began = time.monotonic()
        restart(server, number)
        outage_s = max(outage_s, time.monotonic() - began)
        released()
    wait_until(lambda: project.all_ended(sent), 120 + WAIT_S, lambda: f"all has ended: {where_it_hangs(project, sent)}")
    expect(worker.stop() == 0, f"the worker ended with {worker.process.returncode}: {worker.log_tail()}")
    books = ledger.close(sent, project.journal(), project.dead())
    expect(books.balanced() and not books.dead, f"lost: {books}")
    expect(books.duplicate_ends() <= RESTARTS * (PREFETCH + THREADS + LANDING), f"duplicates: {books}")
    late = late_s(project)
    expect(late[0] >= 0, f"early: {late[:3]}")
    shares = ", ".join(f"p{share * 100:g} {ledger.percentile(late, share):.1f}" for share in (0.5, 0.9, 0.99, 1))
    print(f"outage {outage_s:.1f} s; late, in s: {shares}; {sum(value > outage_s + SOON_S for value in late)} of {len(late)} by more "
          f"than the outage and {SOON_S} s; {books}")
    return late, outage_s


def own_settings():
    """The suites' servers have a setting for this; here it is as the broker has it."""
    server = Server()
    server.begin()
    (server.dir / "advanced.config").write_text("[{rabbit, [{file_handles_high_watermark, 1000000}]}].\n")
    server.stop_node()
    server.start_node()
    said = server.ctl("eval", "application:get_env(rabbit, dead_letter_worker_publisher_confirm_timeout).")
    expect("180000" in said, f"not the default: {said}")
    return server


def as_the_broker_is(project):
    server = own_settings()
    try:
        late, outage_s = run(project, server, lambda: None)
        expect(late[-1] <= WAIT_S + outage_s + SOON_S, f"{late[-1]:.0f} s late, with an outage of {outage_s:.0f} s")
    finally:
        server.__exit__()


def released_by_a_policy(project):
    server = own_settings()

    def release():
        server.ctl("set_policy", *NUDGE)
        server.ctl("clear_policy", NUDGE[0])

    try:
        if int(server.ctl("version").split(".")[0]) >= 4:
            print("not here: a policy does not help where the next queue refuses, as on 4.3")
            return
        late, outage_s = run(project, server, release)
        expect(late[-1] <= RESTARTS * (outage_s + SOON_S), f"{late[-1]:.0f} s late, with an outage of {outage_s:.0f} s")
    finally:
        server.__exit__()


main(as_the_broker_is, released_by_a_policy)
