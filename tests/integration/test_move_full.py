#!/usr/bin/python3
# brokers: sqlite
# needs: named rabbitmq redis
# seconds: 1200
"""bide move: 50 000 messages round all brokers."""

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import main  # noqa: E402
from bidetest.moving import round_trip  # noqa: E402


def fifty_thousand_round_all_brokers(project):
    round_trip(project, 50000)


main(fifty_thousand_round_all_brokers)
