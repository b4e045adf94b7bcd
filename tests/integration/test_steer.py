#!/usr/bin/python3
# brokers: sqlite redis
# seconds: 60
"""`bide pause`, `resume` and `tail` against running workers, and without any."""

import json
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.process import die_with_parent  # noqa: E402
from bidetest.project import BUILD, read_lines  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def tail(project, name, *options):
    with open(project.dir / name, "wb") as out:
        return subprocess.Popen([str(BUILD / "bide"), "tail", *options], cwd=project.dir, stdout=out, preexec_fn=die_with_parent)


def started(project):
    worker = project.worker()
    wait_until(lambda: any(line["message"] == "worker started" for line in read_lines(worker.log)), 20, "it serves")
    return worker


def without_a_worker(project):
    project.configure()
    for command in (["pause", "probe"], ["resume", "probe"], ["tail"]):
        said = project.bide(*command, expect=69).stderr
        expect("no worker" in said and "bide.conf" in said, said)


def a_pause_holds(project):
    project.configure([project.probe(), project.probe(type="other", queue="slow")])
    worker = started(project)
    said = project.bide("pause", "slow").stdout
    expect(said == "slow is paused in 1 worker\n", said)
    project.bide("pause", "probe")
    project.bide("pause", "nobody", expect=65)
    project.bide("pause", "not a name", expect=64)
    sent = project.send([{"type": "other", "id": "o", "body": {}}, {"type": "probe", "id": "p", "body": {}}])
    project.bide("resume", "slow")
    wait_until(lambda: project.journal_count() == 1, 20, "what was resumed runs")
    expect(project.journal()[0]["id"] == "o", f"{project.journal()}")
    expect(json.loads(project.bide("resume", "probe", "--json").stdout) == {"resumed": "probe", "workers": 1}, "--json")
    wait_until(lambda: project.all_ended(sent), 20, lambda: f"both are done: {project.status()}")
    expect(all(line["attempt"] == 1 for line in project.journal()), "an attempt was burnt")
    expect(worker.stop() == 0, worker.log_tail())


def what_runs_is_shown(project):
    project.configure()
    worker = started(project)
    tails = [tail(project, "all.txt"), tail(project, "dead.txt", "--json", "--outcome", "dead")]

    def followed():
        """Until both listen: what ran before is not shown."""
        project.bide("send", "probe", "{}")
        return (project.dir / "all.txt").stat().st_size

    wait_until(followed, 20, "it follows")
    number = 0

    def dead_seen():
        nonlocal number
        number += 1
        project.send([{"type": "probe", "id": f"d{number}", "headers": {"traceparent": PARENT}, "body": {"dead": True}}])
        return read_lines(project.dir / "dead.txt")

    seen = wait_until(dead_seen, 20, "a dead one is shown")
    expect(all(row["outcome"] == "dead" and row["trace"] == PARENT for row in seen), f"{seen}")
    wait_until(lambda: "trace " + PARENT.split("-")[1] in (project.dir / "all.txt").read_text(), 10, "the line shows the trace")
    expect("done" in (project.dir / "all.txt").read_text(), "no done one is shown")
    expect(worker.stop() == 0, worker.log_tail())
    expect([process.wait(20) for process in tails] == [0, 0], "tail did not end with the worker")


main(without_a_worker, a_pause_holds, what_runs_is_shown)
