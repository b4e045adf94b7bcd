#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 240
"""Handlers in other languages: long-lived programs that bide starts, feeds, watches, kills and restarts. Whatever a program does,
nothing is lost, only what ran in a dead process is blamed, and the others go on."""

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.console import LocalConsole  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.programs import ENV, PREFETCH, RUN, TASKS, books_are_right, programs_of  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

QUICK = {"attempts": 4, "backoff": "fixed", "base": "100ms", "jitter": 0.0}


def configure(project, program=None, run=RUN, types=("task", "other"), threads=4, worker=None, **handler):
    whole = {"name": "tasks", "run": list(run), "env": ENV, **(program or {})}
    rows = [{"type": type, "program": "tasks", "retry": QUICK, **handler} for type in types]
    project.configure(handlers=[*rows, project.probe()], programs=[whole], threads=threads, worker=worker or {})


def done(project):
    return [line for line in project.journal() if line["outcome"] == "done"]


def send(project, *rows):
    return project.send({"type": "task", **row} for row in rows)


def runs_and_says(project):
    """Results, follow-up messages, log lines, prints and failures of one program with two types."""
    configure(project)
    ids = send(project, {"id": "one", "body": {"say": "hello there", "send": [{"type": "other", "id": "two", "delay": "50ms"}]}},
               {"id": "fails", "body": {"fail": 1}}, {"id": "dies", "body": {"dead": True}})
    worker = project.worker("--log-level", "debug")
    wait_until(lambda: {line["id"] for line in done(project)} >= {"one", "two", "fails"} and len(project.dead()) == 1, 60,
               lambda: f"{project.journal()} {worker.log_tail()}")
    wait_until(lambda: '"text":"hello there"' in worker.log_text(), 60, worker.log_tail)
    log = [json.loads(line) for line in worker.log_text().splitlines() if line.startswith("{")]
    printed = [line for line in log if line["message"] == "program printed"]
    expect(any(line["text"] == "hello there" and line["ids"] == "one" for line in printed), f"{printed}")
    expect(any(line["message"] == "hello there" and line["id"] == "one" and line["n"] == 7 for line in log), "its own log line")
    retried = next(line for line in log if line["message"] == "message will be retried")
    expect(retried["id"] == "fails" and retried["error"].endswith("ValueError: attempt 1 of 1 that fail"), f"{retried}")
    expect("Traceback" in retried["error"] and "tasks.py" in retried["error"], f"no traceback: {retried}")
    dead = project.dead()[0]
    expect((dead["id"], dead["reason"], dead["error"]) == ("dies", "rejected", "hopeless"), f"{dead}")
    started = programs_of(worker)
    expect(started, "no process of the program is found")
    expect(worker.stop() == 0, worker.log_tail())
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), 60, "a program outlives its worker")
    expect(len(ids) == 3, f"{ids}")


def a_dead_process_blames_its_message(project):
    configure(project, {"processes": 2})
    good = send(project, *({"id": f"good{n}"} for n in range(200)))
    send(project, {"id": "bad", "body": {"exit": 99}})
    good += send(project, *({"id": f"more{n}"} for n in range(200)))
    worker = project.worker()
    wait_until(lambda: len(done(project)) >= 400 and len(project.dead()) == 1, 60, lambda: worker.log_tail())
    (dead,) = project.dead()
    expect((dead["id"], dead["reason"], dead["attempts"]) == ("bad", "crashed", 3), f"{dead}")
    expect("about to leave" in dead["error"] and "exit status 3" in dead["error"], f"{dead}")
    expect(all(line["attempt"] == 1 for line in done(project)), "a neighbour burnt an attempt")
    expect(sorted(line["id"] for line in done(project)) == sorted(good), "some ran twice, or not")
    figures_of_the_program(project, worker, processes=2, runs=403, restarts=3)
    expect(worker.stop() == 0, worker.log_tail())


def figures_of_the_program(project, worker, **wanted):
    """The same by `bide top` and /metrics."""
    console, kinds = LocalConsole(project, worker), {"processes": "processes", "runs": "runs_total", "restarts": "restarts_total"}
    counted = lambda: {kind: console.metrics().get((f"bide_program_{name}", "tasks")) for kind, name in kinds.items()}  # noqa: E731
    wait_until(lambda: counted() == wanted, 60, lambda: console.metrics_text())
    (shown,) = json.loads(project.bide("top", "--json").stdout)["programs"]
    expect({"name": "tasks", **wanted}.items() <= shown.items() and shown["runs_per_s"] == 0, f"{shown}")
    for memory in (shown["memory"], console.metrics()["bide_program_memory_bytes", "tasks"]):
        expect(2e6 * wanted["processes"] < memory < 200e6 * wanted["processes"], f"a Python takes {memory} bytes")


