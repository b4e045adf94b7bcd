#!/usr/bin/python3
# brokers: sqlite
# needs: named
# seconds: 240
"""Instructions a message of `send --lines`, counted by valgrind: a figure that no other work on the machine changes.

Two runs of different length, so that starting and ending cancel out. (A worker's count is none of this kind: how often its
threads wake depends on the time they are given, and it was seen to double on a busy machine.) Fails beyond bench/instructions.json by more than 5 %; BIDE_UPDATE=1 writes new figures there, on
purpose. They hold for the libraries and the processor they were counted with: on others the test only prints."""

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
SHORT, LONG, MORE = 4000, 12000, 1.05


def surroundings():
    """What the count depends on besides our code."""
    flags = re.search(r"^flags\s*:(.*)$", open("/proc/cpuinfo").read(), re.MULTILINE)
    wide = [flag for flag in ("avx2", "avx512f", "erms") if flags and flag in flags.group(1).split()]
    said = subprocess.run(["ldd", BUILD / "bide"], capture_output=True, text=True).stdout
    libraries = sorted(os.path.basename(os.path.realpath(path)) for path in re.findall(r"=> (/\S+)", said))
    return [platform.machine(), platform.libc_ver()[1], *wide, *libraries]


def count(project, messages):
    """Instructions of a whole `send --lines` of so many messages."""
    lines, out = project.dir / "lines", project.dir / f"callgrind-{messages}"
    write_lines(lines, messages)
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", str(BUILD / "bide"), "send", "--lines"]
    with open(lines) as source, open(project.dir / "valgrind.log", "wb") as log:
        done = subprocess.run(
            command, cwd=project.dir, stdin=source, stdout=subprocess.DEVNULL, stderr=log, timeout=100,
            preexec_fn=die_with_parent,
        )
    expect(done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}")
    return int(re.search(r"^totals: (\d+)", out.read_text(), re.MULTILINE).group(1))


def per_message(project):
    if not shutil.which("valgrind"):
        raise Skip("valgrind is not installed: apt-get install valgrind")
    configure(project)
    have = round((count(project, LONG) - count(project, SHORT)) / (LONG - SHORT))
    print(f"send: {have} instructions a message")
    if os.environ.get("BIDE_UPDATE") == "1":
        KEPT.write_text(json.dumps({"send": have, "with": surroundings()}, indent=1) + "\n")
    kept = json.loads(KEPT.read_text())
    if kept["with"] != surroundings():
        print(f"{KEPT.name} was counted with {kept['with']}, this is {surroundings()}: nothing to compare with")
        return
    expect(have <= kept["send"] * MORE, f"send: {have} instructions a message, {kept['send']} before")


main(per_message)
