#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 200
"""A webhook's target is down, and the broker is, for a while (test_downstream_long.py: for 30 s)."""

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest import downstream  # noqa: E402
from bidetest.harness import main  # noqa: E402

OUTAGE_S = 6


def webhook_is_down(project):
    downstream.webhook_is_down(project, OUTAGE_S)


def broker_is_down(project):
    downstream.broker_is_down(project, OUTAGE_S)


main(webhook_is_down, broker_is_down)
