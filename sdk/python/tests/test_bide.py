"""The SDK against a bide that this test plays: over a socket, and over HTTP."""

import fcntl
import json
import os
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import bide  # noqa: E402

PROGRAM = """
import asyncio, os, sys, time
import bide

@bide.handler("echo")
def echo(message):
    bide.send("mail", {"to": 1}, delay="90s")
    bide.log("info", "seen", n=1)
    bide.progress(1, 2)
    return message.json()

@bide.handler("dead")
def dead(message):
    raise bide.Dead("no such picture")

@bide.handler("later")
def later(message):
    raise bide.Retry("soon", after="1.5s")

@bide.handler("bug")
def bug(message):
    return {}["key"]

@bide.handler("bytes")
def count(message):
    return len(message.body)

@bide.handler("set")
def no_json(message):
    return {1, 2}

@bide.handler("nan")
def nan(message):
    return float("nan")

@bide.handler("surrogate")
def surrogate(message):
    raise OSError("no file '\\udcff'")

@bide.handler("exit")
def leave(message):
    sys.exit(3)

@bide.handler("wait")
def wait(message):
    while not message.cancelled:
        time.sleep(0.01)
    raise bide.Retry("cancelled in time")

if os.environ.get("WITH_BATCH"):
    def outcomes(messages):
        for message in messages:
            if message.text == "all":
                raise bide.Retry("none of them")
            if message.text == "send":
                message.send("mail")
            if message.text == "inside":
                bide.send("mail")
        return [bide.Dead("no") if message.text == "dead" else message.text for message in messages]

    @bide.batch_handler("many")
    def many(messages):
        return None if len(messages) == 1 else outcomes(messages) + [1] * (messages[0].text == "long")

    @bide.batch_handler("many-async")
    async def many_async(messages):
        await asyncio.sleep(0)
        return outcomes(messages)

if os.environ.get("WITH_ASYNC"):
    @bide.handler("sleep")
    async def sleep(message):
        bide.send("from-async")
        await asyncio.sleep(message.json())
        return "slept"

bide.serve()
"""


