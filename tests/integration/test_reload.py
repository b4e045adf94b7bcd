#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 200
"""SIGHUP: a running worker takes a new configuration or a new build of a plugin, and no message notices."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest import ledger  # noqa: E402
from bidetest.console import LocalConsole  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.plugins import build_plugin  # noqa: E402
from bidetest.project import read_lines  # noqa: E402
from bidetest.waiting import pace, wait_until  # noqa: E402

MESSAGES, PER_SECOND = 20000, 1800
ONCE = {"attempts": 1}
IN_USE, REFUSED = "new configuration in use", "new configuration refused: the old one stays in use"


class Stream:
    """Messages sent at a steady rate beside whatever the test does; their ids in `ids`."""

    def __init__(self, project, count, per_second, row):
        self.ids = [f"m{number:06d}" for number in range(count)]
        self.process = project.sender()
        self.thread = threading.Thread(target=self.feed, args=(per_second, row))
        self.thread.start()

    def feed(self, per_second, row):
        for first in pace(range(0, len(self.ids), 20), per_second / 20):
            self.process.stdin.write(b"".join(row(name) for name in self.ids[first : first + 20]))
            self.process.stdin.flush()
        self.process.stdin.close()

    def finish(self):
        self.thread.join()
        expect(self.process.wait(60) == 0, f"sending ended with {self.process.returncode}")


class Reloads:
    """SIGHUPs to a worker, and what its log says of them."""

    def __init__(self, project, worker):
        self.project, self.worker = project, worker

    def log(self, text):
        return [line for line in read_lines(self.worker.log) if line["message"] == text]

    def serving(self, number, **fields):
        """Waits until so many processes have started with these fields in the log."""
        lines = wait_until(
            lambda: (found := [line for line in self.log("worker started") if fields.items() <= line.items()])[number - 1 :]
            and found, 60, lambda: f"{number} processes with {fields}: {self.worker.log_tail()}")
        expect(len(lines) == number, f"{len(lines)} processes with {fields}, not {number}")

    def reload(self, verdict=IN_USE):
        """SIGHUP; waits for the verdict, and returns its line and the options that were named on the way."""
        before = len(self.log(verdict))
        seen = len(read_lines(self.worker.log))
        os.kill(self.worker.pid, signal.SIGHUP)
        line = wait_until(lambda: self.log(verdict)[before:], 60, lambda: f"'{verdict}': {self.worker.log_tail()}")[0]
        changes = [row for row in read_lines(self.worker.log)[seen:] if row["message"].startswith(("configuration: ", "plugin: "))]
        return line, [(row["message"].split()[1], row.get("option") or row["plugin"]) for row in changes]

    def expect_change(self, *wanted):
        line, changes = self.reload()
        expect(sorted(changes) == sorted(wanted), f"the log says {changes}, not {wanted}")
        expect(line["changes"] == len(wanted), f"{line}")


def ends(project, identity, row, outcome, seconds=60):
    """Sends one more message and waits for its end: `outcome` is a file of the journal, or a reason."""
    project.send([{"id": identity, "body": {}, **row}])

    def ended():
        if outcome.endswith(".ndjson"):
            return any(line["id"] == identity for line in project.journal(outcome))
        return any(line["id"] == identity and line["reason"] == outcome for line in project.dead())

    wait_until(ended, seconds, lambda: f"{identity} is {outcome}: {project.status()}")


class Changes:
    """A configuration that is changed step by step: settings, the handlers `probe` and `extra`."""

    def __init__(self, project, reloads):
        self.project, self.reloads = project, reloads
        self.settings = {"threads": 2, "worker": {"processes": 2}}
        self.probe, self.extra = project.probe(), project.journal_handler(type="extra")

    def make(self, *wanted, extra=False):
        """Writes it and expects that the log calls the changes so."""
        self.project.configure(handlers=[self.probe, self.extra] if extra else [self.probe], **self.settings)
        self.reloads.expect_change(*wanted)


def threads_and_processes(changes):
    settings, reloads = changes.settings, changes.reloads
    settings["threads"] = 3
    changes.make(("changed", "worker.threads"))
    reloads.serving(2, threads=3)
    settings["worker"] = {"processes": 3}
    changes.make(("changed", "worker.processes"))
    reloads.serving(5, threads=3)
    settings["worker"] = {"processes": 1, "log_level": "debug"}
    changes.make(("changed", "worker.processes"), ("changed", "worker.log_level"))
    reloads.serving(6, threads=3)


def what_is_wrong_is_refused(project, reloads):
    good = project.config.read_text()
    project.write_config(good.replace("threads", "treads"))
    line, changes = reloads.reload(REFUSED)
    expect("bide.conf" in line["error"] and "treads" in line["error"] and not changes, f"{line} {changes}")
    project.write_config(good.replace('plugin = "probe"', 'plugin = "nowhere"'))
    line, changes = reloads.reload(REFUSED)
    expect("no plugin 'nowhere'" in line["error"] and not changes, f"{line} {changes}")
    reloads.serving(6, threads=3)
    expect(reloads.log("worker process started"), "nothing is logged at level debug")


def a_handler_comes_changes_and_goes(project, changes):
    settings, probe, extra = changes.settings, changes.probe, changes.extra
    settings["worker"] = {"processes": 2}
    changes.make(("changed", "worker.processes"), ("changed", "worker.log_level"), ("added", "handlers[extra]"), extra=True)
    ends(project, "x1", {"type": "extra"}, "journal.ndjson")
    extra["retry"] = ONCE
    extra["plugin"] = "probe"
    changes.make(("changed", "handlers[extra].plugin"), ("changed", "handlers[extra].retry.attempts"),
                 ("changed", "handlers[extra].retry.backoff"), ("changed", "handlers[extra].retry.base"),
                 ("changed", "handlers[extra].retry.jitter"), extra=True)
    ends(project, "x2", {"type": "extra", "body": {"fail": 9}}, "exhausted")
    extra["settings"] = {"path": str(project.dir / "second.ndjson")}
    changes.make(("changed", "handlers[extra].settings.path"), extra=True)
    ends(project, "x3", {"type": "extra"}, "second.ndjson")
    extra["queue"] = "slow"
    changes.make(("changed", "handlers[extra].queue"), ("added", "queues[slow]"), extra=True)
    ends(project, "x4", {"type": "extra"}, "second.ndjson")
    extra["timeout"] = "200ms"
    changes.make(("changed", "handlers[extra].timeout"), extra=True)
    ends(project, "x5", {"type": "extra", "body": {"sleep_ms": 60000}}, "timeout")
    probe["concurrency"] = 1
    changes.make(("changed", "handlers[probe].concurrency"), extra=True)
    settings["queues"] = ({"name": "default", "weight": 1}, {"name": "slow", "weight": 3})
    changes.make(("removed", "handlers[extra]"), ("changed", "queues[slow].weight"))
    ends(project, "x6", {"type": "extra"}, "unknown-type")


def ten_changes(project, reloads):
    """Each one: what is written to the file, what the log calls it, how it shows."""
    changes = Changes(project, reloads)
    threads_and_processes(changes)
    what_is_wrong_is_refused(project, reloads)
    a_handler_comes_changes_and_goes(project, changes)
    return ["x1", "x2", "x3", "x4", "x5", "x6"]


def no_message_notices(project):
    project.configure(threads=2, worker={"processes": 2})
    worker = project.worker()
    reloads = Reloads(project, worker)
    reloads.serving(2, threads=2)
    count = MESSAGES if project.broker != "rabbitmq" else MESSAGES // 2
    stream = Stream(project, count, PER_SECOND * count // MESSAGES, lambda name: (
        b'{"type": "probe", "id": "%s", "body": {"sleep_ms": 1}}\n' % name.encode()))
    more = ten_changes(project, reloads)
    stream.finish()
    sent = stream.ids + more
    print(f"{len(reloads.log(IN_USE))} new configurations in use, {len(reloads.log(REFUSED))} refused")

    def lines():
        return project.journal() + project.journal("second.ndjson")

    wait_until(lambda: len({line["id"] for line in lines() if line["outcome"] == "done"}) + len(project.dead()) >= len(sent),
               150, lambda: f"all have ended: {project.status()}")
    expect(worker.stop() == 0, worker.log_tail())
    books = ledger.close(sent, lines(), project.dead())
    print(books)
    expect(books.balanced() and not books.duplicate_ends() and not books.both, f"the books do not balance: {books}")
    again = [line for line in lines() if line["attempt"] != 1 or line["outcome"] == "retry"]
    expect(not [line for line in again if line["id"][0] == "m"], f"attempts were burnt: {again[:2]}")
    runs = len([line for line in lines() if line["id"][0] == "m"])
    expect(runs == count, f"{runs} runs of {count} messages")
    expect(project.left() == 0, f"something is left: {project.status()}")


PLUGIN = """
#include <bide/handler.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    char line[256];
    struct timespec nap = {.tv_nsec = 2000000};
    (void)state;
    int n = snprintf(line, sizeof line,
        "{\\"id\\":\\"%s\\",\\"outcome\\":\\"done\\",\\"attempt\\":%d,\\"build\\":\\"VERSION\\"}\\n", bide_message_id(message), bide_message_attempt(message));
    nanosleep(&nap, NULL);
    int fd = open("JOURNAL", O_WRONLY | O_APPEND | O_CREAT, 0600);
    int written = fd < 0 ? 0 : (int)write(fd, line, (size_t)n);
    if (fd >= 0)
        close(fd);
    return written == n ? BIDE_DONE : bide_dead(context, "cannot write");
}
const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "own", .version = "VERSION", .handle = handle};
"""


def mappings(worker, name):
    """Of a file, in all processes of the worker: paths as the kernel shows them."""
    found = []
    for pid in worker.tree():
        try:
            found += [line.split(None, 5)[5].strip() for line in Path(f"/proc/{pid}/maps").read_text().split("\n") if name in line]
        except FileNotFoundError:
            continue
    return found


def a_plugin_is_replaced(project):
    folder, count = project.dir / "plugins", 4000
    folder.mkdir()

    def compile_build(version):
        text = PLUGIN.replace("VERSION", version).replace("JOURNAL", str(project.dir / "journal.ndjson"))
        return build_plugin(text, folder / f"fresh-{version}.so")

    def builds():
        return {line["build"] for line in project.journal()}

    compile_build("1.0").rename(folder / "own.so")
    second = compile_build("2.0")  # a compiler takes its time on a busy machine
    project.configure([{"type": "own", "plugin": "own"}], threads=4, plugin_dir=str(folder))
    worker = project.worker()
    reloads = Reloads(project, worker)
    reloads.serving(1, threads=4)
    stream = Stream(project, count, 1000, lambda name: b'{"type": "own", "id": "%s", "body": {}}\n' % name.encode())
    wait_until(lambda: builds() == {"1.0"}, 60, "the first build runs")
    second.rename(folder / "own.so")
    reloads.expect_change(("another", "own"))
    more = project.send({"type": "own", "id": f"more{number}", "body": {}} for number in range(20))
    wait_until(lambda: "2.0" in builds(), 60, "the second build runs")
    wait_until(lambda: not any("deleted" in path for path in mappings(worker, "own.so")), 60, "the old build is gone")
    expect(mappings(worker, "own.so"), "the new build is nowhere either")
    expect("own 2.0" in project.bide("handlers").stdout, "`bide handlers` shows another build")
    stream.finish()
    wait_until(lambda: project.journal_count() >= count + len(more) and project.left() == 0, 60, lambda: f"all ended: {project.status()}")
    expect(worker.stop() == 0, worker.log_tail())
    books = ledger.close([*stream.ids, *more], project.journal(), project.dead())
    print(books)
    expect(books.done == count + len(more) and not books.duplicates and not books.dead, str(books))
    expect(all(line["attempt"] == 1 for line in project.journal()), "attempts were burnt")


def a_long_run_is_not_cut_short(project):
    """A handler that takes longer than worker.drain finishes in the old process, beside the new one."""
    project.configure(threads=2, worker={"drain": "100ms"})
    worker = project.worker()
    reloads = Reloads(project, worker)
    reloads.serving(1, threads=2)
    console = LocalConsole(project, worker)
    project.send([{"type": "probe", "id": "long", "body": {"until": "go"}}])
    wait_until(lambda: console.is_ready() and console.handler("probe")["running"] == 1, 60, "it runs")
    began = time.monotonic()
    project.configure(threads=3, worker={"drain": "100ms"})
    for _ in range(5):
        os.kill(worker.pid, signal.SIGHUP)
    wait_until(
        lambda: any(line["threads"] == 3 for line in reloads.log("worker started")), 60,
        lambda: f"a process with 3 threads: {worker.log_tail()}")  # or two: the later signals are one more reload
    ends(project, "short", {"type": "probe"}, "journal.ndjson")
    print(f"the next one was done {time.monotonic() - began:.2f} s after the first SIGHUP")
    project.release()
    wait_until(lambda: project.journal_count() == 2, 60, "both are done")
    expect([line["id"] for line in project.journal()] == ["short", "long"], f"{project.journal()}")
    wait_until(lambda: project.left() == 0, 60, "nothing is left")
    os.kill(worker.pid, signal.SIGHUP)
    expect(worker.stop() == 0, worker.log_tail())


main(no_message_notices, a_plugin_is_replaced, a_long_run_is_not_cut_short)
