#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 90
"""Transaction messages (docs/transactions.md): prepare, commit, abort, and the handler that is asked; by HTTP, Python, Node and the command
line. test_transactions_kills.py kills."""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.project import ROOT  # noqa: E402
from bidetest.streams import store_of  # noqa: E402
from bidetest.transactions import CHECK, ORDER, Orders  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

sys.path.insert(0, str(ROOT / "sdk" / "python"))
import bide  # noqa: E402

NODE = """
import { Client } from '%s/sdk/node/bide.js';
const client = new Client({ url: process.env.BIDE_URL });
const options = { check: '%s', deadline: 3600, headers: { mine: '1' } };
console.log(await client.prepare('%s', { order: 1 }, { id: 'n/1', ...options }));
await client.commit('n/1');
await client.commit('n/1');
await client.prepare('%s', { order: 2 }, { id: 'n2', ...options });
await client.abort('n2');
await client.commit('n2').catch(error => console.log(error.status, error.message));
console.log((await client.transaction('n/1')).state, (await client.transaction('n2')).state);
"""


def every_end(project):
    """Committed, aborted, asked (both answers), asked in vain; each message runs once or not at all."""
    orders = Orders(project)
    worker, client = orders.begin()
    unresolved = 'bide_transactions_total{end="unresolved"}'
    expect(f"{unresolved} 0" in orders.console.metrics_text(), "an alert sees the first one only where there was none before")
    for number, (row, decides) in enumerate((("committed", "commit"), (None, "abort"), ("committed", None), (None, None), ("unknown", None))):
        identity = f"o{number}"
        if row:  # before it is prepared: on a slow machine the check comes before the commit
            orders.record(identity, row)
        expect(client.prepare(ORDER, {"order": number}, id=identity, check=CHECK, deadline=0.2, interval=0.1, checks=3) == identity, "its id")
        if decides:
            getattr(client, decides)(identity)
            getattr(client, decides)(identity)
    wanted = ["committed", "aborted", "committed", "aborted", "unresolved"]
    wait_until(lambda: [client.transaction(f"o{number}")["state"] for number in range(5)] == wanted, 60, lambda: f"{project.status()} {worker.log_tail()}")
    wait_until(lambda: len(orders.ran()) >= 2 and len(project.dead()) == 1, 60, lambda: f"{project.status()} {worker.log_tail()}")
    letter, = project.dead()
    expect((letter["id"], letter["reason"], letter["attempts"]) == ("transaction:o4", "unresolved", 3), letter)
    wait_until(lambda: f"{unresolved} 1" in orders.console.metrics_text(), 60, "one is counted")
    expect('bide_transactions_open{state="prepared"} ' in orders.console.metrics_text(), "open ones are counted, too")
    shown = {state: row["open"] for state, row in project.status()["transactions"].items() if state != "error"}
    expect(shown == {"prepared": 0, "committing": 0, "unresolved": 1}, f"{shown}")
    orders.decides_by_hand("o4")
    conflicts(client)
    expect(sorted(line["id"] for line in orders.ran()) == ["o0", "o2", "o4"], orders.ran())
    expect(worker.stop() == 0, worker.log_tail())


class Hook(http.server.BaseHTTPRequestHandler):
    """What a check by webhook is told: nothing at first, then the word in the body."""

    asked = Counter()

    def do_POST(self):
        word = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["word"]
        Hook.asked[self.headers["Bide-Transaction"]] += 1
        self.send_response(200)
        if Hook.asked[self.headers["Bide-Transaction"]] > 1:
            self.send_header("Bide-Transaction", word)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


def shipped(project):
    return sorted(line["id"] for line in project.journal() if line["type"] == ORDER)