class Program:
    """A running program; read(n) waits for the next n lines it writes."""

    def __init__(self, concurrency=1, **environment):
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "tasks.py"
        path.write_text(PROGRAM)
        ours, theirs = socket.socketpair()
        self.channel, self.rest = ours, b""
        ours.settimeout(30)
        self.process = subprocess.Popen(
            [sys.executable, str(path)], pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": str(ROOT), "BIDE_FD": str(theirs.fileno()), **environment})
        theirs.close()
        self.write({"bide": 1, "program": "tasks", "concurrency": concurrency, "max_line": 10000})
        (self.hello,) = self.read(1)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.process.kill()
        self.process.wait()
        self.channel.close()
        self.folder.cleanup()

    def write(self, *lines):
        self.channel.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    def all_read(self):
        """Waits until the program has read what was written."""
        deadline = time.monotonic() + 30
        while struct.unpack("i", fcntl.ioctl(self.channel, termios.TIOCOUTQ, bytes(4)))[0]:
            if time.monotonic() > deadline:
                raise AssertionError("the program does not read")
            time.sleep(0.01)

    def read(self, n):
        while self.rest.count(b"\n") < n:
            data = self.channel.recv(65536)
            if not data:
                raise AssertionError(f"the program has gone: {self.rest!r}")
            self.rest += data
        *lines, self.rest = self.rest.split(b"\n", n)
        return [json.loads(line) for line in lines]

    def run(self, number, type, body="", **more):
        self.write({"run": number, "id": f"i{number}", "type": type, "queue": "default", "attempt": 1, "attempts": 25, "body": body, **more})


class Protocol(unittest.TestCase):
    def check_runs(self, program):
        program.run(1, "echo", '{"u":1}')
        self.assertEqual(program.read(4), [
            {"run": 1, "send": {"type": "mail", "body": {"to": 1}, "delay": "90000ms"}},
            {"run": 1, "log": "info", "text": "seen", "fields": {"n": 1}},
            {"run": 1, "progress": [1, 2]},
            {"run": 1, "done": {"result": {"u": 1}}}])
        for number, type in ((2, "dead"), (3, "later"), (4, "unknown"), (5, "bug"), (6, "set"), (21, "nan"), (22, "surrogate"), (23, "exit")):
            program.run(number, type)
        program.write({"run": 7, "id": "i7", "type": "bytes", "body_base64": "/wA="})
        answers = {line["run"]: line for line in program.read(9)}
        self.assertEqual(answers[2], {"run": 2, "dead": "no such picture"})
        self.assertEqual(answers[3], {"run": 3, "retry": "soon", "after_ms": 1500})
        program.run(24, "bytes", "x" * 1_000_000)  # comes in many pieces
        self.assertEqual(program.read(1), [{"run": 24, "done": {"result": 1_000_000}}])
        self.assertIn("no handler for the type unknown", answers[4]["dead"])
        self.assertEqual(answers[5]["retry"], "KeyError: 'key'")
        self.assertTrue(answers[5]["trace"].rstrip().endswith("KeyError: 'key'"))
        self.assertIn("cannot be written as JSON", answers[6]["retry"])
        self.assertIn("cannot be written as JSON", answers[21]["retry"])
        self.assertEqual(answers[22]["retry"], "OSError: no file '?'")
        self.assertEqual(answers[23]["retry"], "SystemExit: 3")
        self.assertEqual(answers[7], {"run": 7, "done": {"result": 2}})

    def leaves(self, program):
        program.write({"leave": True})
        self.assertEqual(program.process.wait(30), 0)

    def test_one_at_a_time(self):
        with Program() as program:
            self.assertEqual(program.hello["types"], ["bug", "bytes", "dead", "echo", "exit", "later", "nan", "set", "surrogate", "wait"])
            self.check_runs(program)
            program.run(8, "wait")
            program.write({"cancel": 8}, {"cancel": 99})
            self.assertEqual(program.read(1), [{"run": 8, "retry": "cancelled in time"}])
            self.leaves(program)

    def test_on_threads(self):
        with Program(concurrency=10) as program:
            self.check_runs(program)
            for number in range(10, 15):
                program.run(number, "wait")
            program.run(20, "bytes", "xyz")  # beside five that wait
            self.assertEqual(program.read(1), [{"run": 20, "done": {"result": 3}}])
            program.write({"leave": True}, *({"cancel": number} for number in range(10, 15)))
            self.assertEqual(sorted(line["run"] for line in program.read(5)), [10, 11, 12, 13, 14])
            self.assertEqual(program.process.wait(30), 0)

    def test_async(self):
        with Program(concurrency=10, WITH_ASYNC="1") as program:
            for number in range(5):
                program.run(number, "sleep", "60")
            program.run(9, "sleep", "0.01")
            program.run(10, "bytes", "x")  # a sync one beside them
            lines = program.read(8)
            self.assertEqual(sum("send" in line for line in lines), 6)
            self.assertIn({"run": 9, "done": {"result": "slept"}}, lines)
            self.assertIn({"run": 10, "done": {"result": 1}}, lines)
            program.write(*({"cancel": number} for number in range(5)))
            self.assertEqual({line["retry"] for line in program.read(5)}, {"cancelled"})
            self.leaves(program)

    def test_cancelled_before_it_begins(self):
        with Program(concurrency=10, WITH_ASYNC="1") as program:
            program.write({"run": 1, "id": "i1", "type": "sleep", "queue": "default", "attempt": 1, "attempts": 25, "body": "60"},
                          {"cancel": 1})
            self.assertEqual(program.read(1), [{"run": 1, "retry": "cancelled"}])
            self.leaves(program)

    def test_cancelled_while_it_leaves(self):
        with Program(concurrency=10, WITH_ASYNC="1") as program:
            program.run(1, "sleep", "60")
            program.run(2, "wait")
            self.assertEqual(program.read(1), [{"run": 1, "send": {"type": "from-async"}}])
            program.write({"leave": True})
            program.all_read()
            program.write({"cancel": 1}, {"cancel": 2})
            self.assertEqual({line["run"] for line in program.read(2)}, {1, 2})
            self.assertEqual(program.process.wait(30), 0)

    def test_without_bide(self):
        done = subprocess.run([sys.executable, "-c", "import bide; bide.serve()"], capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": str(ROOT), "BIDE_FD": ""})
        self.assertEqual(done.returncode, 1)
        self.assertIn("bide dev -- python3", done.stderr)


class Testing(unittest.TestCase):
    def test_run(self):
        def thumb(message):
            if message.last_attempt:
                raise bide.Dead("too often")
            bide.send("mail", b"\xff", expires="1h", headers={"a": "b"})
            return {"width": message.json()["u"]}

        good = bide.testing.run(thumb, {"u": 100})
        self.assertEqual((good.outcome, good.result), ("done", {"width": 100}))
        self.assertEqual(good.sent, [{"type": "mail", "body_base64": "/w==", "expires": "3600000ms", "headers": {"a": "b"}}])
        self.assertEqual(bide.testing.run(thumb, {"u": 1}, attempt=25).error, "too often")

        async def slow(message):
            return message.cancelled

        self.assertTrue(bide.testing.run(slow, cancelled=True).result)

    def test_outside_a_handler(self):
        with self.assertRaisesRegex(RuntimeError, "Client"):
            bide.send("mail")

    def test_durations(self):
        for given, ms in (("250ms", 250), ("1.5s", 1500), ("1h30m", 5_400_000), (2, 2000), ("7d", 604_800_000)):
            self.assertEqual(bide._milliseconds(given), ms)
        for bad in ("", "5", "s", "1 s", "-1s"):
            with self.assertRaises(ValueError):
                bide._milliseconds(bad)


class Sending(unittest.TestCase):
    def setUp(self):
        self.seen, self.answers = [], []
        test = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                test.seen.append((self.path, self.headers["Authorization"], text))
                status, answer = test.answers.pop(0)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *words):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def test_transactions(self):
        self.answers = [(200, '{"id":"o","state":"prepared"}'), (200, '{"id":"o","state":"committed"}'), (409, '{"error":"it is aborted"}')]
        with bide.Client(f"http://127.0.0.1:{self.server.server_port}") as client:
            self.assertEqual(client.prepare("mail", {"to": 1}, id="o", check="mail-check", deadline="1m", checks=3), "o")
            self.assertEqual(self.seen[0][0], "/transactions")
            self.assertEqual(json.loads(self.seen[0][2]), {"check": "mail-check", "message": {"type": "mail", "body": {"to": 1}, "id": "o"}, "checks": 3, "deadline": "60000ms"})
            client.commit("a/b")
            self.assertEqual(self.seen[1][0], "/transactions/a%2Fb/commit")
            with self.assertRaises(bide.SendError) as raised:
                client.abort("o")
            self.assertEqual((raised.exception.status, str(raised.exception)), (409, "it is aborted"))

    def test_a_check_answers(self):
        for answer, word in ((bide.COMMIT, "commit"), (bide.ABORT, "abort"), (None, None), ("commit", None)):
            done = bide.testing.run(lambda message, answer=answer: answer, headers={"bide-transaction": "o"})
            self.assertEqual((done.outcome, done.transaction), ("done", word))
        seen = bide.testing.run(lambda message: message.transaction, headers={"bide-transaction": "o"})
        self.assertEqual(seen.result, "o")

    def test_client(self):
        self.answers = [(200, "id-1\n"), (200, "id-1\nid-2\n"), (400, 'id-1\n{"line":2,"error":"line 2: no type"}\n'), (503, "")]
        with bide.Client(f"http://127.0.0.1:{self.server.server_port}", token="secret") as client:
            self.assertEqual(client.send("mail", {"to": 1}, delay="1m"), "id-1")
            self.assertEqual(self.seen[0], ("/send", "Bearer secret", '{"type":"mail","body":{"to":1},"delay":"60000ms"}\n'))
            self.assertEqual(client.send_many([{"type": "a"}, {"type": "b", "body": "x"}]), ["id-1", "id-2"])
            with self.assertRaisesRegex(bide.SendError, "line 2") as caught:
                client.send_many([{"type": "a"}, {"type": ""}])
            self.assertEqual(caught.exception.confirmed, ["id-1"])
            with self.assertRaisesRegex(bide.SendError, "HTTP 503"):
                client.send("a")
        self.answers = [(200, "{a}\n"), (200, ' b\n{"c\n')]
        with bide.Client(f"http://127.0.0.1:{self.server.server_port}") as client:
            self.assertEqual(client.send("mail", id="{a}"), "{a}")
            self.assertEqual(client.send_many([{"type": "a"}, {"type": "b"}]), [" b", '{"c'])
        with self.assertRaises(bide.SendError):
            bide.Client("http://127.0.0.1:1").send("a")
        with self.assertRaises(ValueError):
            bide.Client("127.0.0.1:9470").send("a")

    def test_client_sends_once(self):
        """An answer that is lost, or no HTTP, is a SendError, not a second request; the next send connects again."""
        taken = []
        with socket.create_server(("127.0.0.1", 0)) as server:
            def serve():
                for answer in (b"", b"rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nid\n"):
                    end, _ = server.accept()
                    with end:
                        taken.append(end.recv(65536))
                        end.sendall(answer)
            threading.Thread(target=serve, daemon=True).start()
            with bide.Client(f"http://127.0.0.1:{server.getsockname()[1]}", timeout=10) as client:
                for _ in range(2):
                    with self.assertRaises(bide.SendError):
                        client.send("a")
                self.assertEqual(client.send("a"), "id")
        self.assertEqual(len(taken), 3)

    def test_once_sqlite(self):
        """The id is written with the work or not at all."""
        with tempfile.TemporaryDirectory() as folder:
            db = sqlite3.connect(folder + "/once.db", isolation_level=None)
            db.execute("CREATE TABLE work (id TEXT)")
            seen = []

            def work(message):
                with bide.once_sqlite(db, message) as is_new:
                    seen.append(is_new)
                    if is_new:
                        db.execute("INSERT INTO work VALUES (?)", (message.id,))
                        if message.attempt == 1:
                            raise RuntimeError("after its work")

            for attempt, outcome in ((1, "retry"), (2, "done"), (3, "done")):
                self.assertEqual(bide.testing.run(work, id="a", attempt=attempt).outcome, outcome)
            self.assertEqual((seen, db.execute("SELECT count(*) FROM work").fetchone()[0]), ([True, True, False], 1))
            self.assertEqual(bide.testing.run(work, id="").outcome, "retry")  # which copy of what would it be?
            db.close()
            db = AlwaysOpen(folder + "/once.db", isolation_level=None)
            for attempt, outcome in ((1, "retry"), (2, "done"), (3, "done")):
                self.assertEqual(bide.testing.run(work, id="b", attempt=attempt).outcome, outcome)
            self.assertTrue(db.in_transaction)
            db.close()
            with sqlite3.connect(folder + "/once.db") as other:
                self.assertEqual(other.execute("SELECT id FROM work ORDER BY id").fetchall(), [("a",), ("b",)])
            other.close()

    def test_outbox_send(self):
        """The message is there with the transaction, or not at all; it works together with once_sqlite."""
        with tempfile.TemporaryDirectory() as folder:
            for connection in ({}, {"isolation_level": None}):
                db = sqlite3.connect(folder + f"/{len(connection)}.db", **connection)
                db.execute("CREATE TABLE work (n)")
                db.execute("BEGIN")
                bide.outbox_send(db, "gone")
                db.rollback()
                db.execute("BEGIN")
                made = bide.outbox_send(db, "mail", {"to": "ü"}, delay="1.5s", queue="q", headers={"a": "b"})
                self.assertEqual(bide.outbox_send(db, "mail", b"\0", id="mine"), "mine")
                self.assertTrue(db.in_transaction)
                db.commit()
                rows = db.execute("SELECT id, type, queue, body, headers, due_ms - sent_ms, refused FROM bide_outbox ORDER BY seq").fetchall()
                self.assertEqual(rows, [(made, "mail", "q", '{"to":"ü"}'.encode(), '{"a": "b"}', 1500, None),
                                        ("mine", "mail", None, b"\0", None, None, None)])
                age_ms = time.time() * 1000 - db.execute("SELECT max(sent_ms) FROM bide_outbox").fetchone()[0]
                self.assertTrue(-1000 < age_ms < 60000, age_ms)
                with self.assertRaises(ValueError):
                    bide.outbox_send(db, "")
                db.close()
            db = sqlite3.connect(folder + "/both.db", isolation_level=None)

            def work(message):
                with bide.once_sqlite(db, message) as is_new:
                    if is_new:
                        bide.outbox_send(db, "next", id=message.id + "-next")
                        if message.attempt == 1:
                            raise RuntimeError("after its work")

            db.execute("ATTACH ? AS other", (folder + "/other.db",))
            db.execute("CREATE TABLE other.bide_outbox (id)")
            for attempt in (1, 2, 3):
                bide.testing.run(work, id="a", attempt=attempt)
            self.assertEqual(db.execute("SELECT id FROM main.bide_outbox").fetchall(), [("a-next",)])
            db.close()


class Batches(unittest.TestCase):
    def check(self, program, type, first=1):
        def ask(*bodies):
            nonlocal first
            for at, body in enumerate(bodies):
                line = {"run": first + at, "id": f"i{first + at}", "type": type, "queue": "q", "attempt": 1, "attempts": 25, "body": body}
                program.write({"run": line.pop("run"), **({"batch": len(bodies)} if at == 0 else {}), **line})
            first += len(bodies)
            return [{key: value for key, value in line.items() if key != "trace"} for line in program.read(len(bodies) + ("send" in bodies))]

        n = first
        self.assertEqual(ask("a", "dead", "b"), [{"run": n, "done": {"result": "a"}}, {"run": n + 1, "dead": "no"}, {"run": n + 2, "done": {"result": "b"}}])
        self.assertEqual(ask("send", "b"), [{"run": n + 3, "send": {"type": "mail"}}, {"run": n + 3, "done": {"result": "send"}},
                                            {"run": n + 4, "done": {"result": "b"}}])
        self.assertEqual(ask("a", "all"), [{"run": n + 5, "retry": "none of them"}, {"run": n + 6, "retry": "none of them"}])
        self.assertIn("of batches: message.send", ask("inside", "b")[1]["retry"])
        return n + 9

    def test_outcomes(self):
        for concurrency in (1, 2):
            with Program(concurrency, WITH_BATCH="1") as program:
                self.assertEqual(program.hello["batch"], ["many", "many-async"])
                n = self.check(program, "many")
                n = self.check(program, "many-async", n)
                program.write({"run": n, "batch": 1, "id": "i", "type": "many", "body": "x"})
                self.assertEqual(program.read(1), [{"run": n, "done": {}}])
                for at in range(2):
                    program.write({"run": n + 1 + at, **({} if at else {"batch": 2}), "id": "i", "type": "many", "body": "long"})
                self.assertIn("returns None or a list", program.read(2)[1]["retry"])

    def test_without_bide(self):
        def work(messages):
            messages[1].send("mail")
            return [None, bide.Retry("later", after=2)]

        first, second = bide.testing.run_batch(work, [{"a": 1}, "x"])
        self.assertEqual((first.outcome, second.outcome, second.after_ms, second.sent), ("done", "retry", 2000, [{"type": "mail"}]))
        self.assertEqual([one.outcome for one in bide.testing.run_batch(lambda messages: 1, ["a", "b"])], ["retry"] * 2)

    def test_once_sqlite(self):
        db, seen = sqlite3.connect(":memory:", isolation_level=None), []

        def work(messages):
            with bide.once_sqlite(db, messages) as new:
                seen.append([message.id for message in new])

        bide.testing.run_batch(work, ["a"])
        bide.testing.run_batch(work, ["a", "b"])
        bide.testing.run_batch(work, ["a", "b"])
        self.assertEqual(seen, [["test"], ["test-2"], []])
        db.close()


class AlwaysOpen(sqlite3.Connection):
    """As one with autocommit=False of Python 3.12, which this Python may not know."""

    autocommit = False

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.execute("BEGIN")

    def commit(self):
        super().commit()
        self.execute("BEGIN")

    def rollback(self):
        super().rollback()
        self.execute("BEGIN")


if __name__ == "__main__":
    unittest.main()
