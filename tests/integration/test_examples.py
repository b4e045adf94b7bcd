#!/usr/bin/python3
# brokers: sqlite
# seconds: 120
"""Each program of examples/programs/, in a language without an SDK, runs as a handler: done, retried, dead. So do the
examples of the SDKs, and what the READMEs show."""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.console import free_port  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.project import BUILD, ROOT  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

PROGRAMS = ROOT / "examples" / "programs"
INTERPRETERS = {"sh": "bash", "rb": "ruby", "php": "php", "pl": "perl"}
RETRIES = ("rb", "php", "pl")  # those that look at the header `awake`
MOST_LINES = 40


def without_an_sdk(project):
    for ending, interpreter in INTERPRETERS.items():
        program = {"name": "greeter", "run": [interpreter, str(PROGRAMS / f"greet.{ending}")]}
        retry = {"attempts": 3, "backoff": "fixed", "base": "50ms", "jitter": 0.0}
        project.configure(handlers=[{"type": "greet", "program": "greeter", "retry": retry}], programs=[program])
        rows = [{"type": "greet", "id": f"{ending}-good", "body": "Ann"}, {"type": "greet", "id": f"{ending}-none", "body": ""}]
        if ending in RETRIES:
            rows.append({"type": "greet", "id": f"{ending}-late", "body": "Bob", "headers": {"awake": "2"}})
        project.send(rows)
        worker = project.worker("--log-level", "debug")
        wait_until(lambda: project.left() == 0 and any(row["id"] == f"{ending}-none" for row in project.dead()), 60, lambda: worker.log_tail())
        expect(worker.stop() == 0, worker.log_tail())
        log = worker.log_text()
        expect(f'"message":"hello' in log and '"message":"message done"' in log, f"{ending}: {worker.log_tail()}")
        expect(ending not in RETRIES or "not awake yet" in log, f"{ending}: no retry: {worker.log_tail()}")
        expect(len(project.dead()) == 1 + list(INTERPRETERS).index(ending), f"{ending}: {project.dead()}")


class Web:
    """Answers /good with 200 and all else with 503."""

    def __enter__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if self.path == "/good" else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def url(self, path):
        return f"http://127.0.0.1:{self.port}/{path}"

    def __exit__(self, *failure):
        self.server.shutdown()
        self.server.server_close()


def prepare(project):
    """What the examples find: the SDK for Node as `npm install` puts it, and a program to make thumbnails with."""
    shutil.copytree(ROOT / "sdk" / "node", project.dir / "node_modules" / "bide", dirs_exist_ok=True)
    (project.dir / "package.json").write_text('{"type": "module"}')
    (project.dir / "convert").write_text('#!/bin/sh\ntest -e "$1" || { echo "no such file" >&2; exit 1; }\ncp "$1" "$4"\n')
    (project.dir / "convert").chmod(0o755)
    (project.dir / "a.png").write_text("picture")


def runs(project, name, text, rows, delayed, said, dead):
    """These rows go through the handlers of a program; then so many messages are delayed, its log says these texts, and each of `dead`
    is a part of the text of a dead letter."""
    python = name.endswith(".py")
    (project.dir / name).write_text(text)
    types = set(re.findall(r"handler\(['\"]([a-z-]+)['\"]", text))
    env = [f"PYTHONPATH={ROOT / 'sdk' / 'python'}", f"PATH={project.dir}:{os.environ['PATH']}"]
    program = {"name": "example", "run": ["/usr/bin/python3" if python else "node", name], "env": env, "concurrency": 10}
    # What they send to others: held by those that are delayed, else run by the plugin journal.
    others = [project.journal_handler(type=type) for type in ("mail", "thumbnail-ready")]
    project.configure(handlers=[{"type": type, "program": "example"} for type in types] + others, programs=[program],
                      namespace=project.name_space + re.sub("[^a-z]", "", name))
    project.send(rows)
    worker = project.worker("--log-level", "debug")

    def ended():
        status = project.status()
        queues = status["queues"]
        waits = sum((queue["ready"] or 0) + (queue["in_flight"] or 0) for queue in queues)
        return waits == 0 and sum(queue["delayed"] or 0 for queue in queues) == delayed and len(project.dead()) == len(dead)

    wait_until(lambda: ended() and all(text in worker.log_text() for text in said), 60, lambda: f"{name}: {project.status()} {worker.log_tail(20)}")
    expect(worker.stop() == 0, f"{name}: {worker.log_tail()}")
    texts = [json.dumps(row) for row in project.dead()]
    expect(all(any(part in text for text in texts) for part in dead), f"{name}: {texts}")


def row(type, body):
    return {"type": type, "body": body}


