#!/usr/bin/python3
# brokers: sqlite
# needs: asan
# seconds: 900
"""Every fuzz target under AddressSanitizer, from its seeds and then at random for a second (BIDE_FUZZ_SECONDS: each
so long). What one finds is kept in the test's folder; its seed is printed: FUZZ_SEED repeats the run."""

import os
import re
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.project import ROOT  # noqa: E402

SECONDS = int(os.environ.get("BIDE_FUZZ_SECONDS", 1))
SEEDS = ROOT / "tests" / "fuzz" / "corpus"
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}


def run_target(project, name, seconds):
    """Returns how many inputs it has run; fails when one broke it."""
    command = [str(ROOT / "build" / "asan" / "tests" / f"fuzz_{name}"), str(seconds), str(SEEDS / name)]
    done = subprocess.run(command, cwd=project.dir, capture_output=True, text=True, errors="replace",
                          timeout=seconds + 60, env={**os.environ, **SANITIZERS})
    ran = re.search(r"^(\d+) inputs, none broke it", done.stdout, re.MULTILINE)
    if done.returncode != 0 or not ran:
        found = [path.read_bytes() for path in project.dir.glob("fuzz-crash-*.bin")]
        raise AssertionError(f"fuzz_{name}: {done.stdout}{done.stderr[:4000]}\nthe input: {found}")
    return int(ran.group(1))


def every_target(project):
    names = sorted(path.stem.removeprefix("fuzz_") for path in (ROOT / "tests" / "fuzz").glob("fuzz_*.c"))
    expect(names, "there are no targets")
    expect(names == sorted(path.name for path in SEEDS.iterdir()), "a target has no seeds, or seeds have no target")
    for name in names:
        seeds = len(list((SEEDS / name).iterdir()))
        ran = run_target(project, name, SECONDS)
        print(f"{name:>16}: {ran:>9} inputs in {SECONDS} s from {seeds} seeds", flush=True)
        expect(ran > seeds, f"{name} ran {ran} inputs, {seeds} are its seeds")


main(every_target)
