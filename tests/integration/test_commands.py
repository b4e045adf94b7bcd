#!/usr/bin/python3
# brokers: sqlite
# seconds: 60
"""The commands as people type them: help, which broker is meant, progress on a terminal, JSON that is one; and what a
plugin may ask of its worker."""

import json
import os
import pty
import re
import select
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.plugins import build_plugin  # noqa: E402
from bidetest.project import BUILD  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

USAGE = 64


def help_everywhere(project):
    """`bide --help` lists them, each has its own, and the first words of two have one too."""
    names = re.findall(r"^  ([a-z]+(?: [a-z]+)?) {2,}\S", project.bide("--help").stdout.split("Options of every")[0], re.M)
    wanted = {"worker", "send", "status", "dead list", "dead show", "dead retry", "dead drop", "check", "explain",
              "handlers", "handlers new", "dev", "move", "pause", "resume", "tail", "bench throughput", "bench delay"}
    expect(wanted <= set(names), f"{wanted - set(names)}")
    for name in names:
        for option in ("--help", "-h"):
            said = project.bide(*name.split(), option).stdout
            expect(said.startswith(f"Usage: bide {name} ") and "--broker URL" in said, f"{name} {option}: {said}")
    for group in ("dead", "bench"):
        said = project.bide(group, "--help").stdout
        missing = [name for name in names if name.startswith(group + " ") and f"  {name} " not in said]
        expect(not missing, f"`bide {group} --help` has no {missing}")
        expect(project.bide("help", group).stdout == said, f"`bide help {group}` says something else")
        project.bide(group, expect=USAGE)
    expect(project.bide("help").stdout == project.bide("--help").stdout, "`bide help`")
    expect(project.bide("help", "dead", "list").stdout == project.bide("dead", "list", "--help").stdout, "`bide help dead list`")
    expect("did you mean 'send'" in project.bide("help", "sent", expect=USAGE).stderr, "`bide help sent`")
    expect(re.match(r"bide \d+\.\d+\.\d+ ", project.bide("--version").stdout), "no version")


def which_broker(project):
    """The option wins over the environment, that over the file; the file's own path starts at the file's folder."""
    project.configure()
    elsewhere = project.dir / "elsewhere"
    elsewhere.mkdir()

    def send(*arguments, **environment):
        before = set(project.dir.rglob("*.db"))
        done = subprocess.run([str(BUILD / "bide"), "send", "probe", "-c", "../bide.conf", *arguments], cwd=elsewhere,
                              env={**os.environ, **environment}, capture_output=True, text=True, timeout=120)
        expect(done.returncode == 0, done.stderr)
        return {str(path.relative_to(project.dir)) for path in set(project.dir.rglob("*.db")) - before}

    expect(send() == {"bide.db"}, "the file's own")
    expect(send(BIDE_BROKER="sqlite:environment.db") == {"elsewhere/environment.db"}, "the environment's")
    expect(send("--broker", "sqlite:option.db", BIDE_BROKER="sqlite:unused.db") == {"elsewhere/option.db"}, "the option's")


def json_everywhere(project):
    """Each line of a list is a document, everything else is one; nothing but it goes to standard output."""
    project.configure()
    for *command, lines in (("status", 1), ("check", None), ("explain", "--delay", "1h", 1), ("handlers", 4),
                            ("send", "nobody", "{}", 1), ("dead", "list", 0)):
        rows = [json.loads(line) for line in project.bide(*command, "--json").stdout.splitlines()]
        expect(all(isinstance(row, dict) for row in rows), f"{command}: {rows}")
        expect(lines is None and rows or len(rows) == lines, f"{command}: {len(rows)} lines")
    plan = json.loads(project.bide("explain", "--delay", "1h", "--json").stdout)
    expect(plan["delay_ms"] == 3600_000 and sum(hop["ms"] for hop in plan["hops"]) == 3600_000, f"{plan}")
    project.bide("worker", "--exit-idle", "200ms")
    expect(json.loads(project.bide("dead", "drop", "--all", "--json").stdout) == {"dropped": 1}, "drop")


