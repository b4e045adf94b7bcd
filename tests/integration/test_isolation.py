#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 300
"""isolation = "process": what a handler does to its process, it does to its own message alone."""

import os
import re
import signal
import sys
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.console import LocalConsole  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.plugins import build_plugin  # noqa: E402
from bidetest.process import status_kib  # noqa: E402
from bidetest.project import BUILD  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

GOOD = 300

PLUGIN = """
#include <bide/handler.h>
#include <stdlib.h>
static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    size_t size;
    bide_message_body(message, &size);
    while (size == 4) /* "more": takes what it gets, and then uses what it did not get */
        *(volatile char *)malloc(1 << 20) = 1;
    return BIDE_DONE;
}
const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "NAME", .handle = handle};
"""


def boxed(project, **changes):
    retry = {"attempts": 3, "crash_attempts": 2, "base": "50ms"}
    return project.probe(**{"type": "boxed", "isolation": "process", "retry": retry, **changes})


def own_plugin(project, name):
    """A plugin folder with the built ones and one more."""
    folder = project.dir / "plugins"
    folder.mkdir(exist_ok=True)
    for file in (BUILD / "handlers").glob("*.so"):
        if not (folder / file.name).exists():
            (folder / file.name).symlink_to(file)
    build_plugin(PLUGIN.replace("NAME", name), folder / f"{name}.so")
    return str(folder)


