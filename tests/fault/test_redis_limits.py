#!/usr/bin/python3
# brokers: redis
# seconds: 120
"""What a worker may ask of a Redis: no more memory than there is, no more commands than are documented, hardly any
while it idles, and none that takes long."""

import json
import re
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest import ledger  # noqa: E402
from bidetest.faults import close_books, configure, mix, reaches  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.plugins import build_plugin  # noqa: E402
from bidetest.project import BUILD, ROOT  # noqa: E402
from bidetest.proxy import Proxy  # noqa: E402
from bidetest.redis import Server  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

IDLE_WORKERS, IDLE_S, SCRIPT_MS = 10, 5, 5
# A second of each, inside its one script; and about once a second one of them looks at all.
IDLE_COMMANDS, LOOKS = 8, 2


def fill(project):
    """Sends until the server takes no more; returns the ids it has confirmed."""
    sender = project.sender()
    line = '{"type":"probe","id":"full%06d","body":{"sleep_ms":0,"pad":"' + "x" * 2000 + '"}}\n'
    try:
        for number in range(50_000):
            sender.stdin.write((line % number).encode())
        sender.stdin.close()
    except BrokenPipeError:
        pass  # it has given up; its exit code says so
    code, said = sender.wait(60), (project.dir / "send.log").read_text()
    expect(code == 69 and "maxmemory" in said, f"exit {code}: {said[-500:]}")
    print(f"a full server: exit 69, {said.strip()[-300:]}")
    return (project.dir / "send.out").read_text().split()


def full_memory(project):
    """Sending fails clearly, draining goes on with retries and dead letters, then sending works again."""
    with Server("maxmemory 16mb", "maxmemory-policy noeviction") as server:
        configure(project, server.url)
        first = project.send(mix(200))
        confirmed = fill(project)
        expect(len(confirmed) > 1000, f"{len(confirmed)} confirmed before the server was full")
        worker = project.worker()
        wait_until(lambda: project.left() == 0, 60, lambda: f"drained: {project.status()} {worker.log_tail()}")
        last = project.send(mix(100, "after"))
        close_books(project, [worker], [*first, *confirmed, *last], 0)


def full_store(project):
    """A store that can be read and not written is away until it takes what is written, and both is said once."""
    with Server("maxmemory-policy noeviction") as server:
        configure(project, "sqlite:bide.db", store=server.url, handlers=[project.probe(once="1h")])
        worker = project.worker()
        sent = project.send([{"type": "probe", "id": "before", "body": {}}])
        wait_until(lambda: project.journal_count() == 1, 60, "it runs")
        server.ask("CONFIG", "SET", "maxmemory", "1")
        wait_until(lambda: "the store is away" in worker.log_text(), 60, "it is noticed")
        looks = count(server.info("commandstats")["cmdstat_evalsha"])
        wait_until(lambda: count(server.info("commandstats")["cmdstat_evalsha"]) > looks + 4, 60, "it is looked for")
        server.ask("CONFIG", "SET", "maxmemory", "0")
        wait_until(lambda: "the store is back" in worker.log_text(), 60, "it is back")
        sent += project.send({"type": "probe", "id": f"after{number}", "body": {}} for number in range(10))
        wait_until(lambda: project.all_ended(sent), 60, lambda: f"{project.status()}")
        expect(worker.stop() == 0, worker.log_tail())
        said = [worker.log_text().count(event) for event in ("the store is away", "the store is back")]
        expect(said == [1, 1], f"said {said} times that it is away, and back")


def documented_user(name_space):
    """The rule of docs/redis.md, for a namespace."""
    text = (ROOT / "docs" / "redis.md").read_text()
    rule = re.search(r"^    (user bide-worker on .*)$", text, re.MULTILINE).group(1)
    return rule.replace("{bide}", "{" + name_space + "}")


OF_STATUS = {"time"}  # its look for open transactions begins with it, and this user has no rights for a store


def denied(server):
    """The commands that were refused since the last call."""
    rows = server.ask("ACL", "LOG").splitlines()
    server.ask("ACL", "LOG", "RESET")
    return {rows[at + 1] for at, row in enumerate(rows) if row == "object"}


