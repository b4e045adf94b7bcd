#!/usr/bin/python3
# brokers: sqlite
# seconds: 240
"""Instructions a message, counted by valgrind: a figure that no other work on the machine changes.

send: `bide send --lines`, two runs of different length, so that starting and ending cancel out. run: receive, route, run
and settle on one thread (bench/message_path.c): a whole worker's count depends on how often its threads wake, which
depends on the time they are given, and was seen to double on a busy machine. Twice counted, both differ by less than half a
percent, from clock readings of another length and the write-ahead log's being checkpointed sooner or later.

Fails beyond bench/instructions.json by more than 5 %; BIDE_UPDATE=1 writes new figures there, on purpose. They hold for
the libraries and the processor they were counted with: on others the test only prints."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import Skip, expect, main  # noqa: E402
from bidetest.process import die_with_parent  # noqa: E402
from bidetest.project import BUILD, ROOT  # noqa: E402
from bidetest.speed import configure, write_lines  # noqa: E402

KEPT = ROOT / "bench" / "instructions.json"
SHORT, LONG, RUN, MORE = 2000, 6000, 4000, 1.05


def surroundings():
    """What the count depends on besides our code."""
    flags = re.search(r"^flags\s*:(.*)$", open("/proc/cpuinfo").read(), re.MULTILINE)
    wide = [flag for flag in ("avx2", "avx512f", "erms") if flags and flag in flags.group(1).split()]
    said = subprocess.run(["ldd", BUILD / "bide"], capture_output=True, text=True).stdout
    libraries = sorted(os.path.basename(os.path.realpath(path)) for path in re.findall(r"=> (/\S+)", said))
    return [platform.machine(), platform.libc_ver()[1], *wide, *libraries]


def valgrind(project, name, command, *options, source=subprocess.DEVNULL):
    """Instructions of a command, as callgrind collects them."""
    out = project.dir / f"callgrind-{name}"
    whole = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *options, *map(str, command)]
    with open(project.dir / "valgrind.log", "wb") as log:
        done = subprocess.run(
            whole, cwd=project.dir, stdin=source, stdout=subprocess.DEVNULL, stderr=log, timeout=120,
            preexec_fn=die_with_parent,
        )
    expect(done.returncode == 0, f"{whole}: exit {done.returncode}: {(project.dir / 'valgrind.log').read_text()[-500:]}")
    return int(re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE).group(1))


def send_all(project, messages):
    """Instructions of a whole `send --lines` of so many messages."""
    lines = project.dir / "lines"
    write_lines(lines, messages)
    with open(lines) as source:
        return valgrind(project, f"send-{messages}", [BUILD / "bide", "send", "--lines"], source=source)


def of_sending(project):
    configure(project)
    return round((send_all(project, LONG) - send_all(project, SHORT)) / (LONG - SHORT))


def of_running(project):
    command = [BUILD / "bench" / "message_path", "sqlite:path.db", RUN]
    return round(valgrind(project, "run", command, "--toggle-collect=drive*") / RUN)


def nothing_got_dearer(project):
    if not shutil.which("valgrind"):
        raise Skip("valgrind is not installed: apt-get install valgrind")
    have = {"send": of_sending(project), "run": of_running(project)}
    print(f"instructions a message: {have}")
    if os.environ.get("BIDE_UPDATE") == "1":
        KEPT.write_text(json.dumps({**have, "with": surroundings()}, indent=1) + "\n")
    kept = json.loads(KEPT.read_text())
    if kept["with"] != surroundings():
        print(f"{KEPT.name} was counted with {kept['with']}, this is {surroundings()}: nothing to compare with")
        return
    for name, instructions in have.items():
        expect(instructions <= kept[name] * MORE, f"{name}: {instructions} instructions a message, {kept[name]} before")


main(nothing_got_dearer)
