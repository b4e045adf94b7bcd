"""A backlog on its way round: SQLite -> RabbitMQ -> Redis -> SQLite, the mover killed on each leg."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import closing
from urllib.parse import urlsplit

from bidetest.harness import expect
from bidetest.process import start
from bidetest.project import BUILD

BATCH = 500
FIELDS = "id, type, queue, due_ms, attempt, sent_ms, expires_ms, content_type, headers, error, body"
LETTER = "id, type, queue, due_ms, attempts, sent_ms, expires_ms, content_type, headers, error, body, reason, died_ms"
QUEUES = ("default", "mail")


def rows(count):
    """One in fifty is ready, the others fall due in one to four days, each at a millisecond of its own."""
    for number in range(count):
        row = {
            "type": "probe", "id": f"m{number:06d}", "queue": QUEUES[number % 5 == 4],
            "body": {"number": number, "text": "x" * (number % 300)}, "expires": "90d",
        }
        if number % 50:
            row["delay"] = f"{86400000 + number * 7919 % 259200000}ms"
        if number % 7 == 0:
            row["headers"] = {"tenant": f"t{number % 11}", "gruß": "schön"}
        yield row


class Table:
    """A namespace in a SQLite file, read and prepared from outside."""

    def __init__(self, project, name):
        self.path, self.space = project.dir / name, project.name_space
        self.url = f"sqlite:{name}"

    def query(self, text, *values):
        with closing(sqlite3.connect(self.path, timeout=30)) as db, db:
            return db.execute(text.replace("{", f'"{self.space}_').replace("}", '"'), values).fetchall()

    def count(self):
        """Messages of all kinds; 0 while there is no table yet."""
        if not self.path.exists() or not self.query(
            "SELECT 1 FROM sqlite_master WHERE name = ?", f"{self.space}_dead_queue"
        ):
            return 0
        return self.query("SELECT (SELECT count(*) FROM {message}) + (SELECT count(*) FROM {dead})")[0][0]

    def messages(self):
        return self.query(f"SELECT {FIELDS} FROM {{message}} JOIN {{waiting}} USING (seq, queue, due_ms)")

    def letters(self):
        return self.query(f"SELECT {LETTER} FROM {{dead}}")

    def age(self):
        """Some have been tried before, some have died."""
        self.query("UPDATE {message} SET attempt = 3, error = 'no route to host' WHERE seq % 9 = 0")
        self.query(
            f"INSERT INTO {{dead}}({LETTER}) SELECT 'd' || id, type, queue, due_ms, 4, sent_ms, expires_ms, content_type, "
            "headers, 'gave up', body, CASE seq % 2 WHEN 0 THEN 'exhausted' ELSE 'rejected' END, due_ms - 5000 "
            "FROM {message} WHERE seq % 25 = 0"
        )


class Redis:
    """Just enough of its protocol to see how far a move has come."""

    def __init__(self, project, url):
        self.address, self.space = urlsplit(url), project.name_space

    def count(self):
        with socket.create_connection((self.address.hostname, self.address.port or 6379), 5) as link:
            keys = [f"{{{self.space}}}:q:{queue}:delayed" for queue in QUEUES]
            link.sendall("".join(f"ZCARD {key}\r\n" for key in keys).encode())
            answer = b""
            while answer.count(b"\r\n") < len(keys):
                answer += link.recv(4096)
        return sum(int(line[1:]) for line in answer.split())


def move(project, source, target, *arguments):
    said = project.bide("move", "--from", source, "--to", target, "--json", *arguments, seconds=600).stdout
    return json.loads(said)


def killed(project, source, target, arrived, goal):
    """A mover that ends by SIGKILL when `goal` messages have arrived."""
    command = [str(BUILD / "bide"), "move", "--from", source, "--to", target]
    mover = start(command, project.dir / "move.log", cwd=project.dir, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while mover.poll() is None and arrived() < goal:
        expect(time.monotonic() < deadline, "the mover is too slow to be killed")
        time.sleep(0.001)
    expect(mover.poll() is None, f"the mover ended before it could be killed: {(project.dir / 'move.log').read_text()}")
    mover.send_signal(signal.SIGKILL)
    mover.wait()


def plain(row):
    """What has to be the same: all but the due time, which is looked at by itself; headers in any order."""
    headers = json.loads(row[8]) if row[8] else {}
    return row[:3] + row[4:8] + (headers,) + row[9:]


def compare(sent, back, kills, what):
    """All of `sent`, each as it was, at most one batch twice a kill."""
    known = {row[0]: row for row in sent}
    seen = {}
    for row in back:
        expect(row[0] in known, f"{what} '{row[0]}' was never sent")
        want, seen[row[0]] = known[row[0]], seen.get(row[0], 0) + 1
        expect(abs(row[3] - want[3]) <= 1, f"{what} {row[0]}: due {row[3]} is not {want[3]}")
        expect(plain(row) == plain(want), f"{what} {row[0]}: {row} is not {want}")
    lost = len(known) - len(seen)
    twice = len(back) - len(seen)
    print(f"{what}: {len(known)} sent, {lost} lost, {twice} twice")
    expect(lost == 0, f"{lost} of {len(known)} {what}s lost")
    return twice


def round_trip(project, count):
    first, last = Table(project, "first.db"), Table(project, "last.db")
    rabbitmq, redis = os.environ["BIDE_TEST_RABBITMQ_URL"], os.environ["BIDE_TEST_REDIS_URL"]
    project.url = first.url
    project.configure(queues=[{"name": name, "weight": 1} for name in QUEUES])
    project.send(rows(count))
    first.age()
    messages, letters = first.messages(), first.letters()
    total = len(messages) + len(letters)
    project.bide("status", "--broker", rabbitmq)  # declares: not a part of what is measured
    reached_redis = Redis(project, redis)
    legs = (
        (first.url, rabbitmq, lambda: total - first.count(), total // 3),
        (rabbitmq, redis, reached_redis.count, total // 3),
        (redis, last.url, last.count, total // 3),
    )
    for source, target, arrived, goal in legs:
        killed(project, source, target, arrived, goal)
        before = time.monotonic()
        moved = move(project, source, target)
        print(f"{source.split(':')[0]} -> {target.split(':')[0]}: {moved} in {time.monotonic() - before:.1f} s")
        expect(moved["moved"] > 0 and moved["refused"] == 0, f"{moved}")
        expect(move(project, source, target)["moved"] == 0, f"{source} is not empty")
    twice = compare(messages, last.messages(), 3, "message") + compare(letters, last.letters(), 3, "dead letter")
    expect(twice <= len(legs) * BATCH, f"{twice} came twice: more than a batch a kill")
    expect(first.count() == 0, f"the first file still has {first.count()}")
