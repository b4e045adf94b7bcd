#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 120
"""What an application commits with its own data is run, and nothing else; relays beside the workers and by themselves."""

import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.console import Console, free_port  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.outbox import Shop, bide  # noqa: E402
from bidetest.project import BUILD, ROOT  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402


def ran(project):
    return [line["id"] for line in project.journal()]


def one_table(project):
    """What `bide schema` prints is what the SDKs make."""
    printed = project.bide("schema", "sqlite").stdout
    expect(printed == f"{bide._OUTBOX};\n", "the table of sdk/python is another one")
    text = (ROOT / "sdk" / "node" / "bide.js").read_text()
    now, table = (re.search(rf"^const {name} = ([\"`])(.*?)\1;$", text, re.S | re.M).group(2) for name in ("NOW_MS", "OUTBOX"))
    expect(printed == table.replace("${NOW_MS}", now) + ";\n", "the table of sdk/node is another one")


def the_example_of_the_docs(project):
    """docs/outbox.md, exactly as printed; only the plugins are this build's."""
    if project.broker != "sqlite":
        return
    text = (ROOT / "docs" / "outbox.md").read_text().split("## A complete example")[1].split("## Sending")[0]
    program, config, commands = re.findall(r"```\w*\n(.*?)```", text, re.S)[:3]
    (project.dir / "shop.py").write_text(program)
    plugins = 'plugin_dir = "build/release/handlers";'
    expect(plugins in config, f"another plugin_dir: {config}")
    project.write_config(config.replace(plugins, f'plugin_dir = "{BUILD}/handlers"; allow_unsafe_plugins = true;'))
    shop, worker, status = (line.split("#")[0].split() for line in commands.splitlines())
    subprocess.run(shop, cwd=project.dir, check=True, env={**os.environ, "PYTHONPATH": str(ROOT / "sdk" / "python")})
    expect(worker[:2] == ["bide", "worker"] and status[:2] == ["bide", "status"], f"{commands}")
    running = project.worker(*worker[2:])
    wait_until(lambda: project.journal_count("receipts.ndjson") == 1, 60, running.log_tail)
    receipt = project.journal("receipts.ndjson")[0]
    expect((receipt["type"], receipt["outcome"]) == ("receipt", "done") and receipt["lateness_us"] >= 0, f"{receipt}")
    shows_none = lambda: re.search(r"^RELAY +WAITING.*\n *shop +0 ", project.bide(*status[1:]).stdout, re.M)  # noqa: E731
    wait_until(shows_none, 60, lambda: project.bide(*status[1:]).stdout)  # noted after it was carried, and may have run
    expect(running.stop() == 0, running.log_tail())


def beside_the_workers(project):
    """`relays` of the configuration: killed, it is started again; status, metrics and check tell of it."""
    shop, port = Shop(project), free_port()
    project.configure([project.journal_handler()], http={"listen": f"127.0.0.1:{port}"},
                      relays=[{"name": "orders", "from": shop.url, "to": project.url}])
    early = [shop.order(number, commits=number % 5 != 4) for number in range(20)]
    shown = project.status()["relays"][0]
    expect((shown["name"], shown["waiting"], shown["refused"]) == ("orders", 16, 0), f"{shown}")
    expect("its source can be read: 16 wait" in project.bide("check", expect=None).stdout, "check says nothing of it")
    worker, console = project.worker(), Console(port)
    wait_until(lambda: len(ran(project)) == 16, 60, lambda: f"{ran(project)}: {worker.log_tail()}")
    os.kill(wait_until(lambda: worker.named("bide-relay"), 60, worker.log_tail)[0], signal.SIGKILL)
    late = shop.order(20, delay="1s", headers={"a": "b"})
    due_ms = time.time() * 1000 + 1000
    bide.outbox_send(shop.db, "journal", queue="9", id="bad")
    shop.db.commit()
    wait_until(lambda: late in ran(project), 60, lambda: f"{worker.log_tail()}")
    run = next(line for line in project.journal() if line["id"] == late)
    expect(run["started_us"] / 1000 > due_ms - 1000 and run["lateness_us"] >= 0, f"{run}")
    wait_until(lambda: project.status()["relays"][0]["refused"] == 1, 60, lambda: f"{project.status()}")
    expect(set(ran(project)) == shop.committed() and early[4] not in ran(project), f"{ran(project)}")
    expect("relay died" in worker.log_text(), worker.log_tail())

    def told():
        text = console.ask("GET", "/metrics")[1]
        return 'bide_relay_refused_total{relay="orders"} 1' in text and 'bide_relay_active{relay="orders"} 1' in text
    wait_until(told, 60, lambda: console.ask("GET", "/metrics")[1])
    row = console.read_json("/status")["worker"]["relays"][0]
    expect((row["name"], row["state"], row["oldest_ms"]) == ("orders", "carries", 0), f"{row}")
    expect(worker.stop() == 0, worker.log_tail())
    shop.close()


