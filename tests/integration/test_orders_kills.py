#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named
# seconds: 900
"""examples/orders with thousands of orders: a hundred kills of workers, relays, programs and whoever takes the orders, and with a broker
that is a server, the connections of all are cut again and again.

BIDE_ORDERS, BIDE_KILLS: how many (3000, 100)."""

import os
import random
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import main  # noqa: E402
from bidetest.orders import orders_come_through  # noqa: E402
from bidetest.proxy import Proxy  # noqa: E402

ORDERS, KILLS = int(os.environ.get("BIDE_ORDERS", 3000)), int(os.environ.get("BIDE_KILLS", 100))


def everything_is_killed(project):
    if project.broker == "sqlite":
        orders_come_through(project, ORDERS, KILLS, project.url, 800)
        return
    host = project.url.split("://", 1)[1].rsplit("@", 1)[-1].split("/", 1)[0]
    with Proxy(int(host.rsplit(":", 1)[1])) as proxy:
        dice, cut_s = random.Random(18), [0.0]

        def cut_now_and_then():  # once the workers have been started: before, the command checks the broker
            if (project.dir / "run.log").exists() and time.monotonic() > cut_s[0]:
                proxy.cut()
                cut_s[0] = time.monotonic() + dice.uniform(0.2, 3)
        orders_come_through(project, ORDERS, KILLS, project.url.replace(host, f"127.0.0.1:{proxy.port}"), 800, cut_now_and_then)


main(everything_is_killed)
