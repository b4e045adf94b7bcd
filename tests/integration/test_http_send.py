#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 120
"""POST /send of the console, by curl and by the clients for Python and Node: what was answered is there, what was not is said,
and who may send may do nothing else."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.console import Console, free_port  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.project import ROOT  # noqa: E402
from bidetest.proxy import Proxy  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

sys.path.insert(0, str(ROOT / "sdk" / "python"))
import bide  # noqa: E402

OPERATE, SEND = "a-token-that-may-do-all", "a-token-that-may-send"
SENDERS, DISTURBANCES = 8, 1
LARGEST = 16 << 20  # of one request
NODE = """
import { Client } from '%s/sdk/node/bide.js';
const client = new Client({ url: process.env.URL_, token: process.env.TOKEN });
console.log(await client.send('probe', {}, { id: 'node-1', delay: 0.2 }));
console.log((await client.sendMany([{ type: 'probe', body: {}, id: 'node-2' }, { type: 'probe', body: {}, id: 'node-3' }])).join(' '));
await client.sendMany([{ type: 'probe', body: {}, id: 'node-4' }, { type: 'no type', body: {} }]).catch(error => console.log(error.confirmed, error.message));
process.exit(0);
"""
NODE_DUPLICATES = """
import { Client } from '%s/sdk/node/bide.js';
const client = new Client({ url: process.env.URL_, token: process.env.TOKEN });
console.log(await client.send('probe', {}, { id: 'fourth', unique: 'k', delay: 3600 }));
const rows = ['k', 'n'].map(unique => ({ type: 'probe', body: {}, id: `node-${unique}`, unique, delay: 3600 }));
console.log((await client.sendMany(rows)).join(' '));
process.exit(0);
"""

NODE_STREAM = """
import { Client } from '%s/sdk/node/bide.js';
const client = new Client({ url: process.env.URL_, token: process.env.TOKEN });
const id = await client.sendStream('probe', [{}, { dead: true }, '{}'], { queue: 'default', name: 'node', deadline: 3600 });
let stream;
while ((stream = await client.stream(id)).state !== 'complete') await new Promise(resolve => setTimeout(resolve, 20));
console.log(stream.name, stream.queues[0].done, stream.queues[0].dead);
await client.cancelStream('stream-0').catch(error => console.log(error.message));
process.exit(0);
"""


class Sending:
    """A worker whose console takes what is sent."""

    def __init__(self, project, **settings):
        self.socket = project.dir / "send.sock"
        self.console = Console(free_port(), OPERATE)
        self.url = f"http://127.0.0.1:{self.console.port}"
        http = {"listen": f"127.0.0.1:{self.console.port}", "token": OPERATE, "send_token": SEND, "send_socket": str(self.socket)}
        project.configure(http=http, **settings)
        self.worker = project.worker()
        self.console.wait_ready()

    def client(self, **options):
        return bide.Client(**{"url": self.url, "token": SEND, **options})

    def curl(self, body, *options, where="/send", token=SEND):
        """Status and lines."""
        command = ["curl", "-sS", "-w", "%{http_code}", "-H", f"Authorization: Bearer {token}" if token else "Authorization:", "--data-binary", "@-", *options, self.url + where]
        said = subprocess.run(command, input=body, capture_output=True, text=True, timeout=120)
        expect(said.returncode == 0, said.stderr)
        return int(said.stdout[-3:]), said.stdout[:-3].splitlines()

    def end(self):
        expect(self.worker.stop() == 0, "the worker did not end with 0")


def done(project):
    return {line["id"] for line in project.journal() if line["outcome"] == "done"}


def every_client(project):
    sending = Sending(project)
    row = {"type": "probe", "id": "curl-1", "body": {}}
    pretty = sending.curl(json.dumps(row, indent=2), "-H", "Content-Type: application/json")
    expect(pretty == (200, ["curl-1"]), f"one object: {pretty}")
    lines = "".join(json.dumps({**row, "id": f"curl-{n}"}) + "\n" for n in (2, 3))
    expect(sending.curl(lines) == (200, ["curl-2", "curl-3"]), "lines")
    mixed = '\n{"type":"probe","id":"curl-4","body":{}}\n{"typ":1}\n'
    status, said = sending.curl(mixed, where="/send?strict")
    expect((status, [json.loads(line)["line"] for line in said]) == (400, [2, 3]), f"strict: {status} {said}")
    status, said = sending.curl(mixed)
    expect(status == 400 and said[0] == "curl-4" and json.loads(said[1])["line"] == 3 and "typ" in said[1], f"{status} {said}")
    with sending.client() as client, bide.Client(f"unix:{sending.socket}", "") as local:
        expect(client.send("probe", {}, id="python-1", delay=0.2) == "python-1", "Python")
        rows = [{"type": "probe", "body": {}, "id": f"python-{n}"} for n in range(2, 1502)]  # more than one commit holds
        expect(client.send_many(rows) == [row["id"] for row in rows], "many by Python")
        expect(local.send("probe", {}, id="unix-1") == "unix-1", "by the socket")
    env = {**os.environ, "URL_": sending.url, "TOKEN": SEND}
    node = subprocess.run(["node", "--input-type=module", "-e", NODE % ROOT], env=env, capture_output=True, text=True, timeout=120)
    said = node.stdout.splitlines()
    expect(said[:2] == ["node-1", "node-2 node-3"] and "node-4" in said[2] and "no type" in said[2], f"Node: {node.stdout}{node.stderr}")
    wanted = {*(f"curl-{n}" for n in range(1, 5)), "unix-1", *(row["id"] for row in rows), *(f"node-{n}" for n in range(1, 5)), "python-1"}
    wait_until(lambda: done(project) >= wanted, 60, lambda: f"missing: {sorted(wanted - done(project))[:5]}")
    expect(done(project) == wanted, f"what nobody sent: {done(project) - wanted}")
    expect(sending.console.metrics()[("bide_sent_total",)] == len(wanted), "bide_sent_total")
    sending.end()


def a_duplicate_is_answered_with_the_holder(project):
    """By POST /send and both clients: nothing is sent, and the answer names the message that has the key."""
    sending = Sending(project, **({"store": "sqlite:store.db"} if project.broker == "rabbitmq" else {}))
    row = {"type": "probe", "id": "first", "unique": "k", "delay": "1h", "body": {}}
    expect(sending.curl(json.dumps(row)) == (200, ["first"]), "the first one")
    status, said = sending.curl("".join(json.dumps(one) + "\n" for one in ({**row, "id": "second"}, {**row, "id": "other", "unique": "o"})))
    expect(status == 200 and json.loads(said[0]) == {"line": 1, "duplicate": "first"} and said[1:] == ["other"], f"{status} {said}")
    with sending.client() as client:
        expect(client.send("probe", {}, id="third", unique="k", delay="1h") == "first", "Python")
        rows = [{"type": "probe", "body": {}, "id": f"many-{key}", "unique": key, "delay": "1h"} for key in ("k", "p")]
        expect(client.send_many(rows) == ["first", "many-p"], "many by Python")
    env = {**os.environ, "URL_": sending.url, "TOKEN": SEND}
    node = subprocess.run(["node", "--input-type=module", "-e", NODE_DUPLICATES % ROOT], env=env, capture_output=True, text=True, timeout=120)
    expect(node.stdout.splitlines() == ["first", "first node-n"], f"Node: {node.stdout}{node.stderr}")
    expect(sending.console.metrics()[("bide_sent_total",)] == 4, "bide_sent_total")
    sending.end()


def streams_by_every_client(project):
    """POST /streams, GET /streams/ID (docs/streams.md)."""
    sending = Sending(project, **({"store": "sqlite:store.db"} if project.broker == "rabbitmq" else {}))
    status, said = sending.curl("{}\n{}", where="/streams?type=probe&queue=default&name=curl")
    expect(status == 200 and json.loads(said[0])["total"] == 2, f"{status} {said}")
    for query, text in (("queue=default", "type"), ("type=probe", "topic"), ("type=no+type&queue=default", "no type"), ("type=probe&queue=default&deadline=1", "duration")):
        status, said = sending.curl("{}", where="/streams?" + query)
        expect(status == 400 and text in said[0], f"{query}: {status} {said}")
    with sending.client() as client:
        identity = client.send_stream("probe", ["{}", {"dead": True}, b"{}"], queue="default", name="python", deadline="1h")
        wait_until(lambda: client.stream(identity)["state"] == "complete", 60, lambda: f"{client.stream(identity)}")
        part = client.stream(identity)["queues"][0]
        expect((part["total"], part["done"], part["dead"]) == (3, 2, 1), part)
        client.cancel_stream(identity)
        expect(client.stream(identity)["state"] == "cancelled", client.stream(identity))
        try:
            client.stream("stream-0")
            expect(False, "a stream that is none")
        except bide.SendError as error:
            expect("stream-0" in str(error), str(error))
    env = {**os.environ, "URL_": sending.url, "TOKEN": SEND}
    node = subprocess.run(["node", "--input-type=module", "-e", NODE_STREAM % ROOT], env=env, capture_output=True, text=True, timeout=120)
    said = node.stdout.splitlines()
    expect(said[:1] == ["node 2 1"] and "stream-0" in said[1], f"Node: {node.stdout}{node.stderr}")
    sending.end()


def a_sender_may_send_and_nothing_else(project):
    sending = Sending(project)
    expect(stat.S_IMODE(sending.socket.stat().st_mode) == 0o660, "the socket's mode")
    got = {}
    for path, method in (("/status", "GET"), ("/metrics", "GET"), ("/quiet", "POST"), ("/dead", "GET"), ("/healthz", "GET")):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(sending.socket))
            client.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            got[path] = int(client.makefile("rb").readline().split()[1])
    expect(got == {"/status": 403, "/metrics": 403, "/quiet": 403, "/dead": 403, "/healthz": 200}, f"by the socket: {got}")
    for token, wanted in (("", 401), ("a-token-of-nobody", 401), (OPERATE, 400), (SEND, 400)):
        status, said = sending.curl("", token=token)
        expect(status == wanted, f"{token}: {status} {said}")
    expect(sending.curl("\n".join(["{}"] * 10002))[0] == 413, "too many lines")
    expect(sending.curl(" " * (17 << 20), "-H", "Transfer-Encoding: chunked")[0] == 413, "too large")
    expect(sending.curl('{"type":"probe","body":"%s"}' % ("x" * (2 << 20)))[0] == 400, "a body beyond worker.max_body")
    expect(sending.console.metrics()[("bide_sent_total",)] == 0, "something was sent")
    sending.end()
    expect(not sending.socket.exists(), "the socket is left behind")


def unread(port):
    """Bytes on their way to who listens there, or there and not read."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(n, 16) for row in rows if port in (int(end.split(":")[1], 16) for end in row[1:3]) for n in row[4].split(":"))


