#!/usr/bin/python3
# brokers: sqlite
# seconds: 60
"""Manual pages and completions: a page for each subcommand with all its options, as --help has them, clean for groff and
mandoc; completions that the shells read, and that complete."""

import re
import shutil
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import Skip, expect, main  # noqa: E402
from bidetest.project import BUILD  # noqa: E402

PAGES, COMPLETIONS = BUILD / "manual", BUILD / "manual" / "completions"
COMPLETE = """source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
_bide && printf '%s\\n' "${COMPREPLY[@]}"
"""


def run(*command):
    if not shutil.which(command[0]):
        raise Skip(f"{command[0]} is not installed")
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
    expect(done.returncode == 0, f"{command}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def help_of(project, *words):
    return project.bide(*words, "--help").stdout


def commands(project):
    return re.findall(r"^  ([a-z]+(?: [a-z]+)?) {2,}\S", help_of(project).split("Options of every")[0], re.M)


def options(text):
    return set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", text, re.M))


def a_page_for_each_command(project):
    found = commands(project)
    expect({"worker", "dead list"} <= set(found), f"{found}")
    for name in found:
        page = PAGES / "man1" / f"bide-{name.replace(' ', '-')}.1"
        text = re.sub(".\b", "", run("mandoc", "-Tutf8", page))  # bold is struck twice
        missing = [option for option in options(help_of(project, *name.split())) if option not in text]
        expect(re.search(rf"^EXAMPLES\n +(sudo .*)?bide {name}", text, re.M), f"{page.name} has no example")
        expect(not missing, f"{page.name} has no {missing}")
    expect(len(list((PAGES / "man1").iterdir())) == len(found) + 1, "pages of commands that do not exist")


def pages_are_clean(project):
    pages = sorted(PAGES.glob("man?/*"))
    expect({"bide.conf.5", "bide-handlers.7"} <= {page.name for page in pages}, f"{pages}")
    for page in pages:
        said = run("mandoc", "-Tlint", "-Wwarning", page) + run("sh", "-c", f"groff -mandoc -ww -Tutf8 '{page}' >/dev/null")
        expect(not said, f"{page.name}: {said}")


def bash_completes(project):
    completion = COMPLETIONS / "bide.bash"
    run("bash", "-n", completion)

    def complete(*words):
        return set(run("bash", "-c", COMPLETE, "-", completion, "bide", *words).split())

    expect({name.split()[0] for name in commands(project)} == complete(""), f"{complete('')}")
    for name in commands(project):
        words = name.split()
        wanted, got = options(help_of(project, *words)), complete(*words, "--")
        expect(wanted == got, f"{name}: {wanted ^ got}")
    expect(complete("dead", "") == {"list", "show", "retry", "drop"}, f"{complete('dead', '')}")
    for line in (("dead", "list", "--reason", "cr"), ("-c", "x.conf", "dead", "list", "--reason", "=", "cr")):
        expect(complete(*line) == {"crashed"}, f"{line}: {complete(*line)}")
    (project.dir / "my.conf").touch()
    expect(complete("worker", "--config", f"{project.dir}/my") == {f"{project.dir}/my.conf"}, "no files")


def zsh_and_fish_read_theirs(project):
    run("zsh", "-n", COMPLETIONS / "_bide")
    run("fish", "-n", COMPLETIONS / "bide.fish")
    said = run("fish", "-c", f"source {COMPLETIONS}/bide.fish; complete -C 'bide dead list --rea'")
    expect("--reason" in said, said)
    said = run("fish", "-c", f"source {COMPLETIONS}/bide.fish; complete -C 'bide dead list --reason cr'")
    expect(said.split()[:1] == ["crashed"], said)


main(a_page_for_each_command, pages_are_clean, bash_completes, zsh_and_fish_read_theirs)
