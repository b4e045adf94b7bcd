#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 120
"""Secrets are in no log, error, table, process title or file that a command leaves, even at the level debug."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.console import Console, free_port  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.process import die_with_parent  # noqa: E402
from bidetest.project import BUILD  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

MARK = "S3cretMark"  # each secret has it in it
HIDDEN = {"BIDE_TEST_PASSWORD": f"{MARK}-env-p@ss/w:rd"}
COMMANDS = (
    ("check",), ("check", "--json"), ("status",), ("status", "--json"), ("explain", "2s"), ("handlers",),
    ("dead", "list"), ("dead", "list", "--json"), ("dead", "show", "hook1"), ("dead", "retry", "hook1"),
    ("dead", "drop", "nothing"), ("send", "hook", "{}", "--id", "sent"), ("send", "hook", "{}", "--delay", "nonsense"),
    ("worker", "--exit-idle", "1s", "--no-wait"), ("--help",), ("bench", "throughput", "--help"),
)


def hook():
    return {
        "type": "hook", "plugin": "webhook", "retry": {"attempts": 1},
        "settings": {
            "url": f"http://user:{MARK}-userinfo@127.0.0.1:1/in?token={MARK}-query#{MARK}-fragment",
            "secret": f"{MARK}-hmac-key", "headers": [f"Authorization: Bearer {MARK}-header"],
            "connect_timeout": "1s",
        },
    }


def urls(project):
    """Right and wrong brokers, with secrets in each place of a URL where one may stand."""
    if project.broker == "sqlite":
        return ["sqlite:bide.db", f"sqlite:/nowhere/bide.db?key={MARK}-query", f"nonsense://u:{MARK}-pass@h/path?x={MARK}"]
    port, scheme = urlsplit(project.url).port, urlsplit(project.url).scheme
    return [
        project.url,
        f"{scheme}://{MARK[:2]}user:{MARK}-wrong@127.0.0.1:{port}",
        f"{scheme}://user:${{BIDE_TEST_PASSWORD}}@127.0.0.1:{port}",
        f"{scheme}://user:{MARK}-down@127.0.0.1:1",
        f"{scheme}://user:{MARK}-option@127.0.0.1:{port}?password={MARK}-query&nonsense={MARK}",
        f"{scheme}://user:{MARK}-port@127.0.0.1:99999999",
        f"{scheme}://user:{MARK}-bad%zz@[::1",
    ]


def told(text, where):
    found = re.search(rf".*{MARK}.*", text)
    expect(not found, f"{where} tells a secret: {found.group(0)[:400] if found else ''}")


def run(project, *arguments, env=None):
    command = [str(BUILD / "bide"), *arguments]
    done = subprocess.run(command, cwd=project.dir, capture_output=True, text=True, timeout=120, input="",
                          preexec_fn=die_with_parent, env={**os.environ, **HIDDEN, **(env or {})})
    told(done.stdout + done.stderr, " ".join(arguments))
    return done


def no_command_tells(project):
    """Each command with each URL, from the configuration; those that cannot connect fail at once."""
    n = 0
    for number, url in enumerate(urls(project)):
        project.url = url
        project.configure(handlers=[hook(), project.probe()])
        for command in COMMANDS if number == 0 else COMMANDS[:5] + COMMANDS[-5:-2]:
            run(project, *command, *([] if command[-1] == "--help" else ["--log-level", "debug"]))
            n += 1
    print(f"{n} commands told nothing")


def neither_does_the_environment(project):
    project.configure(handlers=[hook(), project.probe()])
    for url in urls(project)[1:]:
        if "${" in url:
            continue
        for command in (("check",), ("status", "--json"), ("worker", "--exit-idle", "1s", "--no-wait")):
            run(project, *command, "--log-level", "debug", env={"BIDE_BROKER": url})


def titles(worker):
    """Of all its processes and threads, but for those that end meanwhile."""
    for pid in worker.tree():
        try:
            for name in ("cmdline", "comm"):
                yield name, Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
            for task in os.listdir(f"/proc/{pid}/task"):
                yield "a thread's name", Path(f"/proc/{pid}/task/{task}/comm").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue


def a_running_worker_does_not(project):
    console = Console(free_port(), f"{MARK}-token")
    http = {"listen": f"127.0.0.1:{console.port}", "token": console.token}
    project.configure(handlers=[hook(), project.probe()], worker={"processes": 2}, http=http)
    worker = project.worker("--log-level", "debug")
    project.send([{"type": "hook", "id": "hook1", "body": {}}, {"type": "probe", "id": "crash", "body": {"crash": True}}])
    wait_until(lambda: any(row["id"] == "hook1" for row in project.dead()), 60, lambda: f"dead: {worker.log_tail()}")
    wait_until(lambda: "handler crashed" in worker.log_text(), 60, lambda: f"a crash: {worker.log_tail()}")
    for where, title in titles(worker):
        told(title, where)
    shown = run(project, "dead", "show", "hook1", "--json").stdout
    expect("127.0.0.1:1/in" in json.loads(shown.splitlines()[0])["error"], f"the error does not say where: {shown}")
    console.wait_ready()
    expect(console.act("/quiet")[0] == 200, "the token is not taken")
    for path in ("/status", "/metrics", "/history", "/dead", "/dead/hook1", "/nonsense", "/"):
        told(console.ask("GET", path)[1], path)
    told(console.ask("POST", "/quiet", {"Authorization": "Bearer wrong"})[1], "a refusal")
    expect(worker.stop() == 0, worker.log_tail())
    told(worker.log_text(), "the worker's log")
    for path in project.dir.rglob("*"):
        if path.is_file() and path != project.config:
            told(path.read_bytes().decode(errors="replace"), str(path))


main(no_command_tells, neither_does_the_environment, a_running_worker_does_not)
