#!/usr/bin/python3
# brokers: sqlite redis
# seconds: 300
# runs: alone
"""Tens of thousands of delayed messages cost a worker nothing: memory, lateness and `bide status` are as without them."""

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.backlog import backlog_costs_nothing  # noqa: E402
from bidetest.harness import main  # noqa: E402

MESSAGES = {"sqlite": 50_000, "rabbitmq": 20_000, "redis": 50_000}


def backlog(project):
    backlog_costs_nothing(project, MESSAGES[project.broker])


main(backlog)
