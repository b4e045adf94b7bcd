#!/usr/bin/python3
# brokers: rabbitmq
# seconds: 60
"""What RabbitMQ does that the adapter is built on (tests/facts/), seen without it: each reason stays visible."""

import re
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.process import die_with_parent  # noqa: E402
from bidetest.project import BUILD  # noqa: E402


def facts_hold(project):
    done = subprocess.run([str(BUILD / "tests" / "rabbitmq_facts"), project.url], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=55, preexec_fn=die_with_parent)
    print(done.stdout)
    expect(done.returncode == 0, f"exit {done.returncode}")
    expect(re.search(r"Running [1-9]\d* test", done.stdout), "it ran no test")


main(facts_hold)