def another_takes_over(project):
    """Of two relays one carries; the other one does as soon as that is killed. SIGTERM ends one."""
    shop = Shop(project, mode="DELETE")
    project.configure([project.journal_handler()])
    first = shop.relay("--to", project.url)
    wait_until(lambda: "relay carries" in first.log_text(), 60, lambda: first.log_tail())
    second, worker = shop.relay("--to", project.url), project.worker()
    wait_until(lambda: "relay waits for its turn" in second.log_text(), 60, lambda: second.log_tail())
    shop.order(1)
    wait_until(lambda: ran(project), 60, lambda: f"{first.log_tail()}")
    first.kill()  # it may not have noted yet that the order is carried: the other one then carries it again
    killed_s = time.monotonic()
    wait_until(lambda: "relay carries" in second.log_text(), 60, lambda: second.log_tail())
    print(f"took over after {(time.monotonic() - killed_s) * 1000:.0f} ms")
    shop.order(2)
    wait_until(lambda: set(ran(project)) == shop.committed(), 60, lambda: f"{ran(project)}: {second.log_tail()}")
    expect(second.stop() == 0, second.log_tail())
    expect(worker.stop() == 0, worker.log_tail())
    shop.close()


READER = """
import sqlite3
for _ in range(3):
    db = sqlite3.connect("shop.db", timeout=30)
    db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    db.close()
"""


def a_long_reader(project):
    """Without write-ahead logging, whoever waits for a reader to end keeps new ones out: the relay lets them in between."""
    shop = Shop(project, mode="DELETE")
    project.configure([project.journal_handler()])
    shop.order(1)
    reading = shop.db.execute("SELECT type FROM bide_outbox UNION ALL SELECT 'more'")
    reading.fetchone()
    relay, worker = shop.relay("--to", project.url), project.worker()
    wait_until(lambda: len(ran(project)) == 1, 60, lambda: relay.log_tail())
    reader = subprocess.run([sys.executable, "-c", READER], cwd=project.dir, capture_output=True, text=True)
    expect(reader.returncode == 0, f"{reader.stderr}{relay.log_tail()}")
    reading.close()
    wait_until(lambda: shop.waiting() == 0, 60, lambda: relay.log_tail())
    expect(relay.stop() == 0 and worker.stop() == 0 and len(ran(project)) == 1, f"{ran(project)}: {relay.log_tail()}")
    shop.close()


def wrong_usage(project):
    project.configure()
    expect("--from" in project.bide("relay", expect=64).stderr, "says what is missing")
    expect("the same" in project.bide("relay", "--from", "sqlite:x.db", "--to", "sqlite:x.db", expect=64).stderr, "the same")
    expect("names no file" in project.bide("relay", "--from", "outbox+sqlite:", expect=78).stderr, "no file")
    expect("there is sqlite" in project.bide("schema", "oracle", expect=64).stderr, "unknown database")


main(one_table, the_example_of_the_docs, beside_the_workers, another_takes_over, a_long_reader, wrong_usage)
