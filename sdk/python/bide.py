"""Handlers and producers for bide, the framework for messages that run later or again.

    import bide

    @bide.handler("thumb")
    def thumb(message):                         # or async def: several at once
        if message.attempt > 3:
            raise bide.Dead("no such picture")  # hopeless: kept for a person
        bide.send("mail", {"to": 1}, delay="90s")  # sent if, and only if, this run ends well
        return {"width": 100}

    bide.serve()

Start it in development with `bide dev -- python3 tasks.py`. In production the configuration names it as a program. Standard library only;
Python 3.9 and newer. The protocol stands in docs/program-protocol.md.
"""

from __future__ import annotations

import asyncio
import base64
import collections
import contextlib
import contextvars
import http.client
import inspect
import io
import json
import os
import queue
import select
import socket
import sys
import threading
import time
import traceback
import uuid
from typing import Any, Callable, Iterable, Mapping, Optional, Union
from urllib.parse import quote, urlencode, urlsplit

__version__ = "0.1.0"
__all__ = ["ABORT", "COMMIT", "Client", "Dead", "Message", "Retry", "SendError", "batch_handler", "handler", "log", "once_sqlite", "outbox_send", "progress", "send", "serve", "testing"]

Body = Union[None, bytes, str, Mapping[str, Any], list]
Duration = Union[str, int, float]  # "90s", or a number of seconds
_TRACE_BYTES = 4096
_READ_BYTES = 1 << 16  # much more would make malloc map and unmap pages for each read
_CONCURRENCY = 1000  # the most that a process takes at once unless serve() says less; the configuration decides


class Dead(Exception):
    """Raised by a handler: the message is hopeless and becomes a dead letter with this text."""


class Retry(Exception):
    """Raised by a handler: run it again later. `after`: seconds, or a duration such as "1.5s"; without it the policy decides.
    `limit`: it was too much (429) for this limit of the handler, "" for all: its key waits so long, and the attempt is spared."""

    def __init__(self, text: str = "", after: Optional[Duration] = None, limit: Optional[str] = None):
        super().__init__(text)
        self.after_ms = None if after is None else _milliseconds(after)
        self.limit = limit


class SendError(Exception):
    """Client: the message was refused, or nobody confirmed it. `confirmed`: the ids that were (send_many). `status`: of HTTP, such as 409
    (a transaction has been decided otherwise) or 404; 0 where there was no answer."""

    def __init__(self, text: str, confirmed: Iterable[str] = (), status: int = 0):
        super().__init__(text)
        self.confirmed = list(confirmed)
        self.status = status


class _Answer:
    def __init__(self, word: str):
        self.word = word

    def __repr__(self) -> str:
        return f"bide.{self.word.upper()}"


# What the handler of a `check` returns (docs/transactions.md): it has committed, or it has not and never will. Anything else: not known yet.
COMMIT, ABORT = _Answer("commit"), _Answer("abort")


def _milliseconds(value: Duration) -> int:
    if isinstance(value, (int, float)):
        return max(0, round(value * 1000))
    units, total, number = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}, 0.0, ""
    at = 0
    while at < len(value):
        if value[at].isdigit() or value[at] == ".":
            number, at = number + value[at], at + 1
            continue
        unit = "ms" if value.startswith("ms", at) else value[at]
        if unit not in units or not number:
            raise ValueError(f"{value!r} is not a duration: write for example 250ms, 1.5s, 10m or 1h30m")
        total, number, at = total + float(number) * units[unit], "", at + len(unit)
    if number or not value:
        raise ValueError(f"{value!r} is not a duration: a unit is missing")
    return round(total)


