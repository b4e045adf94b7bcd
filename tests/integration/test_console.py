#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 240
"""The console: its figures are those of the books, it knows when the worker is ready, and who may do what."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from urllib.parse import quote, urlsplit

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.console import Console, free_port  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.project import read_lines  # noqa: E402
from bidetest.proxy import Proxy  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

MESSAGES = {"sqlite": 20000, "redis": 20000, "rabbitmq": 5000}
TOKEN = "a-token-of-this-test"
THREADS = 4
KEPT_S = 15  # less than what the console waits for the rest of a request


def start(project, **settings):
    console = Console(free_port(), TOKEN)
    http = {"listen": f"127.0.0.1:{console.port}", "token": "${BIDE_TEST_TOKEN}"}
    project.configure(http=http, threads=THREADS, **settings)
    worker = project.worker(env={"BIDE_TEST_TOKEN": TOKEN})
    console.wait_ready()
    return console, worker


def rows(count):
    for number in range(count):
        row = {"type": "probe", "id": f"m{number:06d}", "body": {}}
        kind = number % 20
        if kind < 5:
            row["delay"] = f"{1 + number * 7919 % 1500}ms"
        elif kind == 5:
            row["body"] = {"fail": 1}
        elif kind == 6:
            row["body"] = {"dead": True}
        yield row


def promtool(text):
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=120)
    expect(done.returncode == 0 and not done.stderr, f"promtool: {done.stdout}{done.stderr}")


def figures_are_those_of_the_books(project):
    count = MESSAGES[project.broker]
    console, worker = start(project, worker={"processes": 2})
    sent = project.send(rows(count))
    wait_until(lambda: project.all_ended(sent), 120, lambda: f"everything has ended: {project.status()}")
    outcomes, dead = Counter(line["outcome"] for line in project.journal()), len(project.dead())
    wanted = {"done": outcomes["done"], "retried": outcomes["retry"], "dead": dead}
    expect(wanted == {"done": count - dead, "retried": count // 20, "dead": count // 20}, f"the books: {wanted}")
    counted = lambda: {kind: console.metrics()["bide_messages_total", kind, "probe"] for kind in wanted}  # noqa: E731
    rest = {"bide_messages_in_flight": 0, "bide_pool_threads": 2 * THREADS, "bide_pool_threads_busy": 0,
            "bide_landing_messages": 0, "bide_broker_connected": 1, "bide_broker_reconnects_total": 0, "bide_settlements_lost_total": 0}
    at_rest = lambda: rest.items() <= {key[0]: n for key, n in console.metrics().items() if len(key) == 1}.items()  # noqa: E731
    buried = lambda: console.metrics()["bide_queue_messages", "default", "dead"] == dead  # noqa: E731
    wait_until(lambda: counted() == wanted and at_rest() and buried(), 60,
               lambda: f"the console counted {counted()}, the books {wanted}; at rest: {console.metrics_text()}")
    text, metrics = console.metrics_text(), console.metrics()
    runs = sum(wanted.values())
    expect(metrics["bide_handler_duration_seconds_count", "probe"] == runs, f"runs are not {runs}")
    expect(metrics["bide_message_wait_seconds_count", "probe"] == runs, "not every run has a wait")
    expect(metrics[("bide_messages_received_total",)] >= runs, "more was run than received")
    expect([metrics["bide_worker_processes", state] for state in ("wanted", "alive", "ready")] == [2, 2, 2], "processes")
    expect(metrics["bide_message_lateness_seconds_count", "probe"] == count // 4 + count // 20, "delayed and retried")
    expect(metrics["bide_queue_messages", "default", "dead"] == dead, "dead letters in the queue")
    promtool(text)
    handler = console.read_json("/status")["worker"]["handlers"][0]
    expect({kind: handler[kind] for kind in wanted} == wanted, f"/status: {handler}")
    recent = handler["recent"]
    expect({kind: recent[kind] for kind in wanted} == wanted and 0 < handler["p50_ms"] <= handler["p99_ms"], f"/status: {handler}")
    wait_until(lambda: console.read_json("/status")["queues"] == project.status()["queues"], 60, "the queues of bide status")
    points = console.read_json("/history")["points"]
    expect(points and sum(point["done"] for point in points) <= wanted["done"], f"/history: {points[-3:]}")
    expect(worker.stop() == 0, "the worker did not end with 0")


def pid_of_process(console):
    return console.read_json("/status")["worker"]["processes"][0]["pid"]


def counters_survive_a_crash(project):
    console, worker = start(project)
    sent = project.send({"type": "probe", "body": {}} for _ in range(50))
    wait_until(lambda: project.all_ended(sent) and console.metrics()["bide_messages_total", "done", "probe"] == 50, 60, "fifty are done")
    os.kill(pid_of_process(console), signal.SIGKILL)
    wait_until(lambda: console.metrics()["bide_process_deaths_total", "SIGKILL"] == 1, 60, "the death is counted")
    console.wait_ready()
    again = project.send({"type": "probe", "body": {}} for _ in range(7))
    wait_until(lambda: project.all_ended(sent + again), 60, "seven more are done")
    # What was counted and not yet settled when the process was killed runs again, and counts again.
    wait_until(lambda: console.metrics()["bide_messages_total", "done", "probe"] == project.journal_count(), 60, lambda: console.metrics_text())
    expect(worker.stop() == 0, "the worker did not end with 0")


def a_console_that_dies_comes_again(project):
    console, worker = start(project)
    status = console.read_json("/status")["worker"]
    known = {worker.pid, *(process["pid"] for process in status["processes"])}
    own = [pid for pid in worker.tree() if pid not in known]
    expect(len(own) == 1, f"one further process, not {own}")
    os.kill(own[0], signal.SIGKILL)
    wait_until(lambda: not console.answers() or own[0] not in worker.tree(), 60, "it is dead")
    console.wait_ready()
    processes = [process["pid"] for process in console.read_json("/status")["worker"]["processes"]]
    expect(processes == [process["pid"] for process in status["processes"]], "a worker process was replaced")
    expect(worker.stop() == 0, "the worker did not end with 0")


def reload(project, worker, verdict, **settings):
    """SIGHUP after another configuration; the line that says what came of it."""
    project.configure(**settings)
    os.kill(worker.pid, signal.SIGHUP)
    found = wait_until(lambda: [row for row in read_lines(worker.log) if row["message"].startswith(verdict)], 60, worker.log_tail)
    return found[-1]


def a_reload_moves_the_console(project):
    """To another address and token; what it knew of the last minutes it still knows. A port that is taken is refused."""
    old, worker = start(project)
    sent = project.send({"type": "probe", "body": {}} for _ in range(30))
    wait_until(lambda: project.all_ended(sent), 60, "thirty are done")

    def past(console):
        return [(point["t"], point["done"]) for point in console.read_json("/history")["points"] if point["done"]]

    wait_until(lambda: sum(done for _, done in past(old)) == 30, 60, lambda: f"{past(old)}")
    known, new = past(old), Console(free_port(), "another-token-of-this-test")
    http = {"listen": f"127.0.0.1:{new.port}", "token": new.token}
    reload(project, worker, "new configuration in use", http=http)
    new.wait_ready()
    expect(past(new) == known, f"the history was {known}, now {past(new)}")
    wait_until(lambda: not old.answers(), 60, "the old address is closed")
    expect(new.ask("POST", "/quiet", {"Authorization": f"Bearer {TOKEN}"})[0] == 401, "the old token")
    expect(new.act("/unquiet")[0] == 200, "the new token")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        http = {**http, "listen": f"127.0.0.1:{taken.getsockname()[1]}"}
        said = reload(project, worker, "new configuration refused", http=http)
        expect("http.listen" in said["error"], f"{said}")
        expect(new.answers(), "the console is gone after a refused file")
    expect("console, clock or relay died" not in worker.log_text(), worker.log_tail())
    expect(worker.stop() == 0, "the worker did not end with 0")


def not_ready_without_broker_or_when_quiet(project):
    url = urlsplit(project.url)
    with Proxy(url.port or 1) as proxy:
        if project.broker != "sqlite":
            project.url = project.url.replace(f":{url.port}", f":{proxy.port}", 1)
        console, worker = start(project)
        expect(console.act("/quiet")[0] == 200 and not console.is_ready(), "ready although quiet")
        expect(console.metrics()[("bide_quiet",)] == 1, "bide_quiet is not 1")
        console.act("/unquiet")
        console.wait_ready()
        if project.broker != "sqlite":
            proxy.target, target = free_port(), proxy.target
            proxy.cut()
            wait_until(lambda: not console.is_ready(), 60, "it is not ready without its broker")
            expect(console.ask("GET", "/metrics")[0] == 200, "no metrics without the broker")
            wait_until(lambda: "broker_error" in console.read_json("/status"), 60, "/status tells of the broker")
            proxy.target = target
            console.wait_ready(60)
            expect(console.metrics()[("bide_broker_reconnects_total",)] >= 1, "no reconnection counted")
        expect(worker.stop() == 0, "the worker did not end with 0")


def who_may_do_what(project):
    console, worker = start(project)
    token = {"Authorization": f"Bearer {TOKEN}"}
    evil, own = {"Origin": "http://evil.example"}, {"Origin": f"http://127.0.0.1:{console.port}"}
    cases = (
        (200, "GET", "/status", token, None),
        (401, "GET", "/status", {}, None),
        (401, "GET", "/dead", {}, None),
        (401, "GET", "/metrics", {}, None),
        (401, "GET", "/readyz", {}, None),
        (403, "GET", "/dead", {**token, "Sec-Fetch-Site": "cross-site"}, None),
        (200, "GET", "/", {}, None),
        (403, "GET", "/status", token, "evil.example"),
        (200, "GET", "/healthz", {}, f"localhost:{console.port}"),
        (401, "POST", "/quiet", {}, None),
        (401, "POST", "/quiet", {"Authorization": f"Bearer {TOKEN}x"}, None),
        (401, "POST", "/quiet", {"Authorization": f"Bearer {TOKEN[:-1]}"}, None),
        (403, "POST", "/quiet", {**token, **evil}, None),
        (200, "POST", "/unquiet", {**token, **own}, None),
        (404, "POST", "/pause/nothing", token, None),
        (200, "POST", "/pause/probe", token, None),
        (200, "POST", "/resume/probe", token, None),
        (404, "GET", "/nothing", {}, None),
        (405, "DELETE", "/status", {}, None),
        (413, "POST", "/quiet", {**token, "Content-Length": "100000000"}, None),
        (400, "GET", "/dead?limit=none", token, None),
        (400, "GET", f"/dead?search={'x' * 201}", token, None),
    )
    for wanted, method, path, headers, host in cases:
        status, text = console.ask(method, path, headers, host)
        expect(status == wanted, f"{method} {path} {headers} {host}: {status}, not {wanted}: {text[:200]}")
        expect(status < 400 or json.loads(text)["error"], f"{path}: no error text")
    text = worker.log_text()
    expect(TOKEN not in text, "the token is in the log")
    said = [row for row in read_lines(worker.log) if row["message"] == "console: action"]
    expect([(row["action"], row["role"], row["status"]) for row in said][-1] == ("/resume/probe", "operate", 200), text)
    expect(all(row["peer"].startswith("127.0.0.1:") for row in said), f"who it was: {said}")
    expect('"message":"wrong token"' in text, "guesses are not logged")
    expect(worker.stop() == 0, "the worker did not end with 0")


def roles_differ(project):
    port, tokens = free_port(), {role: f"a-token-for-role-{role}" for role in ("operate", "read", "send")}
    http = {"listen": f"127.0.0.1:{port}", "read_token": tokens["read"], "send_token": tokens["send"]}
    project.configure(http={**http, "token": "fifteen bytes.."})
    expect("at least 16" in project.bide("check", expect=78).stdout, "a short token")
    project.configure(http={**http, "token": tokens["operate"], "open_metrics": True})
    worker, consoles = project.worker(), {role: Console(port, token) for role, token in tokens.items()}
    consoles["read"].wait_ready()
    got = {role: [consoles[role].ask("GET", "/status")[0], consoles[role].ask("POST", "/unquiet")[0]] for role in tokens}
    expect(got == {"operate": [200, 200], "read": [200, 403], "send": [403, 403]}, f"{got}")
    expect([consoles["read"].ask("GET", path, {})[0] for path in ("/metrics", "/readyz", "/status")] == [200, 200, 401], "open metrics")
    began = time.monotonic()
    codes = [consoles["read"].ask("GET", "/status", {"Authorization": f"Bearer {n}"})[0] for n in range(4)]
    expect(codes == [401] * 4 and time.monotonic() - began > 0.9, f"guessing is quick: {codes}")
    expect(worker.stop() == 0, "the worker did not end with 0")


def exchange(console, head):
    """All that comes back until the end, for a request as it is."""
    with socket.create_connection(("127.0.0.1", console.port), timeout=120) as end:
        end.sendall(f"{head}\r\n\r\n".encode())
        return b"".join(iter(lambda: end.recv(65536), b""))


def a_request_ends_in_one_place(console):
    """What a proxy in front may take for a body is no second request, and a HEAD's answer ends with its head."""
    own = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}"
    second = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close"
    for length in ("Content-Length: 0\r\nContent-Length: 200", "Content-Length : 200", "Host: elsewhere"):
        said = exchange(console, f"POST /unquiet HTTP/1.1\r\n{own}\r\n{length}\r\n\r\n{second}")
        expect(b" 200 OK" not in said, f"{length}: {said}")
    for path in ("/status", "/events"):
        said = exchange(console, f"HEAD {path} HTTP/1.1\r\n{own}\r\nConnection: close")
        expect(said.startswith(b"HTTP/1.1 200 OK") and said.endswith(b"\r\n\r\n") and said.count(b"\r\n\r\n") == 1, f"{path}: {said}")


