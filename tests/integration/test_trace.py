#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 90
"""A traceparent goes all the way: sender, retries, dead letter, replay, and on to what the handler sends."""

import json
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.plugins import build_plugin  # noqa: E402
from bidetest.project import BUILD, read_lines  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"

PLUGIN = """
#include <bide/handler.h>
static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    bide_message *next;
    bide_error error;
    (void)state;
    if (bide_message_attempt(message) == 1)
        return bide_retry(context, BIDE_BY_POLICY, "not yet");
    bide_context_log(context, BIDE_LOG_INFO, "sending on", NULL);
    if (bide_message_create("program", &next, &error) != BIDE_OK ||
        bide_context_send(context, next, &error) != BIDE_OK)
        return bide_dead(context, "cannot send on");
    return BIDE_DONE;
}
const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "sender", .handle = handle};
"""


def all_the_way(project):
    folder, out = project.dir / "plugins", project.dir / "seen.txt"
    folder.mkdir()
    build_plugin(PLUGIN, folder / "sender.so")
    for plugin in (BUILD / "handlers").glob("*.so"):
        (folder / plugin.name).symlink_to(plugin)
    quick = {"attempts": 3, "backoff": "fixed", "base": "50ms"}
    script = f'echo "$BIDE_ID $BIDE_ATTEMPT $TRACEPARENT" >> {out}; test -e {project.dir}/mended'
    project.configure(
        [{"type": "first", "plugin": "sender", "retry": quick},
         {"type": "program", "plugin": "command", "retry": {**quick, "attempts": 2}, "settings": {"program": "sh", "args": ["-c", script]}}],
        plugin_dir=str(folder), worker={"log_level": "debug"})
    worker = project.worker()
    project.bide("send", "first", "--id", "one", "--header", f"traceparent={PARENT}", "--header", "tracestate=a=b", "{}")
    project.bide("send", "program", "--id", "odd", "--header", "traceparent=what is this", "{}")
    wait_until(lambda: len(project.dead()) == 2, 60, lambda: f"both are dead: {project.status()} {worker.log_tail()}")
    (project.dir / "mended").touch()
    project.bide("dead", "retry", "--all")
    # RabbitMQ shows nobody what a worker has in hand: each has run, too.
    wait_until(lambda: project.left() == 0 and not project.dead() and out.read_text().count("\n") >= 6, 60, lambda: f"both are done: {project.status()}")
    expect(worker.stop() == 0, worker.log_tail())

    seen = [line.split(" ", 2) for line in out.read_text().split("\n") if line]
    parents = {identity: {row[2] for row in seen if row[0] == identity} for identity, _, _ in seen}
    expect(parents.pop("odd") == {"what is this"}, "what is no traceparent was not passed on as it is")
    expect(len(parents) == 1 and len(seen) == 6, f"{seen}")
    (identity, values), = parents.items()
    expect(len(values) == 1, f"it did not stay through retries and replay: {values}")
    value = values.pop()
    expect(value.startswith(f"00-{TRACE}-") and value.endswith("-01") and SPAN not in value, f"{value} is not of the trace")

    lines = read_lines(worker.log)
    traced = [line for line in lines if line.get("id") in ("one", identity)]
    expect({line["message"] for line in traced} >= {"message will be retried", "sending on", "message parked", "message done"}, f"{traced}")
    expect(all(line.get("trace") == TRACE for line in traced), f"a line has no trace: {json.dumps(traced)}")
    expect(not any("trace" in line for line in lines if line.get("id") == "odd"), "what is no traceparent is in the log")


main(all_the_way)