def _envelope(type: str, body: Body = None, *, id: Optional[str] = None, queue: Optional[str] = None, topic: Optional[str] = None,
              delay: Optional[Duration] = None, at: Union[None, str, Any] = None, expires: Optional[Duration] = None,
              headers: Optional[Mapping[str, str]] = None, content_type: Optional[str] = None, unique: Optional[str] = None,
              unique_for: Optional[Duration] = None, on_conflict: Optional[str] = None, max_wait: Optional[Duration] = None) -> dict:
    """A message as one object of `bide send --lines`."""
    if delay is not None and at is not None:
        raise ValueError("delay and at: give one of them")
    row: dict = {"type": type}
    if isinstance(body, (bytes, bytearray, memoryview)):
        row["body_base64"] = base64.b64encode(bytes(body)).decode()
    elif body is not None:
        row["body"] = body
    for key, value in (("id", id), ("queue", queue), ("topic", topic), ("content_type", content_type), ("unique", unique), ("on_conflict", on_conflict)):
        if value is not None:
            row[key] = value
    for key, value in (("delay", delay), ("expires", expires), ("unique_for", unique_for), ("max_wait", max_wait)):
        if value is not None:
            row[key] = f"{_milliseconds(value)}ms"
    if at is not None:
        row["at"] = at if isinstance(at, str) else at.astimezone().isoformat()
    if headers:
        row["headers"] = dict(headers)
    return row


