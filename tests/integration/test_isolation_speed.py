#!/usr/bin/python3
# brokers: sqlite
# seconds: 120
# runs: alone
"""What isolation = "process" costs handlers that do nothing: at most a factor of 4 on a quiet machine (BIDE_STRICT=1), of 6
where others have a share of it, since two processes that wait for each other suffer more from that than one thread."""

import json
import os
import sys
from datetime import datetime

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.plugins import build_plugin  # noqa: E402

SLOWER_AT_MOST = 4.0 if os.environ.get("BIDE_STRICT") == "1" else 6.0
MESSAGES, EXIT_IDLE_S, TURNS = 40000, 0.5, 5

PLUGIN = """
#include <bide/handler.h>
static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    return BIDE_DONE;
}
const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "nothing", .handle = handle};
"""


def seconds_for(project, kind):
    """From a worker's start to its last message, for MESSAGES that do nothing."""
    project.send({"type": kind, "body": {}} for _ in range(MESSAGES))
    worker = project.worker("--exit-idle", f"{EXIT_IDLE_S}s")
    expect(worker.wait(120) == 0, worker.log_tail())
    events = {row["message"]: row for row in map(json.loads, worker.log_text().splitlines())}
    done = events["worker stopped"]["done"]
    expect(done == MESSAGES, f"{done} done of {MESSAGES}")
    at = [datetime.fromisoformat(events[what]["time"].replace("Z", "+00:00"))
          for what in ("worker started", "worker draining")]
    return (at[1] - at[0]).total_seconds() - EXIT_IDLE_S


def throughput(project):
    """Of handlers that do nothing; the best of several, since the machine has other things to do."""
    folder = project.dir / "plugins"
    folder.mkdir()
    build_plugin(PLUGIN, folder / "nothing.so")
    handlers = [{"type": kind, "plugin": "nothing", "isolation": kind} for kind in ("thread", "process")]
    project.configure(handlers=handlers, plugin_dir=str(folder))
    best = {"thread": 1e9, "process": 1e9}
    for turn in range(TURNS):
        for kind in best:
            best[kind] = min(best[kind], seconds_for(project, kind))
        if turn > 0 and best["process"] <= SLOWER_AT_MOST * best["thread"]:
            break
    rates = {kind: MESSAGES / seconds for kind, seconds in best.items()}
    print(", ".join(f"{kind}: {rate:.0f}/s" for kind, rate in rates.items()))
    factor = rates["thread"] / rates["process"]
    print(f"a process is slower by {factor:.2f}")
    expect(factor <= SLOWER_AT_MOST, f"slower by {factor:.2f}, at most {SLOWER_AT_MOST}")


main(throughput)
