#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named
# seconds: 900
# runs: alone
"""A million delayed messages (RabbitMQ: half of it) cost a worker nothing, as test_backlog.py shows with fewer."""

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.backlog import backlog_costs_nothing  # noqa: E402
from bidetest.harness import main  # noqa: E402

MESSAGES = {"sqlite": 1_000_000, "rabbitmq": 500_000, "redis": 1_000_000}


def million(project):
    backlog_costs_nothing(project, MESSAGES[project.broker])


main(million)
