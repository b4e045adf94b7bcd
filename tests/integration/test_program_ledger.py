#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named
# seconds: 900
"""Twenty thousand messages through programs in Python, with failures, exits, rejections and hangs, while processes of the programs and
worker processes are killed: each ends once, and only what ran in a dead process is blamed. test_program.py does it with fewer."""

import os
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import main  # noqa: E402
from bidetest.programs import books_are_right  # noqa: E402

MESSAGES = int(os.environ.get("BIDE_LEDGER_MESSAGES", "20000"))


def program_ledger(project):
    books_are_right(project, MESSAGES, kills=max(6, MESSAGES // 400))


main(program_ledger)
