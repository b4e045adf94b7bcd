#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named
# seconds: 400
"""A webhook's target is down, and the broker is, for half a minute."""

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest import downstream  # noqa: E402
from bidetest.harness import main  # noqa: E402

OUTAGE_S = 30


def webhook_is_down(project):
    downstream.webhook_is_down(project, OUTAGE_S)


def broker_is_down(project):
    downstream.broker_is_down(project, OUTAGE_S)


main(webhook_is_down, broker_is_down)
