#!/usr/bin/python3
# brokers: sqlite
# seconds: 180
"""What `cmake --install` leaves: a program, libraries, headers, plugins; and plugins and producers built against it
alone, by pkg-config and by find_package."""

import os
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.project import BUILD  # noqa: E402

PRODUCER = """#include <stdio.h>
#include <bide/producer.h>

int main(void)
{
    bide_producer *producer;
    bide_message *message;
    bide_error error;
    if (bide_producer_open("sqlite:bide.db", NULL, &producer, &error) != BIDE_OK ||
        bide_message_create("mine", &message, &error) != BIDE_OK ||
        bide_producer_send(producer, message, &error) != BIDE_OK) {
        fprintf(stderr, "%s\\n", error.text);
        return 1;
    }
    puts(bide_message_id(message));
    bide_message_destroy(message);
    bide_producer_close(producer);
    return 0;
}
"""

CONFIGURATION = """broker = "sqlite:bide.db";
plugin_dir = "plugins";
handlers = ( { type = "mine"; plugin = "mine"; } );
"""


def run(*command, cwd, env=None):
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    expect(done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def install(project):
    prefix = project.dir / "installed"
    run("cmake", "--install", BUILD, "--prefix", prefix, cwd=project.dir)
    found = {path.name: path for path in prefix.rglob("*") if path.is_file()}
    for wanted in ("bide", "libbide.so", "libbide.a", "handler.h", "webhook.so", "bide.pc", "bide-config.cmake"):
        expect(wanted in found, f"{wanted} is not installed")
    return prefix, found


def runs_what_it_got(project, bide, environment):
    """A message of type `mine` goes through the plugin in plugins/mine.so."""
    (project.dir / "bide.conf").write_text(CONFIGURATION)
    run(bide, "check", cwd=project.dir, env=environment)
    run(bide, "send", "mine", "hello", cwd=project.dir, env=environment)
    run(bide, "worker", "--exit-idle", "1s", cwd=project.dir, env=environment)
    left = run(bide, "status", "--json", cwd=project.dir, env=environment)
    expect('"ready":0' in left.replace(" ", ""), left)
    dead = run(bide, "dead", "list", "--json", cwd=project.dir, env=environment)
    expect(dead == "", dead)


def a_plugin_by_find_package(project):
    prefix, found = install(project)
    run(found["bide"], "handlers", "new", "mine", cwd=project.dir)
    run("cmake", "-S", "mine", "-B", "out", f"-DCMAKE_PREFIX_PATH={prefix}", "-G", "Ninja", cwd=project.dir)
    run("cmake", "--build", "out", cwd=project.dir)
    (project.dir / "plugins").mkdir()
    (plugin,) = (project.dir / "out").rglob("mine.so")
    plugin.rename(project.dir / "plugins" / "mine.so")
    runs_what_it_got(project, found["bide"], dict(os.environ))


def a_plugin_and_a_producer_by_pkg_config(project):
    prefix, found = install(project)
    environment = dict(os.environ, PKG_CONFIG_PATH=str(found["bide.pc"].parent))
    flags = run("pkg-config", "--cflags", "--libs", "bide", cwd=project.dir, env=environment).split()
    run(found["bide"], "handlers", "new", "mine", cwd=project.dir)
    (project.dir / "plugins").mkdir()
    run("cc", "-shared", "-fPIC", "-o", "plugins/mine.so", "mine/mine.c", *flags, cwd=project.dir)
    (project.dir / "producer.c").write_text(PRODUCER)
    run("cc", "-o", "producer", "producer.c", *flags, cwd=project.dir)
    environment["LD_LIBRARY_PATH"] = str(found["libbide.so"].parent)
    runs_what_it_got(project, found["bide"], environment)
    identity = run("./producer", cwd=project.dir, env=environment)
    expect(len(identity.strip()) == 36, identity)
    status = run(found["bide"], "status", "--json", cwd=project.dir, env=environment)
    expect('"ready":1' in status.replace(" ", ""), status)


main(a_plugin_by_find_package, a_plugin_and_a_producer_by_pkg_config)
