#!/usr/bin/python3
# brokers: sqlite
# seconds: 120
"""What `bide check` says is what `bide worker` does: of each configuration here, both think the same."""

import socket
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.plugins import build_plugin  # noqa: E402

CRASHES = """
#include <bide/handler.h>
#include <stdlib.h>
static bide_code open_it(const bide_settings *settings, void **state, bide_error *error)
{ (void)settings; (void)state; (void)error; abort(); }
static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{ (void)state; (void)message; (void)context; return BIDE_DONE; }
const bide_plugin_descriptor bide_plugin = {
    BIDE_PLUGIN_HEAD, .name = "crashes", .version = "1", .summary = "x", .open = open_it, .handle = handle};
"""


def agree(project, name, wanted, *words, env=None, **settings):
    """`check` and `worker` both end with one of the codes wanted, and both say these words."""
    project.configure(**settings)
    done = {
        command[0]: project.bide(*command, expect=None, seconds=120, env=env)
        for command in (("check",), ("worker", "--no-wait", "--exit-idle", "300ms"))
    }
    for command, end in done.items():
        said = end.stdout + end.stderr
        expect(end.returncode in wanted, f"{name}: {command} ended with {end.returncode}, not {wanted}: {said[-1500:]}")
        for word in words:
            expect(word in said, f"{name}: {command} does not say '{word}': {said[-1500:]}")


def hook(**settings):
    return {"type": "hook", "plugin": "webhook", "settings": {"url": "http://127.0.0.1:1/", **settings}}


def both_refuse(project):
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    probe = project.probe

    def broken(name, *words, codes=(78,), **settings):
        agree(project, name, codes, *words, **settings)

    broken("no such key", "wroker", wroker={"threads": 4})
    broken("no such plugin", "nothere", handlers=[probe(plugin="nothere")])
    broken("no such setting", "pth", handlers=[probe(settings={"path": "j", "pth": "x"})])
    broken("setting of another kind", "path", handlers=[probe(settings={"path": 5})])
    broken("missing setting", "path", handlers=[probe(plugin="journal", settings={})])
    broken("journal in no folder", "/nonexistent/j", handlers=[probe(plugin="journal", settings={"path": "/nonexistent/j"})])
    broken("no such program", "nosuchprogram",
           handlers=[{"type": "run", "plugin": "command", "settings": {"program": "/nosuchprogram"}}])
    broken("webhook without a scheme", "url", handlers=[{"type": "hook", "plugin": "webhook", "settings": {"url": "x"}}])
    broken("unset secret", "BIDE_TEST_UNSET", handlers=[hook(secret="${BIDE_TEST_UNSET}")])
    broken("unset in a list", "BIDE_TEST_UNSET",
           handlers=[{"type": "run", "plugin": "command", "settings": {"program": "sh", "args": ["${BIDE_TEST_UNSET}"]}}])
    broken("unset in plugin_dir", "BIDE_TEST_UNSET", plugin_dir="${BIDE_TEST_UNSET}")
    broken("unset token", "BIDE_TEST_UNSET", http={"listen": f"127.0.0.1:{port}", "token": "${BIDE_TEST_UNSET}"})
    broken("port in use", str(port), http={"listen": f"127.0.0.1:{port}"})
    broken("no such port", "99999", http={"listen": "127.0.0.1:99999"})
    broken("an address of nobody's", "192.0.2.1", http={"listen": "192.0.2.1:80", "token": "0123456789abcdef"})
    broken("open to others without a token", "token", http={"listen": "0.0.0.0:0"})
    broken("no such plugin folder", "/nonexistent", plugin_dir="/nonexistent")
    broken("queue that is not listed", "other", handlers=[probe(queue="other")], queues=[{"name": "mine"}])
    broken("limits without a process", "isolation", handlers=[probe(limits={"files": 20})])
    broken("two queue types", "remove one of them", broker="amqp://127.0.0.1:1/?queue_type=classic", queue_type="quorum")
    broken("no such queue type", "queue_type=quorum", broker="amqp://127.0.0.1:1/?queue_type=clasic")
    broken("database in no folder", "/nonexistent", broker="sqlite:/nonexistent/x.db", codes=(69, 78))
    taken.close()


def both_accept(project):
    project.configure()
    (project.dir / "bide.env").write_text("BIDE_TEST_LATER=a secret\n")
    agree(project, "a secret from bide.env", (0,), handlers=[hook(secret="${BIDE_TEST_LATER}")])
    agree(project, "a free port", (0,), http={"listen": "127.0.0.1:0"})
    agree(project, "a shell's own variable", (0,),
          handlers=[{"type": "run", "plugin": "command", "settings": {"program": "sh", "args": ["-c", "echo $${BIDE_ID}"]}}])
    agree(project, "a secret from the environment", (0,), handlers=[hook(secret="${BIDE_TEST_NOW}")], env={"BIDE_TEST_NOW": "x"})


def a_plugin_that_crashes(project):
    """It is named, and `check` goes on to what follows."""
    plugins = project.dir / "plugins"
    plugins.mkdir(mode=0o755)
    build_plugin(CRASHES, plugins / "crashes.so")
    project.configure(handlers=[project.probe(plugin="crashes", settings={})], plugin_dir=str(plugins))
    said = project.bide("check", expect=78).stdout
    expect("crashed while it was opened" in said and "broker" in said, said)


def short_patience(project):
    project.configure(handlers=[project.probe(retry={"attempts": 5, "base": "1s"})])
    said = project.bide("check").stdout
    expect("give up after 15s" in said and "warning" in said, said)
    project.configure(handlers=[project.probe(retry={"attempts": 25})])
    expect("warning" not in project.bide("check").stdout, "the default policy is warned of")


main(both_refuse, both_accept, a_plugin_that_crashes, short_patience)
