#!/usr/bin/python3
# brokers: sqlite
# seconds: 180
"""What goes wrong is said clearly: where (file and line, or the id), what, the right exit code; nothing lost."""

import fcntl
import os
import re
import select
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.plugins import build_library, build_plugin  # noqa: E402
from bidetest.project import BUILD  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

USAGE, DATA, BROKER, INTERNAL, CONFIG = 64, 65, 69, 70, 78


def says(done, *patterns):
    """Each pattern is found in what the command wrote to standard error; no stack trace, no raw code alone."""
    for pattern in patterns:
        expect(re.search(pattern, done.stderr), f"'{pattern}' is not in: {done.stderr!r}")
    expect("Sanitizer" not in done.stderr and "core dumped" not in done.stderr, done.stderr)


def refused(project, *patterns):
    """Both `worker` and `check` refuse the configuration with 78 and a text that has all patterns."""
    started = project.bide("worker", "--exit-idle", "1s", expect=CONFIG, seconds=120)
    says(started, *patterns)
    expect("process died" not in started.stderr, f"a refusal is no death: {started.stderr}")
    checked = project.bide("check", expect=CONFIG, seconds=120)
    checked.stderr += checked.stdout
    says(checked, *patterns)


def line_of(project, text):
    """Where in bide.conf the text stands: "bide.conf:LINE"."""
    lines = project.config.read_text().split("\n")
    return f"bide.conf:{next(number for number, line in enumerate(lines, 1) if text in line)}"


def unknown_key(project):
    project.configure(worker={"thread": 4})
    refused(project, line_of(project, "thread = 4"), "thread'", "threads")


def wrong_type_of_a_value(project):
    project.configure(worker={"prefetch": "many"})
    refused(project, line_of(project, "many"), "prefetch")


def bad_syntax(project):
    project.configure()
    project.config.write_text(project.config.read_text() + "queues = (;\n")
    refused(project, line_of(project, "queues = (;"))


def missing_file(project):
    says(project.bide("worker", "-c", "nowhere.conf", expect=CONFIG), "nowhere.conf")


def a_database_that_cannot_be(project):
    """One whose folder is missing is refused; one that is not there yet is empty, and the log says so."""
    nowhere = ("--broker", "sqlite:/nonexistent/x.db")
    for command in (("status", *nowhere), ("dead", "list", *nowhere),
                    ("move", "--from", nowhere[1], "--to", f"sqlite:{project.dir}/other.db")):
        says(project.bide(*command, expect=BROKER), "/nonexistent/x.db", "folder must exist")
    says(project.bide("status", "--broker", f"sqlite:{project.dir}/later.db"), "does not exist yet")


def two_handlers_of_one_type(project):
    project.configure(handlers=[project.probe(), project.probe(plugin="journal")])
    refused(project, r"bide\.conf:\d+", "probe", "twice|two|already|second|also")


def missing_plugin(project):
    project.configure(handlers=[project.probe(plugin="nosuch")])
    refused(project, r"bide\.conf:\d+: no plugin 'nosuch'")


def in_an_included_file(project):
    """The line is that of the file it stands in, not of the one that includes it."""
    project.configure(handlers=[])
    text = project.config.read_text().replace("handlers = ", "unused = ")
    included = project.dir / "more.conf"
    row = 'handlers = (\n  { type = "a"; plugin = "%s"; settings: { %s; }; }\n);\n'
    project.config.write_text(re.sub(r"(?s)\n *unused = .*", "\n", text) + '@include "more.conf"\n')
    for plugin, setting, said in (("nosuch", 'path = "x"', "no plugin"), ("journal", "path = 1", r"settings\.path")):
        included.write_text(row % (plugin, setting))
        refused(project, rf"more\.conf:2: .*{said}")


def own_plugin(project, name, source):
    """A configuration whose one handler uses this source, built as handlers/NAME.so."""
    folder = project.dir / "handlers"
    folder.mkdir()
    build_plugin(source, folder / f"{name}.so")
    row = {"type": "probe", "plugin": name}
    project.configure(handlers=[row], plugin_dir=str(folder))
    return folder / f"{name}.so"


