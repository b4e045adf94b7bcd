#!/usr/bin/python3
# brokers: rabbitmq
# seconds: 150
"""What RabbitMQ does that the adapter is built on (tests/facts/), seen without it: each reason stays visible."""

import re
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.process import die_with_parent  # noqa: E402
from bidetest.project import BUILD  # noqa: E402
from bidetest.rabbitmq import Server  # noqa: E402


USER = """rabbit_auth_backend_internal:add_user(<<"{0}">>, <<"secret">>, <<"test">>),
rabbit_auth_backend_internal:set_permissions(<<"{0}">>, <<"/">>, <<"^$">>, <<"^$">>, <<"{1}">>, <<"test">>)"""
PREPARE = ", ".join(("application:set_env(rabbit, consumer_timeout, 2000)",
                     "application:set_env(rabbit, channel_tick_interval, 500)",
                     USER.format("stranger", "^$"), USER.format("reader", ".*"))) + "."


def facts_hold(project):
    """On a server of its own: it does not wait long for a consumer (BARE_TIMEOUT_MS), and has users without rights."""
    with Server() as server:
        server.ctl("eval", PREPARE)
        urls = [server.urls[0].replace("guest:guest", user) for user in ("guest:guest", "stranger:secret", "reader:secret")]
        done = subprocess.run([str(BUILD / "tests" / "rabbitmq_facts"), *urls], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=300, preexec_fn=die_with_parent)
    print(done.stdout)
    expect(done.returncode == 0, f"exit {done.returncode}")
    expect(re.search(r"Running [1-9]\d* test", done.stdout), "it ran no test")


main(facts_hold)