def too_much_waits(project):
    """Four requests of the largest size that never end fill the memory: others are told to come back, and can when these have gone."""
    sending = Sending(project)
    row = json.dumps({"type": "probe", "body": {}})
    hogs = []
    for _ in range(4):
        hogs.append(socket.create_connection(("127.0.0.1", sending.console.port)))
        head = f"POST /send HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {SEND}\r\nContent-Length: {LARGEST}\r\n\r\n"
        hogs[-1].sendall(head.encode() + b" " * (LARGEST - 1))
    # Before, the room that a message takes may be what one of the four lacks: that one would be refused.
    wait_until(lambda: unread(sending.console.port) == 0, 60, "all of them is read")
    answers = []

    def status():
        answers.append(sending.curl(row))
        return answers[-1][0]

    wait_until(lambda: status() == 429, 60, lambda: f"nobody is refused: {answers[-3:]}")
    expect("too much waits to be sent: try again" in answers[-1][1][0], f"{answers[-1]}")
    for hog in hogs:
        hog.close()
    wait_until(lambda: status() == 200, 60, lambda: f"nobody can send any more: {answers[-3:]}")
    sent = {answer[1][0] for answer in answers if answer[0] == 200}
    wait_until(lambda: done(project) == sent, 60, lambda: f"sent: {sent}, done: {done(project)}")
    sending.end()