def several_in_one_process(project):
    """Ten at once in one process: the one that ends it is found, the others burn nothing."""
    configure(project, {"concurrency": 10})
    good = send(project, *({"id": f"good{n}", "body": {"sleep_ms": 30}} for n in range(60)))
    send(project, {"id": "bad", "body": {"exit": 99}})
    good += send(project, *({"id": f"more{n}", "body": {"sleep_ms": 30}} for n in range(60)))
    worker = project.worker()
    wait_until(lambda: {line["id"] for line in done(project)} >= set(good) and len(project.dead()) == 1, 60, lambda: worker.log_tail(30))
    (dead,) = project.dead()
    expect((dead["id"], dead["reason"]) == ("bad", "crashed"), f"{dead}")
    expect(all(line["attempt"] == 1 for line in done(project)), "a neighbour burnt an attempt")
    expect(worker.stop() == 0, worker.log_tail())


def hangs_and_cancels(project):
    configure(project, {"concurrency": 5}, timeout="300ms", kill_after="2s")
    send(project, {"id": "hangs", "body": {"hang": 1}}, {"id": "obeys", "body": {"wait": True}}, {"id": "good", "body": {"sleep_ms": 100}})
    worker = project.worker()
    wait_until(lambda: {line["id"] for line in done(project)} >= {"hangs", "good"} and len(project.dead()) == 1, 60, lambda: worker.log_tail(30))
    (dead,) = project.dead()
    expect((dead["id"], dead["reason"]) == ("obeys", "timeout") and "cancelled in time" in dead["error"], f"{dead}")
    hung = next(line for line in done(project) if line["id"] == "hangs")
    expect(hung["attempt"] == 2, f"{hung}")
    expect(worker.stop() == 0, worker.log_tail())


GREETING = 'import json, os, socket, sys, time\nbide = socket.socket(fileno=3).makefile("rw")\nbide.readline()\n' \
           'def say(line): bide.write((line if isinstance(line, str) else json.dumps(line)) + "\\n"); bide.flush()\n' \
           'say({"bide": 1, "types": ["task"], "concurrency": 5})\n' \
           'for text in bide:\n    line = json.loads(text)\n    if "leave" in line: break\n    if "run" not in line: continue\n'
ODD = {  # what it does with a message of its own name, and what the log must say
    "prints": ('print("noise"); sys.stderr.write("x" * 10000)', None),
    "rubbish": ('say("this is no JSON")', "not the protocol's (it is no JSON object): this is no JSON"),
    "unknown": ('say({"run": 999999, "done": {}})', "not the protocol's (it names a run that was never begun): {"),
    "twice": ('say({"run": line["run"], "done": {}})', "a run that has ended"),
    "closes": ('os.close(3); time.sleep(3600)', "closed its channel"),
    "forks": ('os.fork() or time.sleep(3600); os._exit(1)', "program process ended"),
    "daemon": ("ends = os.pipe()\n        if os.fork() == 0:\n            os.setsid()\n            os.write(ends[1], b'.')\n"
               "            while True: os.write(1, b'x\\n' * 30000)\n        os.read(ends[0], 1)\n        os._exit(1)", "program process ended"),
    "deaf": ("socket.socket(fileno=os.dup(3)).shutdown(socket.SHUT_RD); time.sleep(3600)", "closed its channel"),
    "nul": ("say({'run': line['run'], 'progress': 'a\\0b'})", None),
    "endless": ('say("x" * (8 << 20))', "longer than max_line"),
}