def carried_away_and_back(project):
    sent = project.send(mix(400, "away"))
    for way in (("--from", project.url, "--to", "sqlite:away.db"), ("--from", "sqlite:away.db", "--to", project.url)):
        moved = project.bide("move", *way, "--json").stdout
        expect(json.loads(moved)["moved"] == len(sent), moved)
    project.work_until(lambda: project.all_ended(sent))


def only_the_documented_commands(project):
    """The user of docs/redis.md sends, works, retries, fails over to others, replays, drops by hand and by number, looks and
    moves."""
    with Server(documented_user(project.name_space), "requirepass another") as server:
        configure(project, server.url.replace("://", "://bide-worker:PASSWORD@"))
        sent = project.send(mix(1000))
        victim, steady = project.worker(), project.worker()
        reaches(project, victim, 200)
        victim.kill()
        wait_until(lambda: project.all_ended(sent), 60, lambda: f"{project.status()} {steady.log_tail()}")
        expect("NOPERM" not in steady.log_text(), steady.log_tail())
        project.bide("dead", "retry", "--all")
        wait_until(lambda: len(project.dead()) == 50, 60, lambda: f"dead again: {len(project.dead())}")
        wait_until(lambda: project.left() == 0, 60, lambda: f"{project.status()}")
        expect((missing := denied(server)) <= OF_STATUS, f"missing: {missing}")
        checked = project.bide("check")
        expect("NOPERM" not in checked.stdout and "INFO is not allowed" in checked.stdout, checked.stdout)
        expect(denied(server) == {"info", "time", "config|get"}, "check asks for more than is documented")
        configure(project, project.url, dead={"max_count": 10})
        trimming = project.worker()
        wait_until(lambda: "old dead letters dropped" in trimming.log_text(), 60, trimming.log_tail)
        expect(len(project.dead()) == 10 and trimming.stop() == 0, trimming.log_tail())
        expect((missing := denied(server)) <= OF_STATUS, f"missing: {missing}")
        project.bide("dead", "drop", "--all")
        expect(project.dead() == [] and steady.stop() == 0, steady.log_tail())
        books = ledger.close(sent, project.journal(), [])
        expect(not books.strangers and books.done == 950, f"{books}")
        carried_away_and_back(project)
        server.ask("ACL", "SETUSER", "bide-worker", "+info", "+time", "+config|get")
        expect("not allowed" not in project.bide("check").stdout, "check is not content with what is documented for it")
        expect((missing := denied(server)) <= OF_STATUS, f"missing: {missing}")


def ten_idle_workers(project):
    with Server() as server:
        configure(project, server.url)
        workers = [project.worker() for _ in range(IDLE_WORKERS)]
        wait_until(lambda: all("worker started" in worker.log_text() for worker in workers), 60, "all have started")
        wait_until(lambda: server.ask("HLEN", "{%s}:workers" % project.name_space) == str(IDLE_WORKERS), 60, "all work")
        time.sleep(1.5)  # what starting causes is over
        before, since = server.info("commandstats"), time.monotonic()
        time.sleep(IDLE_S)  # a measurement has to last that long
        after, seconds = server.info("commandstats"), time.monotonic() - since
        calls = {name: count(value) - count(before.get(name, "calls=0,")) for name, value in after.items()}
        sent = calls.get("cmdstat_evalsha", 0) / seconds
        inside = sum(calls.values()) / seconds
        print(f"{IDLE_WORKERS} idle workers: {sent:.1f} scripts a second, {inside:.1f} commands with those inside them")
        expect(sent <= 1.5 * IDLE_WORKERS, f"{sent} scripts a second: {calls}")
        expect(inside <= (IDLE_COMMANDS + LOOKS) * IDLE_WORKERS, f"{inside} commands a second: {calls}")
        expect(all(worker.stop() == 0 for worker in workers), "one did not end well")


EARLY = 40


def early_ones_are_shared(project):
    """Two workers with one thread and a prefetch of 1: neither takes all that will soon be due."""
    project.configure(threads=1, worker={"prefetch": 1})
    workers = [project.worker(), project.worker()]
    wait_until(lambda: all("worker started" in worker.log_text() for worker in workers), 60, "both have started")
    sent = project.send([{"type": "probe", "delay": "1500ms", "body": {"sleep_ms": 100}}] * EARLY)
    wait_until(lambda: project.all_ended(sent), 60, lambda: f"{project.status()}")
    lines = project.journal()
    of = [sum(line["worker_pid"] in worker.tree() for line in lines) for worker in workers]
    print(f"{of[0]} and {of[1]} of {EARLY}")
    expect(min(of) >= EARLY / 4, f"not shared: {of}")