def half_requests_keep_nobody_out(project):
    """64 who never finish a request: the next one is answered all the same, and so is /healthz."""
    console, worker = start(project)
    a_request_ends_in_one_place(console)
    with contextlib.ExitStack() as stack:
        for number in range(64):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", console.port), timeout=120))
            half.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        began = time.monotonic()
        expect(console.ask("GET", "/healthz", {})[0] == 200 and console.ask("GET", "/status")[0] == 200, "kept out")
        expect(time.monotonic() - began < KEPT_S, "kept waiting")
    expect(worker.stop() == 0, "the worker did not end with 0")


def elsewhere_needs_a_token(project):
    port = free_port()
    project.configure(http={"listen": f"0.0.0.0:{port}"})
    said = project.bide("worker", expect=78).stderr
    expect("http.listen" in said and "token" in said, said)
    project.configure(http={"listen": f"0.0.0.0:{port}", "token": "${BIDE_TEST_UNSET}"})
    expect("BIDE_TEST_UNSET" in project.bide("worker", expect=78).stderr, "an unset token")
    project.configure(http={"listen": f"0.0.0.0:{port}", "token": TOKEN})
    worker, console = project.worker(), Console(port, TOKEN)
    console.wait_ready()
    expect(console.ask("GET", "/status", {})[0] == 401, "/status without a token")
    expect(console.ask("GET", "/status")[0] == 200, "/status with it")
    expect(worker.stop() == 0, "the worker did not end with 0")


