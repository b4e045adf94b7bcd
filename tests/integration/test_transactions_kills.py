#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# needs: named dev
# seconds: 400
"""Transaction messages while everything is killed: producers between prepare and commit, consoles, worker processes, connections to the broker.
What the application's own database has is what took effect, once; what it does not know is unresolved. And SIGKILL at each step.

BIDE_ORDERS: how many transactions (2000)."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
os.environ["BIDE_BUILD"] = os.environ.get("BIDE_KILL_BUILD", str(ROOT / "build" / "dev"))
sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.proxy import Proxy  # noqa: E402
from bidetest.transactions import CHECK, ORDER, TASKS, Orders  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

ORDERS, PRODUCERS = int(os.environ.get("BIDE_ORDERS", 2000)), 4
DEADLINE, INTERVAL, CHECKS = 1.0, 0.3, 4
SHIPS_ONCE = """
@bide.handler("order")
def order(message):
    db = sqlite3.connect("shop.db", timeout=30, isolation_level=None)
    with bide.once_sqlite(db, message) as is_new:
        if is_new:
            db.execute("INSERT INTO shipped VALUES (?)", (message.id,))
    db.close()
    with open("ran.ndjson", "a", encoding="utf-8") as ran:
        os.write(ran.fileno(), (json.dumps({"id": message.id}) + "\\n").encode())
"""
# Its transactions end in every way, by number: a fifth is rolled back, one of thirty is one that nobody will know.
PRODUCER = """
import random, sqlite3, sys, bide
begin, step, end, seed = map(int, sys.argv[1:5])
dice, db = random.Random(seed), sqlite3.connect("shop.db", timeout=30, isolation_level=None)
client = bide.Client(sys.argv[5], timeout=10)

def state_of(number):
    return "unknown" if number %% 30 == 7 else "aborted" if number %% 5 == 0 else "committed"

for number in range(begin, end, step):
    identity, state = f"t{number:06d}", state_of(number)
    print(number, flush=True)                      # whoever starts the next one goes on behind it
    try:
        client.prepare("order", {"order": number}, id=identity, check="order-check", deadline=%r, interval=%r, checks=%r)
        if dice.random() < 0.02:
            continue                               # as if it were killed here
        if state != "aborted":
            db.execute("INSERT INTO orders VALUES (?, ?)", (identity, state))
        if dice.random() < 0.02 or state == "unknown":
            continue
        (client.abort if state == "aborted" else client.commit)(identity)
    except bide.SendError:
        pass                                       # the check finds out
    except sqlite3.IntegrityError:
        pass                                       # the check was faster: it has aborted