PLUGIN = """
#include <bide/handler.h>
%s
static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    (void)state, (void)message, (void)context;
    %s
    return BIDE_DONE;
}
const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "%s", .version = "1", .summary = "x",
    .handle = handle};
"""


def plugin_of_another_abi(project):
    source = (PLUGIN % ("", "", "foreign")).replace(
        "BIDE_PLUGIN_HEAD", ".abi_major = 99, .abi_minor = 7, .size = sizeof(bide_plugin_descriptor)"
    )
    own_plugin(project, "foreign", source)
    refused(project, r"bide\.conf:\d+: .*foreign\.so", r"99\.7")


def plugin_without_descriptor(project):
    own_plugin(project, "empty", "int nothing_here(void) { return 0; }\n")
    refused(project, r"empty\.so", "bide_plugin")


def plugin_with_a_missing_symbol(project):
    own_plugin(project, "partial", PLUGIN % ("int nobody_defines_this(void);", "nobody_defines_this();", "partial"))
    refused(project, r"bide\.conf:\d+: .*partial\.so", "nobody_defines_this")


def a_good_plugin_from_outside(project):
    """The same source with nothing wrong in it works: the refusals above are for their reasons."""
    own_plugin(project, "good", PLUGIN % ("", "", "good"))
    project.bide("send", "probe", "x")
    project.bide("worker", "--exit-idle", "500ms", seconds=120)
    expect(project.left() == 0 and not project.dead(), f"{project.status()}")


def unknown_message_type(project):
    project.configure()
    project.send([{"type": "nobody", "id": "n1"}, {"type": "probe", "id": "p1", "body": {}}])
    project.bide("worker", "--exit-idle", "1s", seconds=120)
    dead = project.dead()
    expect([(row["id"], row["reason"]) for row in dead] == [("n1", "unknown-type")], f"{dead}")
    expect("nobody" in dead[0]["error"], f"the type is not named: {dead}")
    expect(dead[0]["attempts"] == 0, f"it never ran: {dead}")
    expect([line["id"] for line in project.journal()] == ["p1"], f"{project.journal()}")


LINES = '{"type":"probe","id":"a"}\nnot json\n{"type":"probe","id":"b","dealy":"1s"}\n{"type":"probe","id":"c"}\n'


def bad_lines(project):
    project.configure()
    done = project.bide("send", "--lines", text=LINES, expect=DATA)
    says(done, r"\b2\b", r"\b3\b", "dealy")
    expect(done.stdout.split() == ["a", "c"], f"the good ones are sent: {done.stdout!r}")
    expect(project.queue("default")["ready"] == 2, f"{project.status()}")


def bad_lines_strict(project):
    project.configure()
    says(project.bide("send", "--lines", "--strict", text=LINES, expect=DATA), r"\b2\b")
    expect((project.queue("default") or {"ready": 0})["ready"] == 0, f"{project.status()}")


def what_no_worker_would_run(project):
    """A mistyped type or queue is warned of, once a type; --strict refuses it; a sender's configuration knows no types."""
    project.configure(queues=[{"name": "default"}, {"name": "mail"}])
    says(project.bide("send", "prob"), "warning: no handler .*'prob'.*did you mean 'probe'.*unknown-type")
    says(project.bide("send", "probe", "--queue", "mial"), "warning: no worker .*'mial'.*did you mean 'mail'")
    refused = project.bide("send", "prob", "--strict", expect=DATA)
    says(refused, "did you mean 'probe'.*nothing was sent")
    expect(refused.stdout == "" and project.bide("send", "probe", "--strict").stderr == "", "strict")
    rows = '{"type":"prob"}\n' * 3 + '{"type":"probe"}\n'
    done = project.bide("send", "--lines", text=rows)
    expect(done.stderr.count("warning") == 1 and len(done.stdout.split()) == 4, f"{done.stderr} {done.stdout}")
    strict = project.bide("send", "--lines", "--strict", text=rows, expect=DATA)
    says(strict, "line 1: no handler", "line 3: no handler", "nothing was sent")
    project.configure(handlers=[])
    expect(project.bide("send", "anything").stderr == "", "a sender's configuration")