def dead_letters(project):
    console, worker = start(project)
    ids = project.send({"type": "probe", "body": {"dead": True}, "id": f"d{number}"} for number in range(3))
    wait_until(lambda: len(project.dead()) == 3, 60, "three dead letters")
    expect(console.read_json("/dead") == project.dead(), "not what `bide dead list` shows")
    expect(len(console.read_json("/dead?limit=2")) == 2 and len(console.read_json("/dead?search=d1")) == 1, "choosing")
    expect(console.read_json("/dead?type=other") == [], "another type")
    shown = json.loads(project.bide("dead", "show", ids[0], "--json").stdout)
    expect(console.read_json(f"/dead/{ids[0]}") == shown, "not what `bide dead show` shows")
    expect(console.act(f"/dead/{ids[1]}/drop") == (200, '{"count":1}'), "drop")
    expect(console.act(f"/dead/{ids[1]}/drop")[0] == 404, "a second drop")
    expect(console.act(f"/dead/{ids[2]}/retry") == (200, '{"count":1}'), "retry")
    wait_until(lambda: {row["id"] for row in project.dead()} == {ids[0], ids[2]}, 60, "the retried one is dead again")
    expect(worker.stop() == 0, "the worker did not end with 0")


def what_waits(project):
    """GET /messages, POST /messages/cancel and /reschedule: as the command line shows and does it."""
    console, worker = start(project)
    token = {"Authorization": f"Bearer {TOKEN}"}
    if project.broker == "rabbitmq":
        status, text = console.ask("GET", "/messages")
        expect(status == 501 and "cannot search" in json.loads(text)["error"], f"{status} {text}")
        expect(console.post("/messages/cancel", {"ids": ["m1"]})[0] == 501, "cancel")
        expect(worker.stop() == 0, "the worker did not end with 0")
        return
    project.send({"type": "probe", "id": f"m{k}", "body": {}, "delay": "1h"} for k in range(7))
    page = console.read_json("/messages?state=delayed&limit=3")
    rest = console.read_json("/messages?limit=1000&after=" + quote(page["after"]))
    expect([row["id"] for row in page["messages"] + rest["messages"]] == [f"m{k}" for k in range(7)], f"{page} {rest}")
    expect(rest["after"] == "" and console.read_json("/messages?state=ready")["messages"] == [], "the end")
    expect(page["messages"][0] == json.loads(project.bide("list", "--json", "--limit", "1").stdout), "not what `bide list` shows")
    expect(console.read_json("/messages/m3") == [json.loads(project.bide("show", "m3", "--json").stdout)], "not what `bide show` shows")
    expect(console.ask("GET", "/messages/m9")[0] == 404, "an id that is nowhere")
    for query in ("state=dead", "limit=0", "limit=1001", "after=rubbish"):
        expect(console.ask("GET", f"/messages?{query}")[0] == 400, query)
    answers = console.post("/messages/cancel", {"ids": ["m1", "m9"]})
    expect(answers == (200, '[{"id":"m1","result":"cancelled"},{"id":"m9","result":"unknown"}]'), f"{answers}")
    answers = console.post("/messages/reschedule", {"ids": ["m2"], "delay": "0s"})
    expect(answers == (200, '[{"id":"m2","result":"rescheduled"}]'), f"{answers}")
    wait_until(lambda: [line["id"] for line in project.journal()] == ["m2"], 60, "m2 runs")
    for wrong in ({}, {"ids": []}, {"ids": [1]}, {"ids": ["x" * 256]}, {"ids": ["m1"] * 1001}, ["m1"]):
        expect(console.post("/messages/cancel", wrong)[0] == 400, f"{wrong}"[:80])
    for wrong in ({}, {"delay": "soon"}, {"delay": "1s", "at": "2030-01-01T00:00:00Z"}, {"delay": "9999d"}):
        expect(console.post("/messages/reschedule", {"ids": ["m4"], **wrong})[0] == 400, f"{wrong}")
    expect(console.post("/messages/cancel", {"ids": ["m" * 200] * 5000})[0] == 413, "a large body")
    expect(console.post("/messages/cancel", {"ids": ["m4"]}, {})[0] == 401, "without a token")
    astray = {**token, "Origin": "http://evil.example"}
    expect(console.post("/messages/cancel", {"ids": ["m4"]}, astray)[0] == 403, "another page")
    wait_until(lambda: console.metrics()[("bide_queue_cancelled_total", "default")] == 1, 60, console.metrics_text)
    said = [row for row in read_lines(worker.log) if row["message"] == "console: action"]
    expect((said[0]["action"], said[0]["role"]) == ("/messages/cancel", "operate"), f"{said}")
    dead = project.send([{"type": "probe", "unique": "k", "body": {"dead": True}}])[0]
    wait_until(project.dead, 60, "it is dead")
    holder = project.send([{"type": "probe", "unique": "k", "delay": "1h", "body": {}}])[0]
    status, text = console.act(f"/dead/{dead}/retry")
    expect(status == 409 and holder in text, f"a replay whose key another message has: {status} {text}")
    answers = console.post("/messages/reschedule", {"key": "k", "delay": "2h"})
    expect(answers == (200, f'[{{"id":"{holder}","result":"rescheduled"}}]'), f"{answers}")
    due_ms = console.read_json(f"/messages/{holder}")[0]["due_ms"]
    expect(due_ms > (time.time() + 5400) * 1000, "it was not moved")
    expect(worker.stop() == 0, "the worker did not end with 0")