def disturb(project, proxy, sending):
    """The console is killed; a broker that is a server cannot be reached for a while."""
    if project.broker == "sqlite":
        status = sending.console.read_json("/status")["worker"]
        known = {sending.worker.pid, *(process["pid"] for process in status["processes"])}
        victims = [pid for pid in sending.worker.tree() if pid not in known]
        expect(victims, f"no console to kill: {known}")
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        sending.console.wait_ready()
    else:
        target, proxy.target = proxy.target, free_port()
        proxy.cut()
        threading.Event().wait(0.3)
        proxy.target = target


def what_is_answered_is_there(project):
    url = urlsplit(project.url)
    answered, unanswered, ending, broken = set(), set(), threading.Event(), []

    def send(sending, name):
        n = 0
        with sending.client() as client:
            while not ending.is_set():
                n += 1
                try:
                    answered.add(client.send("probe", {}, id=f"{name}-{n}"))
                except bide.SendError as error:
                    unanswered.add(f"{name}-{n}")
                    if not str(error):
                        broken.append("a failure without a text")
                except Exception as error:
                    broken.append(repr(error))
                    return

    with Proxy(url.port or 1) as proxy:
        if project.broker != "sqlite":
            project.url = project.url.replace(f":{url.port}", f":{proxy.port}", 1)
        sending = Sending(project)
        threads = [threading.Thread(target=send, args=(sending, name), daemon=True) for name in range(SENDERS)]
        for thread in threads:
            thread.start()
        for _ in range(DISTURBANCES):
            before = len(answered)
            wait_until(lambda: len(answered) > before + 200, 60, lambda: f"{len(answered)} answers")
            disturb(project, proxy, sending)
        before = len(answered)
        wait_until(lambda: len(answered) > before + 50, 60, "sending goes on")
        ending.set()
        for thread in threads:
            thread.join(60)
            expect(not thread.is_alive(), "a sender hangs")
        expect(not broken, f"{broken[:3]}")
        wait_until(lambda: done(project) >= answered, 60, lambda: f"answered and not there: {sorted(answered - done(project))[:5]}")
        expect(done(project) <= answered | unanswered, "what nobody sent")
        sending.end()


def a_host_that_only_sends(project):
    sending = Sending(project, handlers=[])
    project.bide("check")  # exit 0, as for the worker
    ids = sending.client().send_many({"type": "later", "body": {"n": n}} for n in range(50))
    expect(len(set(ids)) == 50, f"{ids[:3]}")
    queues = {row["name"]: row["ready"] for row in project.status()["queues"]}
    expect(queues.get("default") == 50, f"it took something: {queues}")
    project.configure(handlers=[], http={"listen": f"127.0.0.1:{sending.console.port}", "token": OPERATE})
    os.kill(sending.worker.pid, signal.SIGHUP)
    wait_until(lambda: not sending.socket.exists(), 60, "the reload takes the socket away")
    sending.console.wait_ready()
    expect(bide.Client(sending.url, OPERATE).send("later", {}), "after a reload")
    sending.end()
    project.configure(handlers=[])
    expect("http.send_socket" in project.bide("worker", expect=78).stderr, "neither handlers nor http")


main(every_client, a_duplicate_is_answered_with_the_holder, streams_by_every_client, a_sender_may_send_and_nothing_else, too_much_waits, what_is_answered_is_there, a_host_that_only_sends)
