#!/usr/bin/python3
# brokers: sqlite
# needs: named
# seconds: 1200
"""The Debian package in a bare Debian 12, which debootstrap makes in a folder: it installs with what it depends on, its
units are valid, a plugin is built against it and runs a message, so does a handler in Python with the package of the SDK, and
purging both leaves nothing. Root; a Debian mirror (BIDE_COMPAT_MIRROR: another one); BIDE_BARE_DEBIAN: a folder that
debootstrap has filled, to copy."""

import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import Skip, expect, main  # noqa: E402
from bidetest.process import die_with_parent  # noqa: E402
from bidetest.project import ROOT  # noqa: E402

MIRROR = os.environ.get("BIDE_COMPAT_MIRROR", "http://deb.debian.org/debian")
BARE = os.environ.get("BIDE_BARE_DEBIAN")
# Its mounts and processes go when it ends.
ENTER = """mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/dev/shm" && mount -t tmpfs tmpfs "$0/run" &&
exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
"""
CONFIGURATION = """broker = "sqlite:/tmp/bide.db";
plugin_dir = "/tmp/plugins";
handlers = ( { type = "mine"; plugin = "mine"; } );
"""
HANDLER = """import bide

@bide.handler("greet")
def greet(message):
    bide.log("info", "hello " + message.text)

bide.serve()
"""
PROGRAM = """broker = "sqlite:/tmp/tasks.db";
programs = ( { name = "tasks"; run = ["python3", "tasks.py"]; } );
handlers = ( { type = "greet"; program = "tasks"; } );
"""


class Folder:
    """A bare Debian."""

    def __init__(self, path):
        self.path = path
        if BARE:
            run("cp", "-a", BARE, path)
        else:
            run("debootstrap", "--variant=minbase", "bookworm", path, MIRROR, seconds=600)
        (path / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (path / "usr/sbin/policy-rc.d").chmod(0o755)
        (path / "etc/hosts").write_text("127.0.0.1 localhost\n")

    def sh(self, script, good=True, seconds=300):
        """What a shell says in there, with its exit status where it need not be 0."""
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--", "/bin/bash", "-c", ENTER, self.path]
        return run(*command, "/bin/sh", "-ec", script, good=good, seconds=seconds)

    def files(self):
        """Every path outside of what packages in general leave: logs, caches, dpkg's and apt's own books."""
        skipped = "/proc /sys /dev /run /tmp /var/cache /var/log /var/lib/apt /var/lib/dpkg /root".split()
        prune = " -o ".join(f"-path {name}" for name in skipped)
        return set(self.sh(f"find / -xdev \\( {prune} \\) -prune -o -print").split("\n"))


def run(*command, good=True, seconds=300):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=seconds, preexec_fn=die_with_parent
    )
    said = done.stdout + done.stderr
    expect(not good or done.returncode == 0, f"{command[-1]}: exit {done.returncode}: {said[-3000:]}")
    return said if good else (done.returncode, said)


def build():
    run(ROOT / "packaging" / "build-deb", seconds=600)
    (package,) = (ROOT / "build" / "package").glob("bide_*.deb")
    (sdk,) = (ROOT / "build" / "package").glob("python3-bide_*.deb")
    return package, sdk


def lintian(*packages):
    if not shutil.which("lintian"):
        print("lintian is not installed: not asked")
        return
    status, said = run("lintian", "--fail-on", "error", *packages, good=False)
    print(said)
    expect(status == 0, said)


def program_and_pages(folder):
    expect("Usage: bide COMMAND" in folder.sh("bide --help"), "no help")
    shown = folder.sh("MANPAGER=cat MANWIDTH=80 man bide-dead-list; MANPAGER=cat man 5 bide.conf; MANPAGER=cat man bide")
    expect("--reason" in shown and "plugin_dir" in shown and "EXIT STATUS" in shown, shown[:2000])
    expect("complete -F _bide" in folder.sh("cat /usr/share/bash-completion/completions/bide"), "no completion")
    print(folder.sh("bide handlers"))
    # As the service's user, in the service's folder: the shipped configuration holds.
    said = folder.sh("runuser -u bide -- bide check -c /etc/bide/bide.conf; stat -c '%U %a' /var/lib/bide")
    expect(said.endswith("bide 2770\n"), said)


