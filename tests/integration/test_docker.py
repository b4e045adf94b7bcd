#!/usr/bin/python3
# brokers: sqlite
# seconds: 60
"""docker/ as far as it can be judged without docker: the configurations hold, the health check tells a living worker from
none, what the files name exists, and nothing runs as root."""

import os
import re
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.console import free_port  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.process import die_with_parent  # noqa: E402
from bidetest.project import BUILD, ROOT  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

DOCKER = ROOT / "docker"
COMPOSES = {"compose.yml": "amqp", "compose.redis.yml": "redis", "compose.sqlite.yml": "sqlite"}
SECRETS = {"BIDE_RABBITMQ_PASSWORD": "secret", "BIDE_REDIS_PASSWORD": "secret"}


def configurations_hold(project):
    """Each compose file mounts one, for its broker, with the health check's address; its plugins are there."""
    for name, scheme in COMPOSES.items():
        (mounted,) = re.findall(r"- \./(\S+):/etc/bide/bide\.conf:ro", (DOCKER / name).read_text())
        text = (DOCKER / mounted).read_text()
        expect(re.search(rf'^broker = "{scheme}:', text, re.M) and 'listen = "127.0.0.1:9470"' in text, f"{name}: {text}")
        here = text.replace("/var/lib/bide/", f"{project.dir}/").replace(":9470", f":{free_port()}")
        (project.dir / "docker.conf").write_text(f'plugin_dir = "{BUILD}/handlers";\nallow_unsafe_plugins = true;\n{here}')
        said = project.bide("check", "-c", "docker.conf", "--broker", "sqlite:other.db", env=SECRETS).stdout
        expect("/var/lib/bide/" in text and "handler receipt" in said, f"{mounted}: {said}")


def health(project, port):
    script = (DOCKER / "healthy").read_text()
    expect(script.count("9470") >= 2, "the health check asks another port")
    (project.dir / "healthy").write_text(script.replace("9470", str(port)))
    command = ["bash", str(project.dir / "healthy")]
    return subprocess.run(command, capture_output=True, timeout=120, preexec_fn=die_with_parent).returncode


def the_health_check_tells_the_difference(project):
    port = free_port()
    expect(health(project, port) != 0, "healthy without a worker")
    project.configure(http={"listen": f"127.0.0.1:{port}"})
    worker = project.worker()
    wait_until(lambda: health(project, port) == 0, 60, worker.log_tail)
    expect(worker.stop() == 0 and health(project, port) != 0, "healthy after the worker")


def what_is_named_exists(project):
    text = (DOCKER / "Dockerfile").read_text()
    for sources in re.findall(r"^COPY (?:--chmod=\d+ )?(.+) \S+$", text, re.M):
        for source in sources.split():
            expect((ROOT / source).exists(), f"Dockerfile: no {source}")
    for line in (DOCKER / "Dockerfile.dockerignore").read_text().split():
        expect(line == "*" or list(ROOT.glob(line[1:])), f"Dockerfile.dockerignore: no {line}")
    for name in COMPOSES:
        for source in re.findall(r"(?:- \./|file: )([^\s:,}]+)", (DOCKER / name).read_text()):
            expect((DOCKER / source).exists(), f"{name}: no {source}")


def nothing_runs_as_root(project):
    final = (DOCKER / "Dockerfile").read_text().split("\nFROM ")[-1]
    expect(final.index("\nUSER bide") < final.index("\nHEALTHCHECK ") < final.index("\nENTRYPOINT "), final)
    expect(os.access(DOCKER / "healthy", os.X_OK), "the health check is no program")
    worker = (DOCKER / "worker.yml").read_text()
    for setting in ("read_only: true", "cap_drop: [ALL]", "no-new-privileges:true", "mem_limit:", "pids_limit:"):
        expect(setting in worker, f"worker.yml has no {setting}")


main(configurations_hold, the_health_check_tells_the_difference, what_is_named_exists, nothing_runs_as_root)
