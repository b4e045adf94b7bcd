#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named
# seconds: 400
"""20 000 transactions of an application, a fifth of them rolled back, while relays are killed at random: what ran is what was
committed. Twice ran at most what a killed relay had in hand (500 for each kill), and with `once` nothing.

BIDE_ORDERS: how many transactions (20000)."""

import os
import random
import signal
import sys
import threading
import time
from collections import Counter

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.outbox import Shop  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

ORDERS, IN_HAND = int(os.environ.get("BIDE_ORDERS", 20000)), 500


def sell(shop, ended):
    for number in range(ORDERS):
        shop.order(number, commits=number % 5 != 0)
        if number % 100 == 0:
            time.sleep(0.02)
    ended.set()


def kill_relays(project, shop, worker, ended):
    """A relay beside the workers and one by itself: kills one of them again and again. Returns how often."""
    dice, kills, lonely = random.Random(18), 0, shop.relay("--to", project.url)
    while not ended.wait(dice.uniform(0.05, 0.6)):
        pids = worker.named("bide-relay")
        if dice.random() < 0.5 and pids:
            os.kill(pids[0], signal.SIGKILL)
        else:
            lonely.kill()
            lonely = shop.relay("--to", project.url)
        kills += 1
    return kills, lonely


def what_ran(project, most_twice, **options):
    store = {"store": "sqlite:store.db"} if project.broker == "rabbitmq" else {}
    shop, ended = Shop(project), threading.Event()
    project.configure([project.journal_handler(**options)], relays=[{"from": shop.url, "to": project.url}], **store)
    worker, thread = project.worker(), threading.Thread(target=sell, args=(shop, ended))
    thread.start()
    kills, lonely = kill_relays(project, shop, worker, ended)
    thread.join()
    expect(kills > 5, f"only {kills} kills")
    wait_until(lambda: shop.waiting() == 0 and project.left() == 0, 120, lambda: f"{shop.waiting()} wait; {project.status()}; {worker.log_tail()}")
    runs = Counter(line["id"] for line in project.journal())
    twice = sum(runs.values()) - len(runs)
    expect(set(runs) == shop.committed(), f"{len(runs)} ran, {len(shop.committed())} were committed")
    expect(len(runs) == ORDERS - ORDERS // 5, f"{len(runs)} ran")
    expect(twice <= most_twice(kills), f"{twice} ran twice after {kills} kills")
    print(f"{len(runs)} ran, {twice} of them twice, {kills} kills")
    expect(lonely.stop() == 0 and worker.stop() == 0, worker.log_tail())
    shop.close()


def what_was_committed(project):
    what_ran(project, lambda kills: kills * IN_HAND)


def with_once(project):
    what_ran(project, lambda kills: 0, once="1h")


main(what_was_committed, with_once)