""" % (DEADLINE, INTERVAL, CHECKS)


class Killing:
    """Orders whose producers are processes, and what kills them and the others."""

    def __init__(self, project, proxy):
        self.project, self.proxy, self.kills = project, proxy, Counter()
        self.orders = Orders(project, worker={"processes": 2})
        first = TASKS.index('@bide.handler("order")')
        (project.dir / "tasks.py").write_text(TASKS[:first] + SHIPS_ONCE.lstrip() + TASKS[TASKS.index('\n@bide.handler("order-check")'):])
        self.orders.db.execute("CREATE TABLE shipped (id TEXT)")
        self.dice, self.ended = random.Random(49), threading.Event()

    def producer(self, lane, begin, seed):
        return subprocess.Popen([sys.executable, "-c", PRODUCER, str(begin), str(PRODUCERS), str(ORDERS), str(seed), self.orders.url],
                                cwd=self.project.dir, env={**os.environ, "PYTHONPATH": str(ROOT / "sdk" / "python")},
                                stdout=open(self.project.dir / f"lane-{lane}", "ab"), stderr=open(self.project.dir / "producers.log", "ab"))

    def sell(self, lane):
        """One producer after the other: each is killed after a while, wherever it is."""
        path, begin, seed = self.project.dir / f"lane-{lane}", lane, lane
        dice = random.Random(lane)
        while begin < ORDERS:
            process = self.producer(lane, begin, seed)
            try:
                process.wait(dice.uniform(0.2, 1.5))
            except subprocess.TimeoutExpired:
                process.kill()
                self.kills["producer"] += 1
            process.wait()
            lines = path.read_bytes().split() if path.exists() else []
            begin, seed = (int(lines[-1]) + PRODUCERS if lines else begin), seed + 100

    def kill_others(self, worker):
        while not self.ended.wait(self.dice.uniform(0.2, 1.0)):
            what = self.dice.choice(("bide", "bide-console", "connections" if self.proxy else "bide"))
            self.kills[what] += 1
            if what == "connections":
                self.proxy.cut()
                continue
            pids = worker.named(what)
            try:
                os.kill(self.dice.choice(pids), signal.SIGKILL)
            except (IndexError, ProcessLookupError):
                pass


def half_messages(project):
    port = urlsplit(project.url).port
    with Proxy(port or 1) as proxy:
        if port:
            project.url = project.url.replace(f":{port}", f":{proxy.port}", 1)
        sell_and_kill(project, Killing(project, proxy if port else None))


def sell_and_kill(project, killing):
    orders = killing.orders
    worker, _ = orders.begin()
    lanes = [threading.Thread(target=killing.sell, args=(lane,)) for lane in range(PRODUCERS)]
    killer = threading.Thread(target=killing.kill_others, args=(worker,))
    for thread in (*lanes, killer):
        thread.start()
    for thread in lanes:
        thread.join()
    killing.ended.set()
    killer.join()
    expect(killing.kills["producer"] > 3 and sum(killing.kills.values()) > 8, killing.kills)
    wanted = {identity for identity, state in orders.states().items() if state == "committed"}  # the check adds aborted ones only
    wait_until(lambda: project.left() == 0 and wanted <= {line["id"] for line in orders.ran()}, 120, lambda: f"{project.status()}; {worker.log_tail()}")
    states = Counter(orders.states().values())
    shipped = Counter(identity for identity, in orders.db.execute("SELECT id FROM shipped"))
    runs = Counter(line["id"] for line in orders.ran())
    print(f"{states}, {len(shipped)} took effect, {sum(runs.values()) - len(runs)} runs were second ones, killed: {dict(killing.kills)}")
    expect(set(shipped) == wanted, f"lost {sorted(wanted - set(shipped))[:5]}, too many {sorted(set(shipped) - wanted)[:5]}")
    expect(set(runs) == wanted and max(shipped.values()) == 1, "took effect twice")
    expect(states["committed"] > ORDERS // 2 and states["unknown"] > ORDERS // 60, states)
    letters = {row["id"]: row["reason"] for row in project.dead("--limit", "100000")}
    unknown = {f"transaction:{identity}" for identity, state in orders.states().items() if state == "unknown"}
    expect(set(letters) == unknown and set(letters.values()) == {"unresolved"}, f"{len(letters)} letters, {len(unknown)} unknown, {set(letters.values())}")
    expect(worker.stop() == 0, worker.log_tail())


def points(command):
    found = set()
    for path in (ROOT / "framework").rglob("*.c"):
        found |= set(re.findall(rf'BIDE_KILL_POINT\("({command}[^"]+)"\)', path.read_text()))
    expect(len(found) >= 1, f"no points of {command}")
    return sorted(found)


def killed_at_each_step(project):
    """A command that prepares, one that commits, and a worker that sends what was decided: each is killed once at each of its steps."""
    orders = Orders(project)
    wanted, reached = set(), []
    for number, name in enumerate(points("transaction/")):
        identity, place = f"k{number}", project.dir / f"reached-{number}"
        prepares = name in ("transaction/recorded", "transaction/prepared")
        kill = {"BIDE_KILL_AT": f"{name}:1:{place}"}
        prepare = ("transaction", "prepare", ORDER, "{}", "--check", CHECK, "--id", identity, "--deadline", "1s")
        project.bide(*prepare, env=kill if prepares else None, expect=-9 if prepares else 0)
        if name == "transaction/recorded":  # nobody asks: the producer was not told to begin, and prepares again
            project.bide(*prepare)
        orders.record(identity, "committed")
        if not prepares:
            project.bide("transaction", "commit", identity, env=kill, expect=-9)
        reached.append(place)
        wanted.add(identity)
    expect(all(place.exists() for place in reached), "a step was not reached")
    for number, name in enumerate(points("worker/transaction-")):
        identity, place = f"w{number}", project.dir / f"reached-w{number}"
        project.bide("transaction", "prepare", ORDER, "{}", "--check", CHECK, "--id", identity, "--deadline", "100ms")
        orders.record(identity, "committed")
        wanted.add(identity)
        worker = project.worker(env={"BIDE_KILL_AT": f"{name}:1:{place}"})
        wait_until(place.exists, 60, lambda: worker.log_tail())
        worker.kill()
        wait_until(orders.console.is_closed, 60, "its console is gone")
    worker, client = orders.begin()
    wait_until(lambda: {line["id"] for line in orders.ran()} == wanted and project.left() == 0, 60, lambda: f"{orders.ran()} {project.status()} {worker.log_tail()}")
    runs = Counter(line["id"] for line in orders.ran())
    twice = {identity for identity, n in runs.items() if n > 1}
    expect(twice <= {f"k{points('transaction/').index('transaction/sent')}"}, f"{twice} ran twice")  # the broker had it, the store did not know
    expect({client.transaction(identity)["state"] for identity in wanted} == {"committed"}, "states")
    expect(worker.stop() == 0, worker.log_tail())


main(half_messages, killed_at_each_step)