def lines_that_sending_would_refuse(project):
    """--strict sends nothing; without it each bad line has its own reason."""
    rows = ('{"type":"probe","id":"good"}\n{"type":"probe","at":"9999-01-01T00:00:00Z"}\n' + "\0\0\0\n" +
            '{"type":"probe","body":"' + "x" * 1100 + '"}\n')
    project.configure(worker={"max_body": "1KiB"})
    strict = project.bide("send", "--lines", "--strict", text=rows, expect=DATA)
    expect(strict.stdout == "", f"sent all the same: {strict.stdout!r}")
    done = project.bide("send", "--lines", text=rows, expect=DATA)
    for text in (strict, done):
        says(text, "line 2: .*3650 days", "line 3: ", "line 4: .*1100 bytes")
    expect(done.stdout == "good\n", f"the good one is sent: {done.stdout!r}")
    expect(project.queue("default")["ready"] == 1, f"{project.status()}")


def ids_on_a_pipe_that_does_not_block(project):
    """Whoever reads slowly gets every id all the same; where nothing can be written, the exit status says so."""
    project.configure()
    rows = "".join(f'{{"type":"probe","id":"id-{n:04}"}}\n' for n in range(3000)).encode()
    (project.dir / "rows").write_bytes(rows)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with open(project.dir / "rows", "rb") as lines:
        sending = subprocess.Popen([str(BUILD / "bide"), "send", "--lines"], cwd=project.dir, stdin=lines, stdout=writer)

    def is_full():  # not by its bytes: a short write that does not fit whole writes nothing
        return not select.select([], [writer], [], 0)[1] or sending.poll() is not None

    wait_until(is_full, 60, "the pipe is full")
    os.close(writer)
    with os.fdopen(reader) as pipe:
        printed = pipe.read().split()
    expect(sending.wait(60) == 0, f"exit {sending.returncode}")
    expect(len(printed) == 3000, f"{len(printed)} of 3000 ids were printed")
    with open("/dev/full", "w", encoding="ascii") as full:
        for command in (["send", "probe"], ["status"], ["handlers"], ["--help"]):
            done = subprocess.run([str(BUILD / "bide"), *command], cwd=project.dir, stdout=full, stderr=subprocess.PIPE,
                                  text=True, timeout=120)
            expect(done.returncode == INTERNAL, f"{command}: exit {done.returncode}")
            says(done, "standard output: No space")


def body_over_the_maximum(project):
    project.configure(worker={"max_body": "1KiB"})
    done = project.bide("send", "probe", "x" * 1025, "--id", "large", expect=DATA)
    says(done, "1025", "1024|1 ?KiB")
    project.bide("send", "probe", "x" * 1024)
    expect(project.queue("default")["ready"] == 1, f"{project.status()}")


BAD_OPTIONS = (
    (("--delay", "-5s"), "delay|-5s"),
    (("--delay", "3651d"), "3651d"),
    (("--delay", "99999999999999999999s"), "9999999"),
    (("--delay", "5"), "5"),
    (("--delay", "soon"), "soon"),
    (("--at", "tomorrow"), "tomorrow"),
    (("--expires", "-1s"), "expires|-1s"),
    (("--queue", "a*"), "a\\*"),
    (("--queue", "a#b"), "a#b"),
    (("--queue", "a\x01b"), "queue"),
    (("--queue", "hold.5s"), "hold"),
    (("--queue", "mail.dead"), "mail.dead"),
    (("--queue", "q" * 101), "100"),
    (("--header", "novalue"), "novalue"),
    (("--frobnicate",), "frobnicate"),
)


def bad_options_of_send(project):
    project.configure()
    for options, pattern in BAD_OPTIONS:
        done = project.bide("send", "probe", "x", *options, expect=None)
        expect(done.returncode == USAGE, f"{options}: exit {done.returncode}: {done.stderr}")
        says(done, pattern)
    expect(not any(ord(c) < 32 and c not in "\n\t" for c in done.stderr), "control characters in an error text")
    expect((project.queue("default") or {"ready": 0})["ready"] == 0, "something was sent all the same")