def progress_on_a_terminal(project):
    """`send --lines` says how far it is while it goes on, and at the end; on a terminal only."""
    project.configure()
    ours, theirs = pty.openpty()
    process = subprocess.Popen([str(BUILD / "bide"), "send", "--lines"], cwd=project.dir, stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    said, rows = b"", 0

    def has_progress():
        nonlocal said, rows
        process.stdin.write(b'{"type":"probe"}\n')
        process.stdin.flush()
        rows += 1
        if select.select([ours], [], [], 0)[0]:
            said += os.read(ours, 65536)
        return re.search(rb"\r\S*sent \d+, \d+/s", said)

    wait_until(has_progress, 60, lambda: f"progress: {said!r}")
    process.stdin.close()
    try:
        while data := os.read(ours, 65536):
            said += data
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    expect(process.wait(60) == 0 and said.strip().endswith(b"sent %d" % rows), f"{rows} rows: {said[-200:]!r}")
    expect(project.bide("send", "--lines", text='{"type":"probe"}\n').stderr == "", "progress where nobody looks")


PER_THREAD = """
#include <stdlib.h>
#include <unistd.h>
#include <bide/handler.h>
static int helper(void) { return %(number)d; }
struct own { int id, inside; };
static bide_code open_own(const bide_settings *settings, void **ret_state, bide_error *error)
{
    (void)settings, (void)error;
    *ret_state = calloc(1, sizeof(struct own));
    return write(2, "opened %(number)d\\n", 9) == 9 ? BIDE_OK : BIDE_E_INTERNAL;
}
static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    struct own *own = state;
    (void)message;
    if (__atomic_fetch_add(&own->inside, 1, __ATOMIC_SEQ_CST))
        return bide_dead(context, "two threads in one state");
    usleep(2000);
    __atomic_fetch_sub(&own->inside, 1, __ATOMIC_SEQ_CST);
    return helper() == %(number)d ? BIDE_DONE : bide_dead(context, "another plugin's helper");
}
static void close_own(void *state) { free(state); }
const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "own%(number)d", .version = "1", .summary = "x",
    .flags = BIDE_PLUGIN_STATE_PER_THREAD, .open = open_own, .handle = handle, .close = close_own};
"""


def a_state_for_each_thread(project):
    """Two plugins with a function of the same name, each with a state for each of four threads; one serves two types."""
    folder = project.dir / "handlers"
    folder.mkdir()
    for number in (1, 2):
        build_plugin(PER_THREAD % {"number": number}, folder / f"own{number}.so")
    rows = [{"type": kind, "plugin": plugin} for kind, plugin in (("a", "own1"), ("b", "own2"), ("c", "own1"))]
    project.configure(handlers=rows, plugin_dir=str(folder))
    project.send({"type": "abc"[number % 3]} for number in range(300))
    worker = project.worker("--exit-idle", "300ms")
    expect(worker.wait(60) == 0, worker.log_tail())
    opened = [worker.log_text().count(f"opened {number}") for number in (1, 2)]
    expect(opened == [8, 4], f"states opened by each plugin: {opened}")
    expect(not project.dead() and '"done":300' in worker.log_text(), f"{project.dead()[:3]} {worker.log_tail()}")


def a_broker_of_one_process(project):
    """What a command sends to it would be gone as it ends: refused, not confirmed."""
    project.configure()
    for command in (["send", "probe", "{}"], ["status"], ["worker", "--exit-idle", "100ms"]):
        said = project.bide("--broker", "memory:", *command, expect=78).stderr
        expect("by themselves" in said, said)


def idle_is_not_who_waits_for_a_circuit(project):
    """Fifty messages lie behind an open circuit for longer than --exit-idle: the worker stays, and does them."""
    (project.dir / "try.sh").write_text("test -e up\n")
    breaker = {"failure_rate": 0.5, "min_runs": 2, "window": "10s", "pause": "1500ms", "max_pause": "1500ms"}
    handler = {"type": "call", "plugin": "command", "settings": {"program": "/bin/sh", "args": ["try.sh"]},
               "breaker": breaker, "retry": {"attempts": 5, "backoff": "fixed", "base": "100ms"}}  # fmt: skip
    project.configure(handlers=[handler])
    sent = project.send({"type": "call", "id": f"c{number}"} for number in range(50))
    worker = project.worker("--exit-idle", "1s")  # less than the pause; more than what its end is spread by
    wait_until(lambda: "circuit opened" in worker.log_text(), 60, lambda: worker.log_tail())
    (project.dir / "up").touch()
    expect(worker.wait(60) == 0, worker.log_tail())
    expect(project.left() == 0 and f'"done":{len(sent)}' in worker.log_text(), f"{project.status()} {worker.log_tail()}")


NEVER_CLOSES = """#include <bide/handler.h>
#include <unistd.h>
static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    (void)state, (void)message, (void)context;
    return BIDE_DONE;
}
static void never(void *state)
{
    (void)state;
    for (;;)
        pause();
}
const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "never", .version = "1", .summary = "x",
    .handle = handle, .close = never};
"""


def a_plugin_that_does_not_close(project):
    folder = project.dir / "handlers"
    folder.mkdir()
    build_plugin(NEVER_CLOSES, folder / "never.so")
    project.configure(handlers=[{"type": "x", "plugin": "never"}], plugin_dir=str(folder))
    project.send([{"type": "x"}])
    worker = project.worker()
    wait_until(lambda: project.left() == 0, 60, lambda: worker.log_tail())
    expect(worker.stop() == 0, worker.log_tail())
    expect("close does not return" in worker.log_text(), worker.log_tail())


main(help_everywhere, which_broker, json_everywhere, progress_on_a_terminal, a_state_for_each_thread,
     a_broker_of_one_process, idle_is_not_who_waits_for_a_circuit, a_plugin_that_does_not_close)
