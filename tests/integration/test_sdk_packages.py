#!/usr/bin/python3
# brokers: sqlite
# seconds: 120
"""The packages of the SDKs (packaging/build-sdk): what is in them, and a handler that has nothing but what they install: the wheel in
a virtual environment, the Debian package's files, the tarball by `npm install` in an empty folder."""

import json
import re
import subprocess
import sys
import tarfile
import zipfile

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.process import die_with_parent  # noqa: E402
from bidetest.project import ROOT  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

VERSION = re.search(r"project\(bide VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
# Fails once, then says where its bide came from.
PYTHON = """import bide

@bide.handler("greet")
def greet(message):
    if message.attempt == 1:
        raise bide.Retry("not awake yet", after="50ms")
    bide.log("info", f"{bide.__version__} from {bide.__file__}")

bide.serve()
"""
NODE = """import {handler, log, serve, version, Retry} from 'bide';

handler('greet', (message) => {
  if (message.attempt === 1) throw new Retry('not awake yet', {after: '50ms'});
  log('info', `${version} from ${import.meta.resolve('bide')}`);
});
serve();
"""


def run(*command, cwd=None):
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=120, preexec_fn=die_with_parent)
    expect(done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def build(project, kind):
    path = run(ROOT / "packaging" / "build-sdk", kind, project.dir).strip()
    expect(VERSION in path, f"{path} is not of {VERSION}")
    return path


def runs(project, command, place, **program):
    """A message goes through the handler, whose SDK lies in `place`."""
    project.configure(handlers=[{"type": "greet", "program": "tasks"}], programs=[{"name": "tasks", "run": command, **program}])
    project.send([{"type": "greet"}])
    worker = project.worker()
    wait_until(lambda: f"{VERSION} from {place}" in worker.log_text(), 60, lambda: f"no run from {place}: {worker.log_tail()}")
    wait_until(lambda: project.left() == 0, 60, lambda: worker.log_tail())
    expect(worker.stop() == 0 and not project.dead(), worker.log_tail())


def same_version(project):
    """The SDKs are released with bide."""
    for name, pattern in (("python/bide.py", r'^__version__ = "(.*)"$'), ("node/bide.js", r"^export const version = '(.*)';$"),
                          ("node/package.json", r'^ *"version": "(.*)",$')):
        found = re.findall(pattern, (ROOT / "sdk" / name).read_text(), re.M)
        expect(found == [VERSION], f"sdk/{name}: {found}, bide is {VERSION}")


def wheel(project):
    path = build(project, "wheel")
    with zipfile.ZipFile(path) as archive:
        names, metadata = set(archive.namelist()), archive.read(f"bide-{VERSION}.dist-info/METADATA").decode()
    expect({name for name in names if ".dist-info/" not in name} == {"bide.py"}, f"{names}")
    for line in (f"Version: {VERSION}", "Requires-Python: >=3.9", "License: Apache-2.0"):
        expect(line in metadata.splitlines(), f"'{line}' is missing: {metadata}")
    expect("Requires-Dist" not in metadata, "it has dependencies")
    venv = project.dir / "venv"
    run("/usr/bin/python3", "-m", "venv", "--without-pip", venv)
    run("/usr/bin/python3", "-m", "pip", "--python", venv / "bin" / "python", "install", "--no-index", "--no-deps", path)
    (project.dir / "tasks.py").write_text(PYTHON)
    runs(project, [str(venv / "bin" / "python"), "tasks.py"], venv)


def debian_package(project):
    """What installing and purging it does, test_package tries."""
    path, root = build(project, "deb"), project.dir / "root"
    expect(run("dpkg-deb", "-f", path, "Package", "Version", "Architecture").split("\n")[:3] ==
           ["Package: python3-bide", f"Version: {VERSION}", "Architecture: all"], run("dpkg-deb", "-f", path))
    files = {line.split()[-1] for line in run("dpkg-deb", "-c", path).splitlines() if line.startswith("-")}
    for wanted in ("lib/python3/dist-packages/bide.py", "share/doc/python3-bide/copyright", "share/doc/python3-bide/examples/fetch.py"):
        expect(f"./usr/{wanted}" in files, f"{wanted} is not in {files}")
    run("dpkg-deb", "-x", path, root)
    modules = root / "usr" / "lib" / "python3" / "dist-packages"
    listed = run("/usr/bin/python3", "-m", "pip", "list", "--path", modules, "--format", "json")
    expect(json.loads(listed) == [{"name": "bide", "version": VERSION}], f"pip finds {listed}")
    (project.dir / "tasks.py").write_text(PYTHON)
    runs(project, ["/usr/bin/python3", "tasks.py"], modules, env=[f"PYTHONPATH={modules}"])


def npm_package(project):
    path = build(project, "npm")
    with tarfile.open(path) as archive:
        names = set(archive.getnames())
        described = json.load(archive.extractfile("package/package.json"))
    for wanted in (described["types"], described["exports"]["."]["types"], described["exports"]["."]["default"], "README.md", "LICENSE"):
        expect(f"package/{wanted.removeprefix('./')}" in names, f"{wanted} is not in {names}")
    expect(not any("test" in name for name in names) and "dependencies" not in described, f"{names} {described}")
    folder = project.dir / "empty"
    folder.mkdir()
    run("npm", "install", "--offline", "--no-audit", "--no-fund", path, cwd=folder)
    (folder / "tasks.mjs").write_text(NODE)
    runs(project, ["node", str(folder / "tasks.mjs")], (folder / "node_modules" / "bide").as_uri())


main(same_version, wheel, debian_package, npm_package)
