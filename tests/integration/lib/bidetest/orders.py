"""examples/orders by its one command, in the folder of a test."""

import shutil

from bidetest.harness import expect
from bidetest.plugins import BUILT_FROM
from bidetest.process import Worker
from bidetest.project import BUILD, ROOT
from bidetest.waiting import wait_until


def orders_come_through(project, n_orders, n_kills, url, seconds, meanwhile=lambda: None):
    """Also calls `meanwhile` again and again while it runs. Prints what it prints."""
    shutil.copytree(ROOT / "examples" / "orders", project.dir, dirs_exist_ok=True)
    project.write_config(f"allow_unsafe_plugins = true;\n{project.config.read_text()}")  # the folder may lie in somebody else's
    environment = {"BIDE": str(BUILD / "bide"), "BIDE_INCLUDE": str(BUILT_FROM / "framework" / "include"), "PYTHONPATH": str(ROOT / "sdk" / "python")}
    said = project.dir / "said.log"
    command = 'exec ./run "$@" >&2'  # a Worker keeps what goes to standard error
    run = Worker(["/bin/bash", "-c", command, "run", str(n_orders), str(n_kills), url], project.dir, said, environment)
    project.workers.append(run)

    def has_ended():
        meanwhile()
        return not run.running()
    wait_until(has_ended, seconds, run.log_tail)
    print(run.log_text())
    expect(run.wait(1) == 0, "it has failed: see above, and run.log in its folder (BIDE_KEEP=1)")
    for name in ("orders", "payments", "shipments"):
        expect(f"\n{name:10} {n_orders:8} {n_orders:8} " in run.log_text(), f"not {n_orders} {name}")
