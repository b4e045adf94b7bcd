#!/usr/bin/python3
# brokers: rabbitmq redis
# needs: named
# seconds: 600
"""The broker is away for BIDE_AWAY_S (30) seconds while BIDE_MESSAGES (10000) messages are sent by each kind of sender: bide send,
libbide, POST /send, the clients for Python and Node. All are confirmed, all run, in order within a queue, with their due times. And:
senders are killed at random; each message that they have seen confirmed is in the spool's file or was carried."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.away import Away  # noqa: E402
from bidetest.console import Console, free_port  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.plugins import SOURCES  # noqa: E402
from bidetest.process import die_with_parent  # noqa: E402
from bidetest.project import BUILD, ROOT  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

sys.path.insert(0, str(ROOT / "sdk" / "python"))
import bide  # noqa: E402

AWAY_S, MESSAGES, PIECE = int(os.environ.get("BIDE_AWAY_S", 30)), int(os.environ.get("BIDE_MESSAGES", 10000)), 20
QUEUES = ("command", "library", "post", "python", "node")
NODE = """
import { Client } from '%s/sdk/node/bide.js';
const client = new Client({ url: process.env.URL_ });
const [total, piece, pauseMs] = process.argv.slice(1).map(Number);
for (let at = 0; at < total; at += piece) {
  const rows = [...Array(piece).keys()].map(n => at + n).map(n => ({ type: 'journal', body: {}, queue: 'node',
    id: `node-${String(n).padStart(6, '0')}`, ...(n %% 5 === 0 ? { delay: 1 } : {}) }));
  await client.sendMany(rows);
  await new Promise(resolve => setTimeout(resolve, pauseMs));
}
process.exit(0);
"""


def row(queue, number):
    delay = {"delay": "1s"} if number % 5 == 0 else {}
    return {"type": "journal", "queue": queue, "id": f"{queue}-{number:06d}", "body": {}, **delay}


def pieces(queue):
    """In small ones, over the time that the broker is away and a little more."""
    pause_s = 1.3 * AWAY_S / (MESSAGES / PIECE)
    for at in range(0, MESSAGES, PIECE):
        yield [row(queue, at + n) for n in range(PIECE)]
        time.sleep(pause_s)


def by_command(project, socket):
    sender = project.sender()
    for piece in pieces("command"):
        sender.stdin.write("".join(json.dumps(one) + "\n" for one in piece).encode())
        sender.stdin.flush()
    sender.stdin.close()
    expect(sender.wait(60) == 0, (project.dir / "send.log").read_text())


def compiled(project):
    program = project.dir / "spooling"
    done = subprocess.run(["cc", "-O1", "-Wall", f"-I{ROOT / 'framework' / 'include'}", str(SOURCES / "spooling.c"), "-o", str(program),
                           f"-L{BUILD}", "-lbide", f"-Wl,-rpath,{BUILD}"], capture_output=True, text=True)
    expect(done.returncode == 0, done.stderr)
    return program


def start_library(project, first, number, out):
    return subprocess.Popen([str(project.dir / "spooling"), project.url, f"sqlite:{project.dir / 'out.db'}", project.name_space, "library",
                             str(first), str(number)], stdout=out, stderr=subprocess.PIPE, preexec_fn=die_with_parent)


def by_library(project, socket):
    began_s = time.monotonic()
    for at in range(0, MESSAGES, MESSAGES // 10):
        sender = start_library(project, at, MESSAGES // 10, subprocess.DEVNULL)
        said = sender.communicate(timeout=120)[1]
        expect(sender.returncode == 0, said)
        time.sleep(max(0, began_s + 1.3 * AWAY_S * at / MESSAGES - time.monotonic()))


def by_post(project, socket):
    for piece in pieces("post"):
        text = "".join(json.dumps(one) + "\n" for one in piece)
        done = subprocess.run(["curl", "-sS", "--data-binary", "@-", "--unix-socket", str(socket), "http://localhost/send"], input=text,
                              capture_output=True, text=True, timeout=120)
        expect(done.stdout.split() == [one["id"] for one in piece], f"{done}")


def by_python(project, socket):
    client = bide.Client(f"unix:{socket}")
    for piece in pieces("python"):
        client.send_many(piece)


def by_node(project, socket):
    done = subprocess.run(["node", "--input-type=module", "-e", NODE % ROOT, str(MESSAGES), str(PIECE), str(1300 * AWAY_S * PIECE // MESSAGES)],
                          env={**os.environ, "URL_": f"unix:{socket}"}, capture_output=True, text=True, timeout=10 * AWAY_S + 300)
    expect(done.returncode == 0, done.stderr)


def in_thread(failures, function, *arguments):
    def run():
        try:
            function(*arguments)
        except BaseException as failure:
            failures.append(f"{function.__name__}: {failure}")
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def judge(project):
    runs, first = project.journal(), {}
    for line in runs:
        expect(line["lateness_us"] >= 0, f"early: {line}")
        first.setdefault(line["id"], line)
    for queue in QUEUES:
        mine = [identity for identity in first if identity.startswith(queue)]
        expect(len(mine) == MESSAGES, f"{queue}: {len(mine)} of {MESSAGES} ran")
        at_once = [identity for identity in mine if int(identity.rpartition("-")[2]) % 5]
        expect(at_once == sorted(at_once), f"{queue}: out of order: {[pair for pair in zip(at_once, sorted(at_once)) if pair[0] != pair[1]][:4]}")
    print(f"{len(first)} ran, {len(runs) - len(first)} runs more")


def each_kind_of_sender(project):
    compiled(project)
    with Away(project) as away:
        socket, port, failures = project.dir / "send.sock", free_port(), []
        project.configure([project.journal_handler()], threads=1, spool={"url": "sqlite:out.db"}, queues=[{"name": name} for name in ("default", *QUEUES)],
                          http={"listen": f"127.0.0.1:{port}", "send_socket": str(socket)})
        worker = project.worker()
        Console(port).wait_ready()
        threads = [in_thread(failures, send, project, socket) for send in (by_command, by_library, by_post, by_python, by_node)]
        time.sleep(AWAY_S / 10)
        away.leave()
        time.sleep(AWAY_S)
        waiting = project.bide("status", "--json", expect=None)
        away.come_back()
        for thread in threads:
            thread.join()
        expect(not failures and waiting.returncode == 69, f"{failures}: {waiting}")
        wait_until(lambda: project.journal_count() >= MESSAGES * len(QUEUES) and project.left() == 0, 300,
                   lambda: f"{project.journal_count()} ran; {project.status()}; {worker.log_tail()}")
        judge(project)
        expect(worker.stop() == 0, worker.log_tail())


def in_the_file(path, name_space):
    file = sqlite3.connect(path, timeout=30)
    expect(file.execute("PRAGMA integrity_check").fetchone()[0] == "ok", "the spool is damaged")
    ids = {identity for identity, in file.execute(f"SELECT id FROM {name_space}_message")}
    file.close()
    return ids


def senders_are_killed(project):
    """As by a power cut of the senders: what one has printed is in the file; then it is carried, with the relay killed, too."""
    compiled(project)
    dice, confirmed = random.Random(18), set()
    with Away(project) as away:
        project.configure([project.journal_handler(once="1h")], spool={"url": "sqlite:out.db"}, queues=[{"name": "default"}, {"name": "library"}],
                          **({"store": "sqlite:store.db"} if project.broker == "rabbitmq" else {}))
        away.leave()
        for number in range(40):
            with open(project.dir / "confirmed", "w+") as out:
                sender = start_library(project, number * 100000, 100000, out)
                time.sleep(dice.uniform(0.02, 0.2))
                sender.kill()
                sender.communicate()
                out.seek(0)
                confirmed |= {line.strip() for line in out if line.endswith("\n")}
        stored = in_the_file(project.dir / "out.db", project.name_space)
        expect(confirmed <= stored and len(confirmed) > 100, f"{len(confirmed - stored)} of {len(confirmed)} are not in the spool")
        print(f"40 senders killed: {len(confirmed)} confirmed, {len(stored)} stored")
        away.come_back()
        worker = project.worker()
        for _ in range(10):
            time.sleep(dice.uniform(0.05, 0.5))
            for pid in worker.named("bide-relay"):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not in_the_file(project.dir / "out.db", project.name_space) and project.left() == 0, 120,
                   lambda: f"{project.status()}; {worker.log_tail()}")
        runs = [line["id"] for line in project.journal()]
        expect(set(runs) == stored and len(runs) == len(stored), f"{len(runs)} runs of {len(set(runs))}, {len(stored)} were stored")
        expect(worker.stop() == 0, worker.log_tail())


main(each_kind_of_sender, senders_are_killed)