def whoever_answers(project):
    """Handlers in C, on a thread and in a process of its own, and a webhook: each is asked twice."""
    Hook.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hook = {"type": "by-hook", "plugin": "webhook", "settings": {"url": f"http://127.0.0.1:{server.server_port}/"}}
    handlers = [project.probe(type="by-thread"), project.probe(type="by-process", isolation="process"), hook, project.journal_handler(type=ORDER)]
    project.configure(handlers, **store_of(project))
    for check in ("by-thread", "by-process", "by-hook"):
        for word in ("commit", "abort"):
            body = json.dumps({"fail": 1, word: True, "word": word})
            project.bide("transaction", "prepare", ORDER, body, "--check", check, "--id", f"{check}-{word}", "--deadline", "50ms", "--interval", "50ms")
    worker = project.worker()
    wanted = ["by-hook-commit", "by-process-commit", "by-thread-commit"]
    wait_until(lambda: not project.bide("transaction", "list").stdout and len(shipped(project)) >= 3, 60, lambda: f"{project.journal()} {worker.log_tail()}")
    expect(shipped(project) == wanted, project.journal())
    expect(not project.dead() and set(Hook.asked.values()) == {2}, f"{project.dead()} {Hook.asked}")
    expect(worker.stop() == 0, worker.log_tail())
    server.shutdown()


def conflicts(client):
    for call, identity, status in ((client.abort, "o0", 409), (client.commit, "o1", 409), (client.commit, "nobody", 404), (client.transaction, "nobody", 404)):
        try:
            call(identity)
        except bide.SendError as error:
            expect(error.status == status and identity in str(error), f"{error.status}: {error}")
        else:
            expect(False, f"{identity} was decided otherwise")


def the_other_callers(project):
    """Node, the command line, bare HTTP."""
    orders = Orders(project)
    worker, _ = orders.begin()
    script = project.dir / "node.mjs"
    script.write_text(NODE % (ROOT, CHECK, ORDER, ORDER))
    said = subprocess.run(["node", script], env={**os.environ, "BIDE_URL": orders.url}, capture_output=True, text=True, timeout=120, check=False)
    expect(said.stdout.split("\n")[:3] == ["n/1", "409 transaction 'n2' is aborted", "committed aborted"], said)
    for arguments, status in ((("prepare", ORDER, "{}", "--check", CHECK, "--id", "c"), 0), (("prepare", ORDER, "{}", "--check", CHECK, "--deadline", "0s"), 65), (("list",), 0), (("commit", "c"), 0), (("abort", "c"), 65), (("show", "c"), 0)):
        said = project.bide("transaction", *arguments, expect=status)
    expect("committed" in said.stdout, said)
    for value in ({}, {"check": CHECK}, {"check": CHECK, "message": {"type": ORDER}, "more": 1}, {"check": CHECK, "message": {"type": ORDER, "unique": "k"}},
                  {"check": CHECK, "message": {"type": ORDER}, "deadline": "8d"}, {"check": CHECK, "message": {"type": ORDER}, "deadline": "0s"}, {"message": {"type": ORDER}}):
        status, text = orders.console.post("/transactions", value)
        expect(status == 400 and "error" in text, f"{value}: {status} {text}")
    wait_until(lambda: len(orders.ran()) == 2, 60, lambda: worker.log_tail())
    expect({line["id"] for line in orders.ran()} == {"n/1", "c"}, orders.ran())
    expect(worker.stop() == 0, worker.log_tail())


def the_page_is_right(project):
    """docs/transactions.md: its example, as printed, but for the place of the socket."""
    if project.broker != "sqlite":
        return
    text = (ROOT / "docs" / "transactions.md").read_text()
    for name, block in re.findall(r"^```\w*\n(?:#|//) (\S+\.\w+).*?\n(.*?)^```", text, re.M | re.S):
        project.dir.joinpath(name).write_text(block.replace("/run/bide/send.sock", str(project.dir / "send.sock")))
    expect(project.config.exists() and (project.dir / "tasks.py").exists() and (project.dir / "shop.py").exists(), "the page's files")
    shutil.copy(ROOT / "sdk" / "python" / "bide.py", project.dir)
    worker = project.worker()
    wait_until(lambda: "worker started" in worker.log_text(), 60, lambda: worker.log_tail())
    for arguments in (("order-42",), ("order-43", "--dies")):
        subprocess.run(["/usr/bin/python3", "shop.py", *arguments], cwd=project.dir, env={**os.environ, "BIDE_URL": f"unix:{project.dir}/send.sock"}, timeout=120, check=True)
    wait_until(lambda: "ships order-42" in worker.log.read_text() and "ships order-43" in worker.log.read_text(), 60, lambda: worker.log_tail())
    expect(worker.stop() == 0, worker.log_tail())


main(every_end, whoever_answers, the_other_callers, the_page_is_right)
