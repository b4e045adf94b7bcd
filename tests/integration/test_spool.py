#!/usr/bin/python3
# brokers: rabbitmq redis
# seconds: 120
"""The broker is away: what is sent is stored on this host, confirmed, and run in order when the broker is back."""

import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.away import Away  # noqa: E402
from bidetest.console import Console, free_port  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.process import Worker  # noqa: E402
from bidetest.project import BUILD, ROOT  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

sys.path.insert(0, str(ROOT / "sdk" / "python"))
import bide  # noqa: E402

NODE = """
import { Client } from '%s/sdk/node/bide.js';
const client = new Client({ url: process.env.URL_ });
console.log((await client.sendMany([1, 2].map(n => ({ type: 'journal', body: {}, id: `node-${n}` })))).join(' '));
process.exit(0);
"""


def by_node(project, url):
    done = subprocess.run(["node", "--input-type=module", "-e", NODE % ROOT], cwd=project.dir, capture_output=True, text=True,
                          env={**os.environ, "URL_": url}, timeout=120)
    expect(done.returncode == 0, done.stderr)
    return done.stdout.split()


def send_all(project, socket):
    """By each kind of sender; the ids in the order of sending."""
    ids = [project.bide("send", "journal", "{}", "--id", f"one-{n}").stdout.strip() for n in range(3)]
    ids += project.send({"type": "journal", "body": {}, "id": f"line-{n}"} for n in range(20))
    client = bide.Client(f"unix:{socket}")
    ids += [client.send("journal", {}, id=f"python-{n}") for n in range(3)]
    return ids + by_node(project, f"unix:{socket}")


def have_run(project):
    """The ids in the order of their first runs. On a busy machine an answer of the broker may come too late, and a message again."""
    return list(dict.fromkeys(line["id"] for line in project.journal()))


def the_broker_is_away(project):
    with Away(project) as away:
        socket, port = project.dir / "send.sock", free_port()
        project.configure([project.journal_handler()], threads=1, spool={"url": "sqlite:out.db"},
                          http={"listen": f"127.0.0.1:{port}", "send_socket": str(socket)})
        said = project.bide("check", expect=None).stdout
        expect("nothing carries from it" in said, said)
        worker, console = project.worker(), Console(port)
        console.wait_ready()
        first = project.bide("send", "journal", "{}", "--id", "before").stdout.strip()
        wait_until(lambda: project.journal_count() >= 1, 60, worker.log_tail)
        away.leave()
        done = project.bide("send", "journal", "{}", "--id", "away")
        expect("broker away: messages go to the spool" in done.stderr, done.stderr)
        ids = [first, "away", *send_all(project, socket)]
        due_ms = time.time() * 1000 + 1500
        late = project.bide("send", "journal", "{}", "--delay", "1500ms").stdout.strip()
        shown = project.bide("status", expect=None).stdout
        expect(re.search(rf"^spool +{len(ids)} ", shown, re.M) and "bytes in use" in shown, shown)
        expect(f"bide_spool_messages {len(ids)}" in console.ask("GET", "/metrics")[1], console.ask("GET", "/metrics")[1])
        away.come_back()
        wait_until(lambda: len(have_run(project)) == len(ids) + 1, 60, lambda: f"{project.journal()}: {worker.log_tail()}")
        ran = [identity for identity in have_run(project) if identity != late]
        expect(ran == ids, f"{ran} is not {ids}")
        run = next(line for line in project.journal() if line["id"] == late)
        expect(run["started_us"] / 1000 > due_ms - 500 and run["lateness_us"] >= 0, f"{run}")
        wait_until(lambda: json.loads(project.bide("status", "--json").stdout)["relays"][0]["waiting"] == 0, 60, project.status)
        done = project.bide("send", "journal", "{}", "--id", "after")
        expect(done.stderr == "", done.stderr)
        wait_until(lambda: len(have_run(project)) == len(ids) + 2, 60, worker.log_tail)
        expect(worker.stop() == 0, worker.log_tail())


def start_relay(project):
    relay = Worker([str(BUILD / "bide"), "relay"], project.dir, project.dir / f"relay-{len(project.workers) + 1}.log")
    project.workers.append(relay)
    return relay


def without_a_worker(project):
    """`bide relay` carries; what is too large for it becomes a dead letter of the spool, and can be sent again."""
    with Away(project):
        spool = {"url": "sqlite:out.db", "mode": "always", "max": "1MiB"}
        project.configure([project.journal_handler()], spool=spool)
        done = project.bide("send", "journal", "{}", "--id", "small")
        expect("nothing carries from the spool" in done.stderr, done.stderr)
        project.bide("send", "journal", "x" * 5000, "--id", "large")
        rows = [{"type": "journal", "body": "x" * 50000, "id": f"more-{n}"} for n in range(25)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        done = project.bide("send", "--lines", text=text, expect=69)
        expect("is full" in done.stderr and "more-24" not in done.stdout, done.stderr)
        few = 2 + len(done.stdout.split())
        done = project.bide("worker", "--exit-idle", "1ms", "--broker", "sqlite:another.db")
        expect("relay carries" not in done.stderr, f"what is in the spool is for another broker: {done.stderr}")
        project.configure([project.journal_handler()], spool=spool, worker={"max_body": "4KiB"})
        relay = start_relay(project)
        wait_until(lambda: len(project.dead("--broker", "sqlite:out.db")) == few - 1, 60, relay.log_tail)
        letters = {letter["id"]: letter["reason"] for letter in project.dead("--broker", "sqlite:out.db")}
        expect(letters["large"] == "oversized", f"{letters}")
        expect(relay.stop() == 0, relay.log_tail())
        project.configure([project.journal_handler()], spool=spool)
        relay, worker = start_relay(project), project.worker()
        project.bide("dead", "retry", "--all", "--broker", "sqlite:out.db")
        wait_until(lambda: len({line["id"] for line in project.journal()}) == few, 60, worker.log_tail)
        expect(relay.stop() == 0 and worker.stop() == 0, worker.log_tail())


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.M | re.S)


def the_example(project):
    """docs/spool.md as it is printed, but for where the broker, the plugins and the file are."""
    page, commands = blocks("spool.md", "")[1], blocks("spool.md", "sh")
    for printed, here in (("redis://127.0.0.1:6379", "%s"), ("build/release/handlers", str(BUILD / "handlers")),
                          ("/var/spool/bide/out.db", "out.db")):
        expect(printed in page, f"{printed} is not in the example")
        page = page.replace(printed, here)
    page += f'namespace = "{project.name_space}"; allow_unsafe_plugins = true;\n'
    path = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}"}
    with Away(project) as away:
        project.write_config(page % away.url)
        away.leave()
        done = subprocess.run(["sh", "-ec", commands[0]], cwd=project.dir, capture_output=True, text=True, env=path, timeout=120)
        expect(done.returncode == 0 and "nothing carries" in done.stdout and re.search("^spool +2 ", done.stdout, re.M), f"{done}")
        away.come_back()
        log = project.dir / "worker-1.log"
        project.workers.append(Worker(["sh", "-ec", commands[1]], project.dir, log, path))
        wait_until(lambda: project.journal_count("receipts.ndjson") >= 2, 60, project.workers[0].log_tail)


main(the_broker_is_away, without_a_worker, the_example)
