#!/usr/bin/python3
# brokers: sqlite
# seconds: 60
"""The shipped rules are valid and fire when they should, by promtool; the dashboard is one, with panels that do not overlap.
That they use metrics that exist is for tests/check/runbook."""

import json
import shutil
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import Skip, expect, main  # noqa: E402
from bidetest.project import ROOT  # noqa: E402

RULES, TESTS = "bide.rules.yml", "bide.rules.test.yml"


def promtool(*words, cwd):
    if not shutil.which("promtool"):
        raise Skip("promtool is not installed: apt-get install prometheus")
    return subprocess.run(["promtool", *words], cwd=cwd, capture_output=True, text=True, timeout=120)


def rules_are_valid_and_fire(project):
    folder = ROOT / "ops" / "prometheus"
    for words in (("check", "rules", RULES), ("test", "rules", TESTS)):
        done = promtool(*words, cwd=folder)
        expect(done.returncode == 0, f"promtool {' '.join(words)}: {done.stdout}{done.stderr}")


def a_wrong_threshold_is_noticed(project):
    folder = ROOT / "ops" / "prometheus"
    shutil.copy(folder / TESTS, project.dir)
    rules = (folder / RULES).read_text()
    wrong = rules.replace("bide:lateness_seconds:p99_5m > 1\n", "bide:lateness_seconds:p99_5m > 100\n")
    expect(wrong != rules, "the rule has another threshold: change this test")
    (project.dir / RULES).write_text(wrong)
    expect(promtool("check", "rules", RULES, cwd=project.dir).returncode == 0, "it should be a valid rule")
    expect(promtool("test", "rules", TESTS, cwd=project.dir).returncode != 0, "the tests of the rules test nothing")


def overlap(one, other):
    a, b = one["gridPos"], other["gridPos"]
    apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
    return not (apart or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"])


def the_dashboard_is_whole(project):
    board = json.loads((ROOT / "ops" / "grafana" / "bide.json").read_text())
    panels = board["panels"]
    expect(board["uid"] and board["schemaVersion"] >= 36 and len(panels) > 10, "no dashboard")
    expect(len({panel["id"] for panel in panels}) == len(panels), "two panels have one id")
    for number, panel in enumerate(panels):
        expect(panel["title"] and panel["description"] and panel["targets"], f"{panel}")
        expect(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24, f"{panel['title']} is too far right")
        for other in panels[:number]:
            expect(not overlap(panel, other), f"{panel['title']} lies over {other['title']}")


def dashboard_expressions_are_valid(project):
    """promtool knows rules alone, so each expression of the dashboard becomes one."""
    board = json.loads((ROOT / "ops" / "grafana" / "bide.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    expressions += [note["expr"] for note in board["annotations"]["list"]]
    rules = [
        {"record": f"dashboard:expression:{number}", "expr": text.replace("$__rate_interval", "5m").replace("$job", "bide")}
        for number, text in enumerate(expressions)
    ]
    (project.dir / "board.yml").write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    done = promtool("check", "rules", "board.yml", cwd=project.dir)
    expect(done.returncode == 0, done.stdout + done.stderr)


main(
    rules_are_valid_and_fire,
    a_wrong_threshold_is_noticed,
    the_dashboard_is_whole,
    dashboard_expressions_are_valid,
)
