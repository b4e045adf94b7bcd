"""What the checks share: which files are ours, C without its comments and strings, and how a check ends."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def tracked(*patterns):
    """Files of the project (also new ones that git does not ignore) that match a git pathspec."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    return [Path(name) for name in sorted(set(names)) if name and (ROOT / name).is_file()]


def text_of(path):
    return (ROOT / path).read_text(encoding="utf-8")


def without_comments(text, strings=False):
    """C source with comments blanked (and the insides of strings, unless they are to stay); lines stay as they are."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''

    def blank(match):
        found = match.group(0)
        if found.startswith("/"):
            return re.sub(r"[^\n]", " ", found)
        return found if strings else found[0] + " " * (len(found) - 2) + found[-1]

    return re.sub(pattern, blank, text, flags=re.S)


def finish(problems, summary):
    """Prints each problem (a line each) or the summary, and ends the check."""
    for problem in problems:
        print(problem)
    if problems:
        print(f"{len(problems)} problem(s)")
        sys.exit(1)
    print(summary)
    sys.exit(0)