def bad_values_in_lines(project):
    project.configure()
    rows = ['{"type":"probe","delay":"-5s"}', '{"type":"probe","delay":"9999d"}', '{"type":"probe","queue":"a*"}',
            '{"type":"a b"}', '{"body":"x"}', '{"type":"probe","body_base64":"!"}', '[1]', '{"type":7}']
    done = project.bide("send", "--lines", text="\n".join(rows) + "\n", expect=DATA)
    says(done, *(rf"\b{number}\b" for number in range(1, len(rows) + 1)))
    expect(done.stdout == "", f"something was sent: {done.stdout}")


def past_at_runs_at_once(project):
    project.configure()
    project.bide("send", "probe", "{}", "--at", "2001-01-01T00:00:00Z", "--id", "past")
    project.bide("worker", "--exit-idle", "500ms", seconds=120)
    expect([line["id"] for line in project.journal()] == ["past"], f"{project.journal()}")


def unknown_id(project):
    project.configure()
    for command in (("show", "nobody"), ("retry", "nobody"), ("drop", "nobody")):
        says(project.bide("dead", *command, expect=DATA), "nobody")


def chosen_dead_letters(project):
    """A filter chooses, with or without --all; nothing at all chooses nothing."""
    project.configure(handlers=[project.probe(), project.journal_handler(type="other")])
    project.send([{"type": "probe", "id": f"d{n}", "body": {"dead": True}} for n in range(3)] +
                 [{"type": "nobody", "id": "n1"}])
    project.bide("worker", "--exit-idle", "300ms", seconds=120)
    ids = lambda: sorted(row["id"] for row in project.dead())  # noqa: E731
    expect(ids() == ["d0", "d1", "d2", "n1"], f"{project.dead()}")
    expect("d0" in project.bide("dead", "list", "--search", "D0", "--since", "1h").stdout, "--search finds nothing")
    expect("d1" not in project.bide("dead", "list", "--search", "D0").stdout, "--search lets others through")
    expect(project.bide("dead", "list", "--until", "1h", "--json").stdout == "", "--until: nothing is that old")
    for action in ("retry", "drop"):
        says(project.bide("dead", action, expect=USAGE), "which")
        says(project.bide("dead", action, "d0", "--reason", "rejected", expect=USAGE), "--reason")
        says(project.bide("dead", action, "d0", "--all", expect=USAGE), "--all")
        says(project.bide("dead", action, "--reason", "bored", expect=USAGE), "bored")
    expect(ids() == ["d0", "d1", "d2", "n1"], f"a refused command did something: {project.dead()}")
    expect('"retried":1' in project.bide("dead", "retry", "--reason", "unknown-type", "--json").stdout, f"{ids()}")
    expect(ids() == ["d0", "d1", "d2"], f"{project.dead()}")
    says(project.bide("dead", "retry", "--all", "--spread", "3651d", expect=USAGE), "3650d")
    expect('"retried":2' in project.bide("dead", "retry", "--all", "--spread", "1h", "--limit", "2", "--json").stdout, f"{ids()}")
    expect([(row["ready"], row["delayed"]) for row in project.status()["queues"] if row["delayed"]] == [(2, 1)], f"{project.status()}")
    project.bide("worker", "--exit-idle", "300ms", seconds=120)
    expect(len(ids()) == 3 and ids()[2] == "n1", f"the first of a spread is due at once, the second is not: {project.dead()}")
    expect('"dropped":1' in project.bide("dead", "drop", "--limit", "1", "--type", "probe", "--json").stdout, f"{ids()}")
    expect('"dropped":1' in project.bide("dead", "drop", "--all", "--type", "probe", "--json").stdout, f"{ids()}")
    expect(ids() == ["n1"], f"{project.dead()}")


def unknown_commands(project):
    says(project.bide("sned", expect=USAGE), "sned", "send")
    project.bide("dead", "frobnicate", expect=USAGE)
    project.bide("worker", "--threads", "many", expect=USAGE)


def newer_schema(project):
    project.configure()
    project.bide("send", "probe", "{}")
    with sqlite3.connect(project.dir / "bide.db") as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        expect(version > 0, "the schema version is not in user_version")
        db.execute(f"PRAGMA user_version = {version + 1000}")
    for command in (("send", "probe", "{}"), ("status",), ("worker", "--exit-idle", "1s")):
        says(project.bide(*command, expect=CONFIG, seconds=120), r"bide\.db", "schema|version", str(version + 1000))