FOLLOWING, DELAY_S = 600, 0.025
PLUGIN = """
#include <bide/handler.h>
static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    bide_message *next;
    (void)state, (void)message;
    if (bide_message_create("probe", &next, NULL) != BIDE_OK || bide_context_send(context, next, NULL) != BIDE_OK)
        return bide_dead(context, "cannot send on");
    return BIDE_DONE;
}
const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "sender", .handle = handle};
"""


def follow_ups_far_away(project):
    """Messages that send others are settled many at once: over a slow network they hold up neither each other nor the rest."""
    folder = project.dir / "plugins"
    folder.mkdir()
    build_plugin(PLUGIN, folder / "sender.so")
    for plugin in (BUILD / "handlers").glob("*.so"):
        (folder / plugin.name).symlink_to(plugin)
    with Server() as server, Proxy(server.port()) as proxy:
        project.url = f"redis://127.0.0.1:{proxy.port}/0"
        handlers = [{"type": "first", "plugin": "sender"}, project.probe()]
        project.configure(handlers, plugin_dir=str(folder), worker={"prefetch": 256})
        project.send([{"type": "first"}] * FOLLOWING)
        proxy.delay = DELAY_S
        before, since = scripts(server), time.monotonic()
        worker = project.worker()
        reaches(project, worker, FOLLOWING)
        wait_until(lambda: server.ask("XLEN", "{%s}:q:default:ready" % project.name_space) == "0", 60, "all is settled")
        used = scripts(server) - before
        print(f"{FOLLOWING} follow-ups in {time.monotonic() - since:.1f} s, {used} scripts")
        expect(used < FOLLOWING / 2, f"{used} scripts for {FOLLOWING} messages")
        expect(worker.stop() == 0, worker.log_tail())


def scripts(server):
    return count(server.info("commandstats").get("cmdstat_evalsha", "calls=0,"))


# ---- how long a script takes ----


def cpu_ms(server):
    """Of the thread that runs commands. What the clock says would count other processes of the machine too."""
    info = server.info("cpu")
    return 1000 * (float(info["used_cpu_user_main_thread"]) + float(info["used_cpu_sys_main_thread"]))


def cost_of_scripts(server, what, doing):
    """CPU per script on average while `doing` runs, all else that the server does counted as theirs."""
    server.ask("CONFIG", "RESETSTAT")
    before = cpu_ms(server)
    doing()
    spent = cpu_ms(server) - before
    scripts = count(server.info("commandstats")["cmdstat_evalsha"])
    print(f"{what}: {spent / scripts:.2f} ms CPU a script ({scripts} scripts)")
    expect(scripts >= 3 and spent / scripts < SCRIPT_MS, f"{what}: {spent / scripts:.2f} ms a script")


def drain(project):
    worker = project.worker("--exit-idle", "2s")
    expect(worker.wait(60) == 0 and project.left() == 0, f"{project.status()} {worker.log_tail()}")


def move(project, to):
    project.bide("move", "--from", project.url, "--to", to)


def no_script_holds_the_server_up(project):
    """Batches are what they are: none keeps others waiting for more than 5 ms."""
    with Server() as server:
        configure(project, server.url)
        far = [{"type": "probe", "id": f"d{n}", "body": {"pad": "x" * 256}, "delay": "30d"} for n in range(10_000)]
        cost_of_scripts(server, "sending delayed ones", lambda: project.send(far))
        cost_of_scripts(server, "moving them away", lambda: move(project, "sqlite:x"))
        cost_of_scripts(server, "sending", lambda: project.send(mix(5000, sleep_ms=0, latest_ms=500)))
        cost_of_scripts(server, "working", lambda: drain(project))
        cost_of_scripts(server, "replaying", lambda: project.bide("dead", "retry", "--all"))


def count(statistics):
    return int(statistics.split("calls=")[1].split(",")[0])


main(full_memory, full_store, only_the_documented_commands, ten_idle_workers, follow_ups_far_away, early_ones_are_shared,
     no_script_holds_the_server_up)
