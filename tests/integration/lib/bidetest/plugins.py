"""Small libraries that a test builds for itself with the system's compiler."""

import subprocess
from pathlib import Path

from bidetest.project import BUILD, ROOT

SOURCES = Path(__file__).resolve().parent
BUILT_FROM = BUILD.parents[1] if (BUILD.parents[1] / "framework").is_dir() else ROOT  # the program may be another tree's


def compile_shared(source, target, *options):
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", *options, "-o", str(target), str(source), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.stderr}")
    return target


def build_plugin(text, target):
    """A handler from source text, against the public headers alone."""
    source = target.with_suffix(".c")
    source.write_text(text)
    compile_shared(source, target, f"-I{BUILT_FROM / 'framework' / 'include'}")
    source.unlink()
    return target


def build_parent(project):
    """A row of `handlers` of type parent: sends a message of type probe with its own id and body."""
    plugin = build_plugin((SOURCES / "parent.c").read_text(), project.dir / "parent.so")
    return {"type": "parent", "plugin": str(plugin)}


def build_library(name, target):
    """One of the C files beside this one, to be preloaded."""
    return compile_shared(SOURCES / name, target)
