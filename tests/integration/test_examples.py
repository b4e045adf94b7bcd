#!/usr/bin/python3
# brokers: sqlite
# seconds: 120
"""Each program of examples/programs/, in a language without an SDK, runs as a handler: done, retried, dead. And those of the SDKs greet."""

import re
import shutil
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.project import ROOT  # noqa: E402
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
        wait_until(lambda: project.left() == 0 and any(row["id"] == f"{ending}-none" for row in project.dead()), 30, lambda: worker.log_tail())
        expect(worker.stop() == 0, worker.log_tail())
        log = worker.log_text()
        expect(f'"message":"hello' in log and '"message":"message done"' in log, f"{ending}: {worker.log_tail()}")
        expect(ending not in RETRIES or "not awake yet" in log, f"{ending}: no retry: {worker.log_tail()}")
        expect(len(project.dead()) == 1 + list(INTERPRETERS).index(ending), f"{ending}: {project.dead()}")


def of_the_sdks(project):
    """They are started by `bide check`, which asks each for its types."""
    for path in sorted((ROOT / "sdk").glob("*/examples/*")):
        python = path.suffix == ".py"
        text = path.read_text()
        if not python:  # as `npm install` would
            (project.dir / "node_modules").mkdir(exist_ok=True)
            shutil.copytree(ROOT / "sdk" / "node", project.dir / "node_modules" / "bide", dirs_exist_ok=True)
            (project.dir / path.name).write_text(text)
            (project.dir / "package.json").write_text('{"type": "module"}')
        types = re.findall(r"handler\(['\"]([a-z-]+)['\"]", text)
        expect(types, f"{path.name} has no handler")
        run = ["/usr/bin/python3", str(path)] if python else ["node", path.name]
        program = {"name": "example", "run": run, "env": [f"PYTHONPATH={ROOT / 'sdk' / 'python'}"]}
        project.configure(handlers=[{"type": type, "program": "example"} for type in types], programs=[program])
        said = project.bide("check").stdout
        expect(said.count("program example, queue default") == len(types), f"{path.name}: {said}")


def they_are_short(project):
    for path in PROGRAMS.iterdir():
        lines = len(path.read_text().splitlines())
        expect(lines <= MOST_LINES, f"{path.name} has {lines} lines, more than {MOST_LINES}")


main(without_an_sdk, of_the_sdks, they_are_short)