def units(folder):
    for unit in ("bide-worker.service", "bide-worker@eu.service"):
        said = folder.sh(f"systemd-analyze verify --man=yes {unit} 2>&1")
        expect("bide" not in said, f"{unit}: {said}")
    print(folder.sh("systemd-analyze security --offline=true /usr/lib/systemd/system/bide-worker.service | tail -n 1"))
    settings = folder.sh("cat /usr/lib/systemd/system/bide-worker.service")
    expect(re.search(r"^ExecStart=/usr/bin/bide worker ", settings, re.M), settings)


def steering(folder):
    """Root steers the worker of the service's user, in the folder that systemd makes for the units."""
    folder.sh(
        "install -d -o bide -g bide /run/bide; cd /; runuser -u bide -- bide worker -c /etc/bide/bide.conf 2>/tmp/worker.log & "
        "for n in $(seq 100); do bide pause receipt && break; sleep 0.2; done; bide resume receipt; rm /tmp/worker.log"
    )


def own_plugin(folder):
    (folder.path / "tmp" / "bide.conf").write_text(CONFIGURATION)
    folder.sh(
        "cd /tmp && bide handlers new mine && mkdir plugins && cmake -S mine -B out && cmake --build out &&"
        " find out -name mine.so -exec mv {} plugins/ ';' &&"
        " bide check && bide send mine hello --delay 100ms && bide worker --exit-idle 1s"
    )
    expect('"ready":0' in folder.sh("cd /tmp && bide status --json").replace(" ", ""), "it has not run")
    expect(folder.sh("cd /tmp && bide dead list --json") == "", "it is dead")
    folder.sh("cd /tmp && cc -shared -fPIC -o plugins/mine.so mine/mine.c && bide check")


def python_handler(folder, sdk):
    """The package of the SDK, installed and purged: a handler runs with it; its compiled modules go with it."""
    shutil.copy(sdk, folder.path / "root" / "sdk.deb")
    folder.sh("apt-get install -y --no-install-recommends /root/sdk.deb")
    (folder.path / "tmp" / "tasks.py").write_text(HANDLER)
    (folder.path / "tmp" / "tasks.conf").write_text(PROGRAM)
    folder.sh("cd /tmp && bide send greet Ann -c tasks.conf && bide worker --exit-idle 1s -c tasks.conf 2>tasks.log")
    said = folder.sh("cat /tmp/tasks.log; ls /usr/lib/python3/dist-packages/__pycache__")
    expect("hello Ann" in said and "bide.cpython" in said, said)
    folder.sh("apt-get purge -y python3-bide && ! ls -d /usr/lib/python3/dist-packages/*bide* /usr/lib/python3/dist-packages/__pycache__/bide*")


def installs_works_and_goes(project):
    if os.geteuid() != 0:
        raise Skip("debootstrap and chroot need root")
    package, sdk = build()
    lintian(package, sdk)
    folder = Folder(project.dir / "debian")
    folder.sh("apt-get update && apt-get install -y --no-install-recommends man-db systemd gcc libc6-dev cmake make")
    shutil.copy(package, folder.path / "root" / "bide.deb")
    before = folder.files()
    said = folder.sh("apt-get install -y --no-install-recommends /root/bide.deb")
    print(f"{len(folder.files() - before)} files; with {re.findall(r'^  (.*bide.*)$', said, re.M)}")
    program_and_pages(folder)
    units(folder)
    steering(folder)
    own_plugin(folder)
    python_handler(folder, sdk)
    folder.sh("echo '// changed' >>/etc/bide/bide.conf && runuser -u bide -- bide send receipt x -c /etc/bide/bide.conf")
    folder.sh("apt-get remove -y bide && grep -q changed /etc/bide/bide.conf && test -s /var/lib/bide/bide.db")
    folder.sh("apt-get install -y --no-install-recommends /root/bide.deb && grep -q changed /etc/bide/bide.conf")
    folder.sh("apt-get purge -y bide && apt-get autoremove --purge -y")
    left = {path for path in folder.files() - before if "bide" in path or "/etc/" in path}
    expect(not left - {"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-"}, f"purged, but: {sorted(left)}")
    status, _ = folder.sh("getent passwd bide || getent group bide", good=False)
    expect(status != 0, "the user is left")


main(installs_works_and_goes)