def not_a_database(project):
    project.configure()
    (project.dir / "bide.db").write_text("This is a letter to my aunt.\n" * 500)
    for command in (("send", "probe", "{}"), ("worker", "--exit-idle", "1s")):
        done = project.bide(*command, expect=None, seconds=120)
        expect(done.returncode in (BROKER, CONFIG), f"exit {done.returncode}: {done.stderr}")
        says(done, r"bide\.db", "not a (SQLite |bide )?database")
    expect((project.dir / "bide.db").read_text().startswith("This is a letter"), "the file was changed")


def read_only_folder(project):
    """As somebody who may not write there (root would be allowed to)."""
    binary = project.dir / "bide"
    shutil.copy(BUILD / "bide", binary)
    project.configure(handlers=[])
    project.dir.chmod(0o555)
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run([*as_nobody, str(binary), "send", "probe", "{}"], cwd=project.dir, capture_output=True,
                          text=True, timeout=120)
    project.dir.chmod(0o755)
    expect(done.returncode in (BROKER, CONFIG), f"exit {done.returncode}: {done.stderr}")
    says(done, r"bide\.db", "writ|permission|read-only|cannot (open|create)")


def full_disk(project):
    """A preloaded library answers ENOSPC beyond 1 MiB: confirmed is what is stored, and it is still there afterwards."""
    project.configure()
    project.bide("send", "probe", "{}", "--id", "first")
    shim = build_library("full_disk.c", project.dir / "full_disk.so")
    rows = "".join(f'{{"type":"probe","id":"f{n}","body":"{"x" * 1000}"}}\n' for n in range(20000))
    done = project.bide("send", "--lines", text=rows, expect=BROKER, seconds=120,
                        env={"LD_PRELOAD": str(shim), "FULL_DISK_KIB": "1024"})
    says(done, r"full|no space|room")
    confirmed = done.stdout.split()
    expect(len(confirmed) < 20000, "all were confirmed: the disk was not full")
    project.bide("worker", "--exit-idle", "1s", seconds=120)
    ran = {line["id"] for line in project.journal()}
    missing = set(confirmed) - ran - {row["id"] for row in project.dead()}
    expect(not missing, f"{len(missing)} confirmed and not there, such as {sorted(missing)[:3]}")
    expect("first" in ran, "what was there before is lost")


def file_deleted_under_a_worker(project):
    project.configure()
    worker = project.worker()
    project.send([{"type": "probe", "id": "before", "body": {}}])
    wait_until(lambda: project.journal_count() == 1, 60, "the worker runs")
    for name in ("bide.db", "bide.db-wal", "bide.db-shm"):
        (project.dir / name).unlink(missing_ok=True)
    wait_until(lambda: re.search(r"bide\.db", worker.log_text()) and
               re.search("removed|deleted|gone|no longer|replaced|vanished", worker.log_text()),
               60, lambda: f"the worker says so; its log: {worker.log_tail()}")
    if worker.running():
        project.send([{"type": "probe", "id": "after", "body": {}}])
        wait_until(lambda: project.journal_count() == 2, 60, lambda: f"it goes on: {worker.log_tail()}")
        expect(worker.stop() == 0, f"{worker.process.returncode}: {worker.log_tail()}")
    expect(worker.process.returncode in (0, BROKER, CONFIG), f"{worker.process.returncode}: {worker.log_tail()}")


main(unknown_key, wrong_type_of_a_value, bad_syntax, missing_file, a_database_that_cannot_be, two_handlers_of_one_type,
     missing_plugin, in_an_included_file, plugin_of_another_abi, plugin_without_descriptor, plugin_with_a_missing_symbol,
     a_good_plugin_from_outside, unknown_message_type, bad_lines, bad_lines_strict, what_no_worker_would_run,
     lines_that_sending_would_refuse, ids_on_a_pipe_that_does_not_block, body_over_the_maximum,
     bad_options_of_send, bad_values_in_lines, past_at_runs_at_once, unknown_id, chosen_dead_letters, unknown_commands,
     newer_schema, not_a_database, read_only_folder, full_disk, file_deleted_under_a_worker)