def old_dead_letters_are_dropped(project):
    """Only what the configuration says, by one worker or two; what it says is in force after a reload. A listing would hold back
    what a round is to look at: what is there is counted."""
    dead = lambda: sum(queue["dead"] for queue in project.status()["queues"])  # noqa: E731
    _, worker = start(project)
    bodies = [{"type": "probe", "body": {"dead": True}, "id": f"d{number}"} for number in range(6)]
    project.send(bodies[:5])
    wait_until(lambda: dead() == 5, 60, "five dead letters")
    expect(worker.stop() == 0, worker.log_tail())
    console, worker = start(project, dead={"max_count": 2})
    wait_until(lambda: dead() == 2, 60, lambda: f"{project.status()} {worker.log_tail()}")
    wait_until(lambda: console.metrics()[("bide_dead_letters_dropped_total",)] == 3, 60, "three are counted")
    said = lambda: [row["letters"] for row in read_lines(worker.log) if row["message"] == "old dead letters dropped"]  # noqa: E731
    wait_until(lambda: said() == [3], 60, lambda: f"{said()}")
    expect("of each queue the newest 2" in project.bide("check", env={"BIDE_TEST_TOKEN": TOKEN}).stdout, "check says nothing")
    project.configure(dead={"max_age": "1h"})
    second = project.worker()
    wait_until(lambda: "worker started" in second.log_text(), 60, second.log_tail)
    os.kill(worker.pid, signal.SIGHUP)
    project.send(bodies[5:])
    wait_until(lambda: dead() == 3, 60, lambda: f"what is younger than an hour stays: {project.status()}")
    project.configure(dead={"max_age": "1ms"})
    os.kill(second.pid, signal.SIGHUP)
    wait_until(lambda: dead() == 0, 60, lambda: f"{project.status()} {second.log_tail()}")
    expect(worker.stop() == 0 and second.stop() == 0, f"{worker.log_tail()} {second.log_tail()}")


