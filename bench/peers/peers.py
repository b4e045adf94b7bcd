"""The peers: how each is installed into a folder, and which commands send and work. Each as its documentation advises."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from report import ROOT, say

HERE = Path(__file__).resolve().parent
FOLDER = ROOT / "build" / "peers"
DEBS = FOLDER / "debian"
PACKAGES = ("python3-celery", "python3-redis", "ruby-sidekiq", "beanstalkd", "wrk")


def quietly(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.stdout


def install_debian():
    """What these packages need and the system does not have, unpacked, not installed."""
    complete, packages = DEBS / "complete", " ".join(PACKAGES)
    if complete.exists() and complete.read_text() == packages:
        return
    say(f"fetching Debian's {packages} …")
    shutil.rmtree(DEBS, ignore_errors=True)
    DEBS.mkdir(parents=True)
    plan = quietly(["apt-get", "-s", "install", "--no-install-recommends", *PACKAGES])
    missing = {line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")}
    if missing:
        quietly(["apt-get", "download", *sorted(missing)], cwd=DEBS)
    for package in DEBS.glob("*.deb"):
        quietly(["dpkg", "-x", package, DEBS])
        package.unlink()
    complete.write_text(packages)


def install_bullmq():
    """Its packages stand beside copies of our programs, which look for them there."""
    folder = FOLDER / "bullmq"
    install_npm_packages(folder)
    for source in (HERE / "counting.mjs", *(HERE / "bullmq").glob("*.mjs")):
        shutil.copy(source, folder)


def install_npm_packages(folder):
    lock = (HERE / "bullmq" / "package-lock.json").read_text()
    if (folder / "complete").exists() and (folder / "complete").read_text() == lock:
        return
    say("fetching BullMQ …")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "bullmq" / name, folder)
    quietly(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)
    (folder / "complete").write_text(lock)


def debian_program(name):
    own = DEBS / "usr" / "bin" / name
    return str(own if own.exists() else shutil.which(name) or name)


def debian_libraries():
    return ":".join(str(path) for path in DEBS.glob("usr/lib/*-linux-gnu"))


def celery_environment():
    paths = [str(HERE / "celery"), str(HERE), str(DEBS / "usr/lib/python3/dist-packages")]
    return {"PYTHONPATH": ":".join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


def ruby_environment():
    """Ruby itself may be an unpacked one, too."""
    libraries = [str(path) for path in DEBS.glob("usr/share/rubygems-integration/all/gems/*/lib")]
    libraries += [str(path) for path in (DEBS / "usr/lib/ruby/vendor_ruby", *DEBS.glob("usr/lib/ruby/3.*"), *DEBS.glob("usr/lib/*/ruby/3.*"), *DEBS.glob("usr/lib/*/ruby/vendor_ruby/3.*")) if path.is_dir()]
    return {"RUBYLIB": ":".join(libraries), "LD_LIBRARY_PATH": debian_libraries(), "GEM_PATH": str(DEBS / "usr/share/rubygems-integration/all")}


@dataclass
class Peer:
    """One way to send and run jobs on one broker. work(port, out) and send(port, messages, rate, delay_ms) are (command,
    environment); out: a worker process writes what it ran to files whose names begin so (counting.py). Some take more arguments."""

    name: str
    broker: str
    install: object
    work: object
    send: object
    settles_s: int = 1  # after its start until it looks for delayed jobs as often as it will


def celery_on(broker):
    scheme = {"rabbitmq": "amqp://guest:guest@127.0.0.1:{}//", "redis": "redis://127.0.0.1:{}/0"}[broker]

    def environment(port, out=""):
        return {**celery_environment(), "BENCH_URL": scheme.format(port), "BENCH_OUT": str(out)}

    def work(port, out, processes=os.cpu_count()):
        # A process a processor, as the guide has it for short tasks.
        command = ["python3", "-m", "celery", "-A", "bench_tasks", "worker", "--concurrency", str(processes),
                   "--without-gossip", "--without-mingle", "--without-heartbeat", "-O", "fair", "--loglevel", "WARNING"]
        return command, environment(port, out)

    def send(port, *load):
        return ["python3", str(HERE / "celery" / "send.py"), *map(str, load)], environment(port)

    return Peer("celery", broker, install_debian, work, send)


def sidekiq():
    def work(port, out):
        command = [debian_program("ruby"), debian_program("sidekiq"), "-r", str(HERE / "sidekiq" / "bench.rb"), "-c", "10"]
        return command, {**ruby_environment(), "BENCH_PORT": str(port), "BENCH_OUT": f"{out}-1"}

    def send(port, *load):
        command = [debian_program("ruby"), str(HERE / "sidekiq" / "send.rb"), *map(str, load)]
        return command, {**ruby_environment(), "BENCH_PORT": str(port)}

    return Peer("sidekiq", "redis", install_debian, work, send, settles_s=20)  # it waits ten seconds and more at first


def bullmq():
    def program(name, *arguments):
        return ["node", str(FOLDER / "bullmq" / name), *map(str, arguments)], {}

    return Peer("bullmq", "redis", install_bullmq, lambda port, out, processes=1: program("worker.mjs", port, out, processes),
                lambda port, *load: program("send.mjs", port, *load))


def beanstalkd():
    def program(*arguments):
        return ["python3", str(HERE / "beanstalkd" / "client.py"), *map(str, arguments)], {}

    return Peer("beanstalkd", "beanstalkd", install_debian, lambda port, out: program("work", port, f"{out}-1"),
                lambda port, *load: program("send", port, *load))


PEERS = {
    "celery-rabbitmq": celery_on("rabbitmq"),
    "celery-redis": celery_on("redis"),
    "sidekiq": sidekiq(),
    "bullmq": bullmq(),
    "beanstalkd": beanstalkd(),
}
