#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 60
"""What other people's scripts rely on: keys and their kinds, the options of `send` as they arrive at a handler, expiry."""

import base64
import json
import re
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

BINARY = bytes(range(256))


def kinds(row, wanted):
    """Each key is there, with a value of that kind; there may be more."""
    for key, kind in wanted.items():
        expect(key in row, f"'{key}' is missing: {row}")
        expect(isinstance(row[key], kind) and not isinstance(row[key], bool), f"'{key}' is {row[key]!r}")


def drain(project, dead=0, ran=0):
    """Until there are so many dead letters and lines of the journal, and nothing is left; the worker's last line: what became of all."""
    worker = project.work_until(lambda: len(project.dead()) >= dead and project.journal_count() >= ran and project.left() == 0)
    return json.loads(worker.log_text().splitlines()[-1])


def keys_of_dead_letters(project):
    """One line each, newest first; `show` has the whole message, byte by byte."""
    project.configure()
    before_ms = int(time.time() * 1000)
    project.send([{"type": "probe", "id": "doomed", "body": {"fail": 9}, "headers": {"own": "kept"},
                   "content_type": "application/json"}])
    expect(drain(project, dead=1)["dead"] == 1, f"{project.status()}")
    project.send([{"type": "nobody", "id": "bytes", "body_base64": base64.b64encode(BINARY).decode()}])
    drain(project, dead=2)
    rows = project.dead()
    for row in rows:
        kinds(row, {"id": str, "type": str, "queue": str, "reason": str, "error": str, "attempts": int, "died_ms": int,
                    "sent_ms": int})
        expect(before_ms <= row["sent_ms"] <= row["died_ms"] <= time.time() * 1000, f"{row}")
    told = [(row["id"], row["type"], row["queue"], row["reason"], row["attempts"]) for row in rows]
    expect(told == [("bytes", "nobody", "default", "unknown-type", 0), ("doomed", "probe", "default", "exhausted", 4)],
           f"{told}")
    doomed, = (json.loads(line) for line in project.bide("dead", "show", "doomed", "--json").stdout.splitlines())
    expect({key: doomed[key] for key in rows[1]} == rows[1], f"show says otherwise than list: {doomed}, {rows[1]}")
    expect((doomed["body"], doomed["headers"], doomed["content_type"]) ==
           ('{"fail":9}', {"own": "kept"}, "application/json"), f"{doomed}")
    whole, = (json.loads(line) for line in project.bide("dead", "show", "bytes", "--json").stdout.splitlines())
    expect(base64.b64decode(whole["body_base64"]) == BINARY and "body" not in whole, f"{whole}")


def keys_of_status(project):
    project.configure(queues=[{"name": "default"}, {"name": "other"}])
    project.send([{"type": "probe"}, {"type": "probe", "delay": "1h"}, {"type": "probe", "queue": "other"}])
    status = wait_until(lambda: (lambda s: s if s["delayed_total"] == 1 else None)(project.status()), 60,
                        lambda: f"one is delayed: {project.status()}")
    kinds(status, {"queues": list, "delayed_total": int, "unrouted": int, "rungs": list, "workers": list})
    number = (int, type(None)) if project.broker == "rabbitmq" else int
    for queue in status["queues"]:
        kinds(queue, {"name": str, "ready": int, "delayed": number, "in_flight": number, "dead": int, "oldest_ready_ms": number})
    expect([(queue["name"], queue["ready"]) for queue in status["queues"]] == [("default", 1), ("other", 1)], f"{status}")
    if project.broker == "rabbitmq":
        expect(sum(rung["messages"] for rung in status["rungs"]) == 1, f"{status['rungs']}")
    else:
        expect(project.queue("default")["delayed"] == 1, f"{status}")


def keys_of_the_journal(project):
    project.configure(handlers=[project.journal_handler(), project.probe()])
    project.bide("send", "journal", "four", "--id", "j", "--delay", "20ms")
    project.bide("send", "probe", '{"fail":1}', "--id", "p")
    drain(project, ran=3)
    lines = project.journal()
    for line in lines:
        kinds(line, {"id": str, "type": str, "queue": str, "attempt": int, "due_ms": int, "sent_ms": int,
                     "started_us": int, "lateness_us": int, "worker_pid": int, "outcome": str, "body_bytes": int})
        late = line["started_us"] - 1000 * max(line["due_ms"], line["sent_ms"])
        expect(line["lateness_us"] == late >= 0, f"{line}: {late}")
    ends = {identity: [line["outcome"] for line in lines if line["id"] == identity] for identity in ("j", "p")}
    expect(ends == {"j": ["done"], "p": ["retry", "done"]}, f"{ends}")
    line = next(line for line in lines if line["id"] == "j")
    expect((line["type"], line["queue"], line["attempt"], line["body_bytes"]) == ("journal", "default", 1, 4), f"{line}")
    expect(line["due_ms"] - line["sent_ms"] == 20, f"{line}")


def options_of_send(project):
    """Each arrives: seen by a look at the dead letter that nobody's handler makes of it."""
    project.configure()
    body = project.dir / "body"
    body.write_bytes(BINARY)
    project.bide("send", "nobody", f"@{body}", "--id", "file", "--content-type", "x/y", "--header", "a=b=c", "--header", "d=")
    project.bide("send", "nobody", "-", "--id", "piped", "--expires", "1h", text="from a pipe\n")
    project.bide("send", "nobody", "--id", "past", "--at", "2001-01-01T01:00:00+01:00")
    said = json.loads(project.bide("send", "nobody", "x", "--json", "--delay", "50ms").stdout)
    expect(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", said["id"]) and said["queue"] == "default", f"{said}")
    drain(project, dead=4)
    shown = {row["id"]: row for row in (json.loads(project.bide("dead", "show", row["id"], "--json").stdout)
                                        for row in project.dead())}
    expect(set(shown) == {"file", "piped", "past", said["id"]}, f"{set(shown)}")
    expect(base64.b64decode(shown["file"]["body_base64"]) == BINARY, f"{shown['file']}")
    expect((shown["file"]["content_type"], shown["file"]["headers"]) == ("x/y", {"a": "b=c", "d": ""}), f"{shown['file']}")
    expect(shown["piped"]["body"] == "from a pipe\n", f"{shown['piped']}")
    expect(shown["piped"]["expires_ms"] - shown["piped"]["due_ms"] == 3600_000, f"{shown['piped']}")
    expect(shown["past"]["due_ms"] == 978307200_000 and shown["past"]["body"] == "", f"{shown['past']}")
    expect(shown[said["id"]]["due_ms"] == said["due_ms"] > shown[said["id"]]["sent_ms"], f"{said} {shown[said['id']]}")


def expired_ones_are_counted(project):
    """Neither run nor dead: dropped, and counted; counted from due, so that a delay does not eat it up."""
    project.configure()
    project.send([{"type": "probe", "id": f"e{n}", "body": {}, "expires": "1ms"} for n in range(3)])
    project.send([{"type": "probe", "id": "in-time", "body": {}, "delay": "50ms", "expires": "10s"}])
    time.sleep(0.01)  # the milliseconds of their lives
    ends = drain(project, ran=1)
    expect((ends["expired"], ends["done"], ends["dead"]) == (3, 1, 0), f"{ends}")
    expect([line["id"] for line in project.journal()] == ["in-time"], f"{project.journal()}")
    expect(not project.dead() and project.left() == 0, f"{project.status()}")


main(keys_of_dead_letters, keys_of_status, keys_of_the_journal, options_of_send, expired_ones_are_counted)