def each_failure_is_kept(project):
    """What every run said, in order, from the message itself: whichever workers and processes ran it."""
    retry = {"attempts": 3, "backoff": "fixed", "base": "50ms", "jitter": 0.0}
    console, worker = start(project, handlers=[project.probe(retry=retry)])
    project.send([{"type": "probe", "id": "f", "body": {"fail": 9}}])
    wait_until(project.dead, 60, "a dead letter")
    for letter in (console.read_json("/dead/f"), json.loads(project.bide("dead", "show", "f", "--json").stdout)):
        failures = letter["failures"]
        expect([failure["attempt"] for failure in failures] == [1, 2, 3], f"{letter}")
        expect(failures[-1]["error"] == letter["error"] and all(failure["error"] for failure in failures), f"{letter}")
        times = [failure["at_ms"] for failure in failures]
        expect(times == sorted(times) and letter["sent_ms"] <= times[0] and times[-1] <= letter["died_ms"] + 1, f"{letter}")
    shown = project.bide("dead", "show", "f").stdout
    expect(all(f"failure       #{attempt} " in shown for attempt in (1, 2, 3)), shown)
    console.act("/dead/f/retry")
    wait_until(lambda: any(row["id"] == "f" and row["died_ms"] > letter["died_ms"] for row in project.dead()), 60, "it dies again")
    expect(len(console.read_json("/dead/f")["failures"]) == 3, "a replay begins anew")
    expect(worker.stop() == 0, "the worker did not end with 0")