def processes_in(project):
    """Pids of Pythons that were started in its folder, by whomever."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == project.dir and "odd.py" in (entry / "cmdline").read_text():
                found.append(entry.name)
        except OSError:
            continue
    return found


def odd_ones(project):
    """Each does something odd once, at its first attempt, among good messages."""
    for name, (code, words) in ODD.items():
        (project.dir / "odd.py").write_text(
            GREETING + f"    if line['id'] == '{name}' and line['attempt'] == 1:\n        {code}\n"
            "    say({'run': line['run'], 'done': {}})\n"
            "    open('journal.ndjson', 'a').write(json.dumps({'id': line['id'], 'outcome': 'done', 'attempt': line['attempt']}) + chr(10))\n")
        (project.dir / "journal.ndjson").unlink(missing_ok=True)
        configure(project, run=("/usr/bin/python3", "odd.py"), types=("task",), worker={"max_body": "64KiB"}, timeout="2s")
        ids = send(project, *({"id": f"{name}-{n}"} for n in range(5)), {"id": name}, *({"id": f"{name}+{n}"} for n in range(5)))
        worker = project.worker()
        wait_until(lambda: {line["id"] for line in done(project)} >= set(ids) and project.left() == 0, 60,
                   lambda: f"{name}: {worker.log_tail(20)}")
        wait_until(lambda: len(processes_in(project)) == 1, 60, lambda: f"{name}: children are left behind: {processes_in(project)}")
        expect(worker.stop() == 0, f"{name}: {worker.log_tail()}")
        expect(words is None or words in worker.log_text(), f"{name}: the log does not say '{words}': {worker.log_tail(20)}")
        neighbours = [line for line in done(project) if words is None or line["id"] != name]
        expect(all(line["attempt"] == 1 for line in neighbours), f"{name}: a neighbour burnt an attempt")
        expect(not project.dead(), f"{name}: {project.dead()}")


def one_that_never_reads(project):
    """Its messages are cancelled, it is killed; those of another handler run meanwhile."""
    (project.dir / "deaf.py").write_text(GREETING.split("for text")[0] + "time.sleep(3600)\n")
    configure(project, run=("/usr/bin/python3", "deaf.py"), types=("task",), timeout="200ms", kill_after="200ms", retry={**QUICK, "attempts": 2})
    send(project, {"id": "lost", "body": {"x": "y" * 200000}})
    project.send({"type": "probe", "id": f"p{n}"} for n in range(50))
    worker = project.worker()
    wait_until(lambda: len(project.dead()) == 1 and len(done(project)) == 50, 60, lambda: worker.log_tail())
    expect(project.dead()[0]["reason"] == "timeout", f"{project.dead()}")
    expect(worker.stop() == 0, worker.log_tail())


def does_not_start(project):
    """At the worker's start that is an error; later its messages wait in the broker, and go on by themselves."""
    configure(project, run=("/usr/bin/python3", "missing.py"))
    said = project.bide("worker", expect=78).stderr
    expect("ended before its first line" in said and "missing.py" in said, said)
    configure(project, types=("task", "unknown-to-it"))
    expect("has no handler for the type 'unknown-to-it'" in project.bide("worker", expect=78).stderr, "an unknown type")
    expect("unknown-to-it" in project.bide("check", expect=78).stdout, "check")
    copy = project.dir / "mine.py"
    copy.write_text(TASKS.read_text())
    configure(project, run=("/usr/bin/python3", "mine.py"), worker={"prefetch": PREFETCH})
    worker = project.worker()
    send(project, {"id": "first"})
    wait_until(lambda: len(done(project)) == 1, 60, lambda: worker.log_tail())
    copy.rename(project.dir / "away.py")
    send(project, {"id": "crash", "body": {"exit": 1}})
    wait_until(lambda: "program does not start" in worker.log_text(), 60, lambda: worker.log_tail())
    send(project, *({"id": f"later{n}"} for n in range(3 * PREFETCH)))
    project.send({"type": "probe", "id": f"p{n}"} for n in range(20))
    wait_until(lambda: sum(line["id"].startswith("p") for line in done(project)) == 20, 60,
               lambda: f"what waits for the program stands in the way of others: {worker.log_tail()}")
    (project.dir / "away.py").rename(copy)
    wait_until(lambda: len(done(project)) == 3 * PREFETCH + 22, 60, lambda: worker.log_tail())
    expect(all(line["attempt"] == 1 for line in done(project) if line["id"] != "crash"), "waiting burnt attempts")
    expect(worker.stop() == 0, worker.log_tail())


def expires_before_it_begins(project):
    """It was handed over to the host in time, but the only process was busy until after."""
    configure(project)
    worker = project.worker()
    send(project, {"id": "first"})
    wait_until(lambda: len(done(project)) == 1, 60, lambda: worker.log_tail())
    console = LocalConsole(project, worker)
    send(project, {"id": "long", "body": {"sleep_ms": 6000}})
    wait_until(lambda: console.is_ready() and console.handler("task")["running"] == 1, 60, lambda: f"the long one runs: {worker.log_tail()}")
    send(project, {"id": "late", "expires": "2s"}, {"id": "after"})
    wait_until(lambda: len(done(project)) >= 3 and project.left() == 0, 60, lambda: worker.log_tail())
    expect([line["id"] for line in done(project)] == ["first", "long", "after"], f"{done(project)}")
    expect("message expired" in worker.log_text(), worker.log_tail())
    expect(worker.stop() == 0, worker.log_tail())


def recycled_and_reloaded(project):
    configure(project, {"max_runs": 10})
    send(project, *({"id": f"m{n}"} for n in range(45)))
    worker = project.worker()
    wait_until(lambda: len(done(project)) == 45, 60, lambda: worker.log_tail())
    runs = {}
    for line in done(project):
        runs[line["pid"]] = runs.get(line["pid"], 0) + 1
    expect(len(runs) >= 5 and max(runs.values()) <= 10, f"{runs}")
    before = programs_of(worker)  # in the middle of its runs: only the reload replaces it
    expect(before, "no process of the program")
    os.kill(worker.pid, signal.SIGHUP)
    wait_until(lambda: "new configuration in use" in worker.log_text(), 60, lambda: worker.log_tail())
    wait_until(lambda: programs_of(worker) and not set(before) & set(programs_of(worker)), 60, "other processes of the program")
    send(project, {"id": "after"})
    wait_until(lambda: len(done(project)) == 46, 60, lambda: worker.log_tail())
    expect(worker.stop() == 0, worker.log_tail())


def ledger(project):
    books_are_right(project, 800, kills=6)


main(runs_and_says, a_dead_process_blames_its_message, several_in_one_process, hangs_and_cancels, odd_ones, one_that_never_reads,
     does_not_start, expires_before_it_begins, recycled_and_reloaded, ledger)
