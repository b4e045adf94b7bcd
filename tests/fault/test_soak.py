#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 300
"""Faults at random for 30 s, or BIDE_SOAK_MINUTES: workers, their processes and brokers are killed, messages are delayed,
fail, crash, hang, are replayed. Then: sent = done or dead, duplicates within what was in flight, memory flat.
BIDE_SOAK_SEED repeats a run's choices."""

import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest.harness import main  # noqa: E402
from bidetest.soak import soak  # noqa: E402

main(soak)