def events_are_followed(project):
    console, worker = start(project)
    with socket.create_connection(("127.0.0.1", console.port), timeout=120) as follower:
        head = f"Host: 127.0.0.1:{console.port}\r\nAuthorization: Bearer {TOKEN}"
        follower.sendall(f"GET /events HTTP/1.1\r\n{head}\r\n\r\n".encode())
        stream, seen = follower.makefile("rb"), []
        while stream.readline().strip():  # the head comes before the first event
            pass
        sent = project.send([{"type": "probe", "body": {"fail": 1}}, {"type": "probe", "body": {}}])
        while len(seen) < 3:
            line = stream.readline()
            expect(line, f"the stream has ended after {seen}")
            if line.startswith(b"{"):
                seen.append(json.loads(line))
        stream.close()
    found = sorted((event["id"], event["attempt"], event["outcome"]) for event in seen)
    expect(found == sorted([(sent[0], 1, "retried"), (sent[0], 2, "done"), (sent[1], 1, "done")]), f"{found}")
    expect(any(event["error"] for event in seen), "the retried one says why")
    expect(worker.stop() == 0, "the worker did not end with 0")


main(
    figures_are_those_of_the_books,
    counters_survive_a_crash,
    a_console_that_dies_comes_again,
    a_reload_moves_the_console,
    not_ready_without_broker_or_when_quiet,
    who_may_do_what,
    roles_differ,
    half_requests_keep_nobody_out,
    elsewhere_needs_a_token,
    dead_letters, what_waits, old_dead_letters_are_dropped,
    each_failure_is_kept,
    events_are_followed,
)