class Message:
    """What a handler gets. Valid while the handler runs."""

    __slots__ = ("id", "type", "queue", "attempt", "attempts", "due_ms", "sent_ms", "headers", "content_type", "body",
                 "_run", "_line", "_deadline")

    def __init__(self, row: Mapping[str, Any], run: "_Run"):
        self.id: str = row["id"]
        self.type: str = row["type"]
        self.queue: str = row.get("queue", "")
        self.attempt: int = row.get("attempt", 1)
        self.attempts: int = row.get("attempts", 1)
        self.due_ms: int = row.get("due_ms", 0)
        self.sent_ms: int = row.get("sent_ms", 0)
        self.headers: Mapping[str, str] = row.get("headers") or {}
        self.content_type: str = row.get("content_type", "")
        text = row.get("body")
        self.body: bytes = text.encode() if text is not None else base64.b64decode(row.get("body_base64", ""))
        self._run = run
        timeout_ms = row.get("timeout_ms")
        self._deadline = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000

    @property
    def transaction(self) -> Optional[str]:
        """Of a message that asks what became of a transaction: its id. Else None."""
        return self.headers.get("bide-transaction")

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def last_attempt(self) -> bool:
        """A retry now makes a dead letter."""
        return self.attempt >= self.attempts

    @property
    def cancelled(self) -> bool:
        """The timeout has passed, or the worker must leave: end soon; raising Retry is a good answer."""
        return self._run.is_cancelled()

    @property
    def remaining(self) -> Optional[float]:
        """Seconds until the timeout; None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def send(self, type: str, body: Body = None, **options: Any) -> None:
        """A message that is sent if, and only if, the run of this one ends well. Options as of bide.send."""
        self._run.write({"run": self._run.number, "send": _envelope(type, body, **options)})

    def log(self, level: str, text: str, **fields: Any) -> None:
        """A line in bide's log that carries this message's id. Levels: debug, info, warn, error."""
        self._run.write({"run": self._run.number, "log": level, "text": text, "fields": fields})


_handlers: dict = {}
_batch_types: set = set()  # those of _handlers that take batches
_current: contextvars.ContextVar = contextvars.ContextVar("bide_run")


def handler(type: str) -> Callable:
    """Registers a function, sync or async, for a message type."""

    def register(function: Callable) -> Callable:
        if type in _handlers:
            raise ValueError(f"two handlers for the type {type!r}")
        _handlers[type] = function
        return function

    return register


def batch_handler(type: str) -> Callable:
    """Registers a function, sync or async, that gets a list of messages in one call (docs/batches.md; `batch` of the configuration says
    how many). It returns None, all are done, or a list with an entry for each message, in order: an exception (bide.Dead("…"),
    bide.Retry("…"), any other) is its failure, anything else its result. What it raises holds for all of them."""
    register = handler(type)

    def register_batch(function: Callable) -> Callable:
        _batch_types.add(type)
        return register(function)

    return register_batch


class _Run:
    """One run of a message. Lines go out through `write`; `cancel` is set by the reader."""

    __slots__ = ("number", "write", "look", "cancel", "task")

    def __init__(self, number: int, write: Callable[[dict], None], look: Optional[Callable[[], None]] = None):
        self.number, self.write, self.look = number, write, look
        self.cancel, self.task = False, None

    def is_cancelled(self) -> bool:
        if not self.cancel and self.look:
            self.look()
        return self.cancel


def _run() -> _Run:
    run = _current.get(None)
    if run is None:
        raise RuntimeError("this works inside a handler only (of batches: message.send, message.log); elsewhere send with bide.Client")
    return run


def send(type: str, body: Body = None, **options: Any) -> None:
    """Inside a handler: a message that is sent if, and only if, this run ends well. Options: id, queue, topic, delay, at, expires, headers,
    content_type."""
    run = _run()
    run.write({"run": run.number, "send": _envelope(type, body, **options)})


def log(level: str, text: str, **fields: Any) -> None:
    """Inside a handler: a line in bide's log that carries the message's id. Levels: debug, info, warn, error."""
    run = _run()
    run.write({"run": run.number, "log": level, "text": text, "fields": fields})


def progress(done: int, total: int) -> None:
    """Inside a handler: how far this run is."""
    run = _run()
    run.write({"run": run.number, "progress": [done, total]})


# ---- what a handler's end means ----


@contextlib.contextmanager
def once_sqlite(connection: Any, message: Union[Message, list]):
    """A transaction of a sqlite3 connection in which the message's id is written, so that its work takes effect exactly once:

        with bide.once_sqlite(db, message) as is_new:
            if is_new:                      # else it has been done
                db.execute("UPDATE …")      # no commit of your own

    With a list of messages, for a batch handler: yields those of them that are new.

    A connection with autocommit=False (Python 3.12) always has an open transaction: that one is used.
    """
    messages = message if isinstance(message, list) else [message]
    if not all(one.id for one in messages):
        raise ValueError("once_sqlite: the message has no id, so it cannot be told from others")
    always_open = getattr(connection, "autocommit", None) is False
    if not always_open:
        connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS bide_once (type TEXT NOT NULL, id TEXT NOT NULL, "
                           "at INTEGER NOT NULL, PRIMARY KEY (type, id)) WITHOUT ROWID")
        sql = "INSERT INTO bide_once VALUES (?, ?, strftime('%s', 'now')) ON CONFLICT DO NOTHING"
        new = [one for one in messages if connection.execute(sql, (_effect(one), one.id)).rowcount == 1]
        yield new if isinstance(message, list) else bool(new)
        connection.commit()
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise


def _effect(message: Message) -> str:
    """Of the copies of subscriptions (SUB@TOPIC) each has its own effect."""
    return f"{message.type}@{message.queue}" if "@" in message.queue else message.type


def _batch_answers(result: Any, n: int) -> list:
    """What a batch handler returned, as an answer for each message."""
    if result is None:
        return [_done(None)] * n
    if not isinstance(result, (list, tuple)) or len(result) != n:
        raise TypeError(f"a batch handler returns None or a list with an entry for each of its {n} messages, not {result!r:.60}")
    return [_failed(one) if isinstance(one, BaseException) else _done(one) for one in result]


# ---- the outbox: docs/outbox.md ----

_NOW_MS = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
# As `bide schema sqlite` prints it.
_OUTBOX = f"""CREATE TABLE IF NOT EXISTS bide_outbox (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL DEFAULT (lower(hex(randomblob(16)))),
  type TEXT NOT NULL,
  queue TEXT,
  body BLOB,
  content_type TEXT,
  headers TEXT,
  due_ms INTEGER,
  expires_ms INTEGER,
  sent_ms INTEGER NOT NULL DEFAULT ({_NOW_MS}),
  refused TEXT
)"""


def outbox_send(connection: Any, type: str, body: Body = None, id: Optional[str] = None, delay: Optional[Duration] = None,
                queue: Optional[str] = None, headers: Optional[Mapping[str, str]] = None) -> str:
    """Inserts a message into the table bide_outbox of an open sqlite3 connection, in its transaction: it is sent if, and only if, that
    commits. Commits nothing itself. The table is in the connection's main database, whatever else is attached to it.
    `bide relay --from outbox+sqlite:FILE` carries it to the broker. Returns the message's id.

        with db:                                          # a transaction of sqlite3
            db.execute("INSERT INTO orders …")
            bide.outbox_send(db, "payment", {"order": 42})
    """
    if not type:
        raise ValueError("outbox_send: a message needs a type")
    id = id or uuid.uuid4().hex
    if isinstance(body, (bytearray, memoryview)):
        body = bytes(body)
    elif body is not None and not isinstance(body, bytes):
        body = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    row = (id, type, queue, body, json.dumps(dict(headers)) if headers else None, _milliseconds(delay) if delay is not None else None)
    insert = ("INSERT INTO main.bide_outbox (id, type, queue, body, headers, due_ms, sent_ms) "
              "SELECT ?, ?, ?, ?, ?, now + ?, now FROM (SELECT " + _NOW_MS + " AS now)")
    if not connection.execute("SELECT 1 FROM main.sqlite_master WHERE name = 'bide_outbox'").fetchone():
        connection.execute(_OUTBOX)
    connection.execute(insert, row)
    return id


def _done(result: Any) -> dict:
    if isinstance(result, _Answer):
        return {"done": {"transaction": result.word}}
    return {"done": {} if result is None else {"result": result}}


def _failed(error: BaseException) -> dict:
    if isinstance(error, Dead):
        return {"dead": str(error) or "rejected by the handler"}
    if isinstance(error, Retry):
        answer: dict = {"retry": str(error) or "the handler asks for a retry"}
        if error.after_ms is not None:
            answer["after_ms"] = error.after_ms
        if error.limit is not None:
            answer["limit"] = error.limit
        return answer
    text = "".join(traceback.format_exception_only(type(error), error)).strip()
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {"retry": text, "trace": trace.encode(errors="replace")[-_TRACE_BYTES:].decode(errors="ignore")}


_json_text = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def _encode(line: Mapping[str, Any]) -> bytes:
    """Half a surrogate pair (a file name that is no UTF-8) becomes "?"; NaN and Infinity are no JSON."""
    return _json_text(line).encode(errors="replace") + b"\n"


def _line(body: Body) -> bytes:
    """A body as a line of a stream."""
    raw = bytes(body) if isinstance(body, (bytes, bytearray, memoryview)) else body.encode() if isinstance(body, str) else None
    line = raw if raw is not None else b"" if body is None else _json_text(body).encode(errors="replace")
    if b"\n" in line:
        raise ValueError("a member of a stream is one line")
    return line + b"\n"


# ---- serving ----


class _Server:
    """The loop of a program. The main thread reads; sync handlers run on it (one at a time) or on threads, async ones on a loop."""

    def __init__(self, channel: socket.socket, concurrency: int):
        self.channel, self.buffer, self.pending = channel, bytearray(), collections.deque()
        self.runs: dict = {}
        self.n_calls = 0  # under way; a batch is one
        self.batch: list = []  # its messages so far
        self.batch_size = 0
        self.lock = threading.Lock()
        self.leaving = False
        self.most = concurrency
        self.jobs: queue.SimpleQueue = queue.SimpleQueue()
        self.n_threads = 0
        self.loop: Optional[asyncio.AbstractEventLoop] = None
        self.coroutines: set = set()  # types whose handlers are async
        self.new_tasks: list = []
        self.idle = threading.Condition(self.lock)

    def write(self, line: Mapping[str, Any]) -> None:
        data = _encode(line)
        with self.lock:
            self.channel.sendall(data)

    def read_lines(self, wait: bool) -> bool:
        """More lines into `pending`. False: the other end has gone."""
        if not wait and not select.select([self.channel], [], [], 0)[0]:
            return True
        data = self.channel.recv(_READ_BYTES)
        self.buffer += data
        if b"\n" in data:
            *lines, self.buffer = self.buffer.split(b"\n")
            self.pending.extend(json.loads(line.decode()) for line in lines)
        return bool(data)

    def look(self) -> None:
        """Called by a handler on the main thread: has its cancellation come?"""
        self.read_lines(wait=False)
        for line in self.pending:
            self.note_cancel(line)

    def note_cancel(self, line: Mapping[str, Any]) -> bool:
        if "cancel" not in line:
            return False
        run = self.runs.get(line["cancel"])
        if run:
            run.cancel = True
            if run.task is not None and self.loop:
                self.loop.call_soon_threadsafe(run.task.cancel)
        return True

    def serve(self, greeting: Mapping[str, Any]) -> None:
        self.most = min(self.most, greeting.get("concurrency", self.most))
        self.coroutines = {type for type, function in _handlers.items() if inspect.iscoroutinefunction(function)}
        if self.coroutines:
            self.loop = asyncio.new_event_loop()
            threading.Thread(target=self.loop.run_forever, name="bide asyncio", daemon=True).start()
        while not self.leaving:
            if not self.pending and not self.read_lines(wait=True):
                return
            while self.pending:
                self.take(self.pending.popleft())
            if self.new_tasks:
                assert self.loop
                self.loop.call_soon_threadsafe(self.start_tasks, self.new_tasks)
                self.new_tasks = []
        if self.runs:
            threading.Thread(target=self.read_on, name="bide cancels", daemon=True).start()
        with self.idle:
            self.idle.wait_for(lambda: not self.runs)

    def read_on(self) -> None:
        """What still runs when this process leaves may be cancelled."""
        try:
            while self.read_lines(wait=True):
                while self.pending:
                    self.note_cancel(self.pending.popleft())
        except OSError:
            pass  # the main thread ends

    def take(self, line: Mapping[str, Any]) -> None:
        if "leave" in line:
            self.leaving = True
        elif "run" in line:
            self.begin(line)
        else:
            self.note_cancel(line)

    def begin(self, line: Mapping[str, Any]) -> None:
        inline = self.most == 1
        run = _Run(line["run"], self.write, self.look if inline else None)
        message = Message(line, run)
        self.runs[run.number] = run
        self.batch_size = line.get("batch", self.batch_size)
        if self.batch_size == 0:
            self.call(message.type, [message], None)
            return
        self.batch.append(message)
        if len(self.batch) == self.batch_size:
            batch, self.batch, self.batch_size = self.batch, [], 0
            self.call(message.type, batch, batch)

    def call(self, type: str, messages: list, batch: Optional[list]) -> None:
        """batch: None where the handler takes a single message."""
        job = (_handlers.get(type), messages, batch)
        with self.lock:
            self.n_calls += 1
        if type in self.coroutines:
            self.new_tasks.append(job)
        elif self.most == 1:
            self.run_sync(*job)
        else:
            self.jobs.put(job)
            if self.n_threads < min(self.most, self.n_calls):
                self.n_threads += 1
                threading.Thread(target=self.work, name="bide handler", daemon=True).start()

    def work(self) -> None:
        while True:
            self.run_sync(*self.jobs.get())

    def run_sync(self, function: Optional[Callable], messages: list, batch: Optional[list]) -> None:
        token = _current.set(messages[0]._run if batch is None else None)
        try:
            if function is None:
                raise Dead(f"this program has no handler for the type {messages[0].type}")
            answers = [_done(function(messages[0]))] if batch is None else _batch_answers(function(batch), len(batch))
        except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever a handler raises is the message's failure
            answers = [_failed(error)] * len(messages)
        finally:
            _current.reset(token)
        self.end(messages, answers)

    def start_tasks(self, tasks: list) -> None:
        for function, messages, batch in tasks:
            self.start_task(function, messages, batch)

    def start_task(self, function: Callable, messages: list, batch: Optional[list]) -> None:
        run, context = messages[0]._run, contextvars.copy_context()
        if run.cancel:
            self.end(messages, [{"retry": "cancelled"}] * len(messages))
            return
        context.run(_current.set, run if batch is None else None)
        assert self.loop
        run.task = context.run(self.loop.create_task, self.run_async(function, messages, batch))
        if run.cancel:  # it came a moment ago; a task that has not begun would end without an answer
            self.loop.call_soon(run.task.cancel)

    async def run_async(self, function: Callable, messages: list, batch: Optional[list]) -> None:
        try:
            answers = [_done(await function(messages[0]))] if batch is None else _batch_answers(await function(batch), len(batch))
        except asyncio.CancelledError:
            answers = [{"retry": "cancelled"}] * len(messages)
        except (Exception, SystemExit) as error:  # noqa: BLE001
            answers = [_failed(error)] * len(messages)
        self.end(messages, answers)

    def end(self, messages: list, answers: list) -> None:
        data = b"".join(self.encode_answer(message._run, answer) for message, answer in zip(messages, answers))
        with self.idle:
            for message in messages:
                del self.runs[message._run.number]
            self.n_calls -= 1
            self.channel.sendall(data)
            if self.leaving:
                self.idle.notify_all()

    @staticmethod
    def encode_answer(run: _Run, answer: dict) -> bytes:
        try:
            return _encode({"run": run.number, **answer})
        except (TypeError, ValueError) as error:
            return _encode({"run": run.number, "retry": f"the result cannot be written as JSON: {error}"})


def serve(concurrency: int = _CONCURRENCY) -> None:
    """Runs handlers until bide says that this process may leave. `concurrency`: the most runs at once in this process; the configuration
    may say less."""
    number = os.environ.get("BIDE_FD", "")
    if not number.isdigit():
        sys.exit("this program is started by bide: try  bide dev -- python3 " + (sys.argv[0] or "tasks.py"))
    for stream in (sys.stdout, sys.stderr):  # what a handler prints gets into the log while it runs
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    channel = socket.socket(fileno=int(number))
    server = _Server(channel, concurrency)
    while not server.pending:
        if not server.read_lines(wait=True):
            return
    greeting = server.pending.popleft()
    hello: dict = {"bide": 1, "types": sorted(_handlers), "concurrency": concurrency, "sdk": f"python {__version__}"}
    if _batch_types:
        hello["batch"] = sorted(_batch_types)
    server.write(hello)
    try:
        server.serve(greeting)
    except (BrokenPipeError, ConnectionResetError):
        pass  # bide has gone; what ran is handed out again


# ---- producing from anywhere: POST /send of a console ----


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Client:
    """Sends messages through a console. url: "http://host:9470", or "unix:/run/bide/send.sock"; default: BIDE_URL of the environment.
    token: default BIDE_TOKEN. One thread at a time."""

    def __init__(self, url: Optional[str] = None, token: Optional[str] = None, timeout: float = 30.0):
        self.url = url or os.environ.get("BIDE_URL", "http://127.0.0.1:9470")
        self.token = token if token is not None else os.environ.get("BIDE_TOKEN", "")
        self.timeout = timeout
        self._connection: Optional[http.client.HTTPConnection] = None

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        if parts.scheme == "unix":
            return _UnixConnection(parts.path, self.timeout)
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        if parts.scheme not in kinds or not parts.hostname:
            raise ValueError(f"{self.url!r} is no URL such as http://127.0.0.1:9470 or unix:/run/bide/send.sock")
        return kinds[parts.scheme](parts.hostname, parts.port, timeout=self.timeout)

    def _post(self, body: bytes, kind: str, method: str = "POST", path: str = "/send") -> tuple:
        headers = {"Content-Type": kind}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self._was_closed():
            self.close()
        self._connection = self._connection or self._connect()
        try:  # never twice: the first request may have been obeyed, and its answer lost
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise SendError(f"{self.url}: {error}") from error
        except BaseException:
            self.close()
            raise

    def _was_closed(self) -> bool:
        """The console closes a kept connection after half a minute: there is then something to read, the end."""
        if not self._connection or not self._connection.sock:
            return False
        poll = select.poll()
        poll.register(self._connection.sock, select.POLLIN)
        return bool(poll.poll(0))

    def send(self, type: str, body: Body = None, **options: Any) -> str:
        """Sends one message; returns its id once the broker has confirmed it. Options: id, queue, topic, delay, at, expires, headers,
        content_type, unique, unique_for, on_conflict, max_wait. Where the unique key is taken: the id of the message that has it."""
        status, text = self._post(_encode(_envelope(type, body, **options)), "application/json")
        if status != 200:
            raise SendError(_error_of(status, text))
        return _id_of(text.rstrip("\n"))

    def send_many(self, rows: Iterable[Mapping[str, Any]]) -> list:
        """Sends many, each a mapping with `type`, `body` and the options of send; returns the ids in order."""
        lines = b"".join(_encode(_envelope(**row)) for row in rows)
        status, text = self._post(lines, "application/x-ndjson")
        ids = [_id_of(line) for line in text.split("\n") if line]
        if status != 200:
            raise SendError(_error_of(status, text), [line for line in ids if not line.startswith(('{"line":', '{"error":'))])
        return ids

    def send_stream(self, type: str, bodies: Iterable[Body], *, queue: Optional[str] = None, topic: Optional[str] = None,
                    subscriptions: Iterable[str] = (), name: Optional[str] = None, on_end: Optional[str] = None,
                    deadline: Optional[Duration] = None) -> str:
        """Sends each body, a line of text or JSON, as a member of a stream with an end; returns the stream's id. To a queue, or to a
        topic, of which these subscriptions are waited for."""
        query = {"type": type, "queue": queue, "topic": topic, "for": ",".join(subscriptions), "name": name, "on_end": on_end,
                 "deadline": None if deadline is None else f"{_milliseconds(deadline)}ms"}
        lines = b"".join(_line(body) for body in bodies)
        path = "/streams?" + urlencode({key: value for key, value in query.items() if value})
        return str(self._ask("POST", path, lines)["stream"])

    def stream(self, id: str) -> dict:
        """What has become of a stream: state ("sending", "running", "complete", "failed", "cancelling", "cancelled") and, for each
        of its queues, total, done, dead, dropped."""
        return self._ask("GET", f"/streams/{quote(id)}")

    def cancel_stream(self, id: str) -> None:
        """Members that have not begun to run are dropped."""
        self._ask("POST", f"/streams/{quote(id)}/cancel")

    def prepare(self, type: str, body: Body = None, *, check: str, check_queue: Optional[str] = None, deadline: Optional[Duration] = None,
                interval: Optional[Duration] = None, checks: Optional[int] = None, **options: Any) -> str:
        """Prepares a message that `commit` sends and `abort` drops; returns its id (docs/transactions.md). Only then begin your own
        transaction. If neither comes by the deadline (60 s), the handler of the type `check` is asked, up to `checks` times (15), at this
        interval (60 s). Options: id, the key of your transaction; the others of send."""
        row: dict = {"check": check, "message": _envelope(type, body, **options)}
        row.update({key: value for key, value in (("check_queue", check_queue), ("checks", checks)) if value is not None})
        row.update({key: f"{_milliseconds(value)}ms" for key, value in (("deadline", deadline), ("interval", interval)) if value is not None})
        return str(self._ask("POST", "/transactions", _encode(row))["id"])

    def commit(self, id: str) -> None:
        """Sends a prepared message. Repeating it does no harm; SendError with status 409: it has been aborted."""
        self._ask("POST", f"/transactions/{quote(id, safe='')}/commit")

    def abort(self, id: str) -> None:
        """Drops a prepared message. SendError with status 409: it has been committed."""
        self._ask("POST", f"/transactions/{quote(id, safe='')}/abort")

    def transaction(self, id: str) -> dict:
        """What became of it: state ("prepared", "committing", "committed", "aborted", "unresolved")."""
        return self._ask("GET", f"/transactions/{quote(id, safe='')}")

    def _ask(self, method: str, path: str, body: bytes = b"") -> dict:
        status, text = self._post(body, "application/x-ndjson", method, path)
        if status != 200:
            raise SendError(_error_of(status, text), status=status)
        return dict(json.loads(text))

    def close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def _id_of(line: str) -> str:
    if not line.startswith('{"line":'):
        return line
    return str(json.loads(line).get("duplicate", line))


def _error_of(status: int, text: str) -> str:
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and "error" in found:
            return str(found["error"])
    return f"HTTP {status}: {text[:200]}"


# ---- testing handlers without bide ----


class _Outcome:
    """What a handler did: `outcome` ("done", "retry", "dead"), `result`, `transaction` ("commit", "abort"), `error`, `after_ms`, `trace`,
    `sent`, `logged`."""

    def __init__(self, answer: Mapping[str, Any], lines: list):
        self.outcome = next(key for key in ("done", "retry", "dead") if key in answer)
        self.result = answer["done"].get("result") if self.outcome == "done" else None
        self.transaction = answer["done"].get("transaction") if self.outcome == "done" else None
        self.error = "" if self.outcome == "done" else answer[self.outcome]
        self.after_ms, self.trace = answer.get("after_ms"), answer.get("trace", "")
        self.sent = [line["send"] for line in lines if "send" in line]
        self.logged = [(line["log"], line["text"]) for line in lines if "log" in line]


class testing:
    """bide.testing.run(thumb, {"u": 1}).result"""

    @staticmethod
    def run(function: Callable, body: Body = None, *, cancelled: bool = False, **fields: Any) -> _Outcome:
        """Runs a handler once, here. `fields`: type, id, queue, attempt, attempts, headers, content_type, timeout_ms."""
        message, lines = testing._message(body, 1, fields)
        run = message._run
        run.cancel, token = cancelled, _current.set(run)
        try:
            result = asyncio.run(function(message)) if inspect.iscoroutinefunction(function) else function(message)
            answer = _done(result if result is None or isinstance(result, _Answer) else json.loads(json.dumps(result)))
        except Exception as error:  # noqa: BLE001
            answer = _failed(error)
        finally:
            _current.reset(token)
        return _Outcome(answer, lines)

    @staticmethod
    def run_batch(function: Callable, bodies: Iterable[Body], **fields: Any) -> list:
        """Runs a batch handler once, here, with a message for each body; returns what became of each."""
        rows = [testing._message(body, at, fields) for at, body in enumerate(bodies, 1)]
        messages = [message for message, _ in rows]
        try:
            result = asyncio.run(function(messages)) if inspect.iscoroutinefunction(function) else function(messages)
            answers = _batch_answers(result, len(messages))
        except Exception as error:  # noqa: BLE001
            answers = [_failed(error)] * len(messages)
        return [_Outcome(answer, lines) for answer, (_, lines) in zip(answers, rows)]

    @staticmethod
    def _message(body: Body, number: int, fields: Mapping[str, Any]) -> tuple:
        lines: list = []
        row = {"id": "test" if number == 1 else f"test-{number}", "type": "test", "queue": "default", "attempts": 25, **fields}
        if isinstance(body, (bytes, bytearray)):
            row["body_base64"] = base64.b64encode(body).decode()
        else:
            row["body"] = body if isinstance(body, str) else "" if body is None else json.dumps(body)
        return Message(row, _Run(number, lines.append)), lines