def of_a_nightly_report(project):
    """examples/nightly-report by its one command, with the plugins of this test."""
    folder = project.dir / "nightly-report"
    shutil.copytree(ROOT / "examples" / "nightly-report", folder)
    with open(folder / "bide.conf", "a") as conf:
        conf.write(f'plugin_dir = "{BUILD / "handlers"}";\nallow_unsafe_plugins = true;\n')
    done = subprocess.run([folder / "run"], env={**os.environ, "BIDE": str(BUILD / "bide")}, capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    expect(done.returncode == 0 and len(lines) == 3 and "T02:30:00+0" in lines[0], f"{done.stdout} {done.stderr}")
    expect(re.fullmatch(r"orders of \d{4}-\d\d-\d\d, by nightly", lines[2]), f"{lines}")


def of_the_sdks(project):
    """Messages go through each of the examples of sdk/python and sdk/node."""
    prepare(project)
    with Web() as web:
        cases = {
            "fetch.py": ([row("wait", {"seconds": 0.01}), row("port", {"host": "127.0.0.1", "port": web.port})], 0, ["it answers"], []),
            "reminders.py": ([row("remind", {"person": "Ann"}), row("answered", {"person": "Bob"})], 1, ["reminding"], []),
            "thumbnails.py": ([row("thumbnail", {"path": str(project.dir / name)}) for name in ("a.png", "none.png")], 0,
                              ['"type":"thumbnail-ready"'], ["no such file"]),
            "digest.js": ([row("line", "one"), row("line", "two")], 1, [], []),
            "fetch.js": ([row("check", {"url": web.url("good")}), row("check", {"url": web.url("busy")}), row("check", {"url": "ftp:x"})], 1,
                         ['"message":"checked"', "HTTP 503"], ["no web page"]),
            "steps.js": ([row("order", {"order": 42})], 1, [], []),
        }
        found = {path.name: path for path in (ROOT / "sdk").glob("*/examples/*") if path.is_file()}
        expect(set(found) == set(cases), f"examples {set(found)}, tried {set(cases)}")
        for name, (rows, delayed, said, dead) in cases.items():
            runs(project, name, found[name].read_text(), rows, delayed, said, dead)


def of_a_limited_client(project):
    """examples/api-client by its one command, with an address and plugins of this test."""
    folder, port = project.dir / "api-client", free_port()
    shutil.copytree(ROOT / "examples" / "api-client", folder)
    for name in ("bide.conf", "api.py"):
        (folder / name).write_text((folder / name).read_text().replace("9481", str(port)))
    with open(folder / "bide.conf", "a") as conf:
        conf.write(f'plugin_dir = "{BUILD / "handlers"}";\nallow_unsafe_plugins = true;\n')
    done = subprocess.run([folder / "run"], env={**os.environ, "BIDE": str(BUILD / "bide")}, capture_output=True, text=True, timeout=120)
    counts = [line.split() for line in done.stdout.splitlines()]
    expect(done.returncode == 0 and counts == [["4", tenant, "200"] for tenant in ("ann", "bob", "eve")], f"{done.stdout} {done.stderr}")


def block(path, language, n):
    """The nth block in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.M | re.S)[n]


def of_the_readmes(project):
    """The handler that each README shows, and the test of it."""
    prepare(project)
    with Web() as web:
        rows = [row("thumb", {"url": web.url("good")}), row("thumb", {})]
        busy = row("thumb", {"url": web.url("busy")})
        sdk = ROOT / "sdk"
        runs(project, "first.py", block(ROOT / "README.md", "python", 0), rows, 1, [], ["no such picture"])
        runs(project, "readme.py", block(sdk / "python" / "README.md", "python", 0), [*rows, busy], 2, ["503"], ["no such picture"])
        runs(project, "readme.js", block(sdk / "node" / "README.md", "js", 0), [*rows, busy], 2, ["busy"], ["no such picture"])
    for language, folder, command in (("python", "python", ["/usr/bin/python3"]), ("js", "node", ["node", "--input-type=module"])):
        handler, check = (block(sdk / folder / "README.md", language, n) for n in (0, 1))
        code = re.sub(r"^(bide\.)?serve\(\)$", "", handler, flags=re.M) + check
        done = subprocess.run(command, input=code, cwd=project.dir, capture_output=True, text=True, timeout=120,
                              env={**os.environ, "PYTHONPATH": str(sdk / "python")})
        expect(done.returncode == 0, f"{folder}: {done.stderr}")


def they_are_short(project):
    for path in PROGRAMS.iterdir():
        lines = len(path.read_text().splitlines())
        expect(lines <= MOST_LINES, f"{path.name} has {lines} lines, more than {MOST_LINES}")


main(without_an_sdk, of_a_limited_client, of_a_nightly_report, of_the_sdks, of_the_readmes, they_are_short)
