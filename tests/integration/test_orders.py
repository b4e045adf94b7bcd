#!/usr/bin/python3
# brokers: rabbitmq
# seconds: 120
"""examples/orders: three databases end with the same sums, although processes are killed. Thousands of orders, and connections that
are cut: test_orders_kills.py, by name."""

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import main  # noqa: E402
from bidetest.orders import orders_come_through  # noqa: E402


def by_its_one_command(project):
    orders_come_through(project, 150, 6, project.url, 110)


main(by_its_one_command)