def name_of(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None


def processes(worker):
    """[supervisor, worker, zygote, child, …] of a worker with one process, without its console; [] until that has its name."""
    names = {pid: name_of(pid) for pid in worker.tree()}
    return [pid for pid, name in names.items() if name != "bide-console"] if "bide-console" in names.values() else []


def no_worker_died(worker, before):
    expect(processes(worker)[:3] == before[:3], f"{before} became {processes(worker)}: {worker.log_tail()}")
    expect("worker process died" not in worker.log_text(), worker.log_tail())


def ended(project, n):
    return lambda: len({line["id"] for line in project.journal() if line["outcome"] == "done"}) == n


def a_death_is_for_one_message(project):
    hangs = boxed(project, type="hangs", timeout="300ms", kill_after="1500ms")  # which a good run may take on a busy machine
    project.configure(handlers=[boxed(project), hangs, project.probe(type="plain")])
    worker = project.worker()
    before = wait_until(lambda: len(processes(worker)) >= 4 and processes(worker), 60, "the worker runs")
    bad = {"crash": "crashed", "exit": "crashed", "hang": "timeout"}
    rows = [{"type": kind, "id": f"{kind}{i}", "body": {}} for i in range(GOOD) for kind in ("boxed", "plain")]
    for i, order in enumerate(list(bad) * 4):
        rows.insert(i * 40, {"type": "hangs" if order == "hang" else "boxed", "id": f"bad-{order}-{i}", "body": {order: True}})
    project.send(rows)
    wait_until(ended(project, 2 * GOOD), 60, "the good ones are done")
    wait_until(lambda: len(project.dead()) == 12, 60, lambda: f"the bad ones are dead: {project.dead()}")
    no_worker_died(worker, before)
    attempts = {line["attempt"] for line in project.journal() if line["outcome"] == "done"}
    expect(attempts == {1}, f"a neighbour's end burnt an attempt: {attempts}")
    for row in project.dead():
        order = row["id"].split("-")[1]
        expect(row["reason"] == bad[order], f"{row} should be {bad[order]}")
        expect(row["attempts"] == (3 if order == "hang" else 2), f"{row}: wrong number of attempts")
    expect(worker.stop() == 0, "the worker did not end with 0")


def is_limited(pid):
    """As allocating_without_end has it: 256 MiB, 32 files, no new privileges."""
    limits = Path(f"/proc/{pid}/limits").read_text()
    return (re.search(rf"^Max address space +{256 << 20} ", limits, re.M) is not None
            and re.search(r"^Max open files +32 ", limits, re.M) is not None
            and "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text())


def allocating_without_end(project):
    """With a limit: the child alone dies of it, or its handler is told that there is no more."""
    folder = own_plugin(project, "hog")
    limits = {"memory": "256MiB", "files": 32, "no_new_privs": True}
    hog = {"type": "hog", "plugin": "hog", "isolation": "process", "limits": limits,
           "retry": {"attempts": 5, "crash_attempts": 2, "base": "50ms"}}
    project.configure(handlers=[hog, boxed(project, limits=limits), project.probe(type="plain")], plugin_dir=folder)
    worker = project.worker()
    before = wait_until(lambda: len(processes(worker)) >= 5 and processes(worker), 60, "the worker runs")
    wait_until(lambda: all(is_limited(pid) for pid in before[3:]), 60, lambda: f"limits: {before}: {worker.log_tail()}")
    expect(not any(is_limited(pid) for pid in before[:3]), "a limit of the children is the worker's, too")
    project.send(
        [{"type": "hog", "id": "hog", "body": "more"}, {"type": "boxed", "id": "big", "body": {"alloc_mb": 100000}}]
        + [{"type": kind, "body": {}} for kind in ("boxed", "plain") for _ in range(50)]
    )
    wait_until(ended(project, 100), 60, "the good ones are done")
    wait_until(lambda: len(project.dead()) == 2, 60, lambda: f"two are dead: {project.dead()}")
    reasons = {row["id"]: row["reason"] for row in project.dead()}
    expect(reasons == {"hog": "crashed", "big": "exhausted"}, f"{reasons}")
    no_worker_died(worker, before)


def gone(pids):
    return lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids)


def processes_come_and_go(project):
    """No process more than needed; none is left behind, however a worker ends."""
    project.configure(handlers=[project.probe()])
    worker = project.worker()
    project.send([{"type": "probe", "id": "one", "body": {}}])
    wait_until(ended(project, 1), 60, "the worker runs")
    wait_until(lambda: len(processes(worker)) == 2, 60, lambda: f"nothing is isolated: {processes(worker)}")
    expect(worker.stop() == 0, "the worker did not end with 0")
    project.configure(handlers=[boxed(project)], worker={"drain": "500ms"})
    worker = project.worker()
    project.send([{"type": "boxed", "id": "two", "body": {}}])
    wait_until(ended(project, 2), 60, "the worker runs")
    before = wait_until(lambda: processes(worker), 60, "the worker runs")
    expect(len(before) == 4, f"supervisor, worker, zygote and child are not {before}")
    print(f"KiB resident: {[status_kib(pid, 'RssAnon') for pid in before]} of its own, "
          f"address space of a child {status_kib(before[3], 'VmSize')}")
    project.send([{"type": "boxed", "id": "long", "body": {"sleep_ms": 60000}}])
    os.kill(before[1], signal.SIGKILL)
    wait_until(gone(before[1:]), 60, "its zygote and children are gone, too")
    wait_until(lambda: len(processes(worker)) >= 4, 60, "there is another")
    last = processes(worker)
    worker.stop()
    wait_until(gone(last), 60, "all are gone")


def a_signal_to_all_is_the_workers(project):
    """A service manager stops a service by SIGTERM to each of its processes: what runs is finished."""
    project.configure(handlers=[boxed(project)])
    worker = project.worker()
    project.send([{"type": "boxed", "id": "slow", "body": {"sleep_ms": 1500}}])
    console = LocalConsole(project, worker)
    wait_until(lambda: (console.handler("boxed") or {}).get("running") == 1 and len(processes(worker)) >= 4, 60, "it runs")
    for pid in reversed(processes(worker)):
        os.kill(pid, signal.SIGTERM)
    expect(worker.wait(60) == 0, "the worker did not end with 0")
    lines = [(line["id"], line["attempt"], line["outcome"]) for line in project.journal()]
    expect(lines == [("slow", 1, "done")], f"{lines}")


def without_zygote_the_worker_is_replaced(project):
    project.configure(handlers=[boxed(project)])
    worker = project.worker()
    project.send([{"type": "boxed", "id": "before", "body": {}}])
    wait_until(ended(project, 1), 60, "the worker runs")
    old = wait_until(lambda: len(processes(worker)) >= 3 and processes(worker), 60, "its zygote is there")
    os.kill(old[2], signal.SIGKILL)
    project.send([{"type": "boxed", "id": f"after{i}", "body": {}} for i in range(50)])
    wait_until(ended(project, 51), 60, lambda: f"all are done: {worker.log_tail()}")
    expect(processes(worker)[1] != old[1], "the worker process is the same")
    attempts = {line["attempt"] for line in project.journal()}
    expect(attempts == {1} and not project.dead(), f"attempts {attempts}, dead {project.dead()}")


main(
    a_death_is_for_one_message,
    allocating_without_end,
    processes_come_and_go,
    a_signal_to_all_is_the_workers,
    without_zygote_the_worker_is_replaced,
)
