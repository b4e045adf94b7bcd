"""Faults of Redis: at its commands (resp_proxy.py) and of the server itself."""

import os
import shutil
import signal
import sys
import threading
import time
from collections import Counter, defaultdict, namedtuple
from pathlib import Path

from bidetest.project import BUILD, ROOT
from bidetest.redis import Server

from commands_redis import COMMANDS, HOT, OF_STORE, OF_TOPICS, OPERATIONS, SELDOM  # noqa: F401  (part of the interface)
from faults import DUPLICATES, Kind, in_turn
from resp_proxy import RespProxy, scripts_of
from worker_faults import Undoing, tell

# Error replies, word for word as servers and proxies before them give them: src/server.c (shared.*err), src/script.c,
# src/cluster.c, src/acl.c, src/networking.c of Redis 6.2 to 7.4.
ERRORS = {
    "NOSCRIPT": "NOSCRIPT No matching script. Please use EVAL.",
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
    "LOADING": "LOADING Redis is loading the dataset in memory",
    "READONLY": "READONLY You can't write against a read only replica.",
    "MOVED": "MOVED 3999 127.0.0.1:6381",
    "ASK": "ASK 3999 127.0.0.1:6381",
    "TRYAGAIN": "TRYAGAIN Multiple keys request during rehashing of slot",
    "CLUSTERDOWN": "CLUSTERDOWN The cluster is down",
    "BUSY": "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "MISCONF": "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that "
               "may modify the data set are disabled, because this instance is configured to report errors during writes if "
               "RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about "
               "the RDB error.",
    "NOAUTH": "NOAUTH Authentication required.",
    "NOPERM": "NOPERM this user has no permissions to run the 'evalsha' command",
    "WRONGPASS": "WRONGPASS invalid username-password pair or user is disabled.",
    "MASTERDOWN": "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "NOREPLICAS": "NOREPLICAS Not enough good replicas to write.",
    "EXECABORT": "EXECABORT Transaction discarded because of previous errors.",
    "UNKNOWN": "ERR upstream failure",
}
MAX_CLIENTS = "ERR max number of clients reached"

KINDS = (
    Kind("cut-before", "rule", DUPLICATES, group="cut"),
    Kind("cut-after", "rule", DUPLICATES, group="cut"),
    Kind("delay", "rule", seconds=(0.01, 0.4), group="slow"),
    Kind("stall", "rule", DUPLICATES, seconds=(0.5, 6.0), group="slow"),
    *(Kind(f"refused-{code}", "rule", group="refused") for code in ERRORS),
    Kind("max-clients", "rule", DUPLICATES, group="refused"),  # the server closes behind it
    Kind("executed-error", "rule", DUPLICATES, group="executed"),  # a proxy before the server: "upstream failure"
    Kind("kill-server", "moment", DUPLICATES),
    Kind("stop-server", "moment", seconds=(0.1, 2.5), weight=2),
    Kind("stop-server-lapse", "moment", seconds=(3.2, 4.5), warm=4.5),  # a heartbeat ends, an answer comes
    Kind("stop-server-long", "moment", DUPLICATES, seconds=(5.5, 10), weight=0.3),
    Kind("freeze", "moment", seconds=(0.1, 4.5)),
    Kind("cut-all", "moment", DUPLICATES),
    Kind("script-flush", "moment", weight=2),
    Kind("full-memory", "moment", seconds=(0.1, 2.0), weight=2),
    Kind("no-permission", "moment", seconds=(0.1, 1.5)),
    Kind("delete-waiting", "moment"),
    Kind("rollback", "moment", DUPLICATES, seconds=(0.3, 1.2), alone=True),
)

Fault = namedtuple("Fault", "name seconds text")


def options(draw, plan):
    chosen = {}
    if draw.random() < 0.25:
        chosen["wait"] = 1
    if draw.random() < 0.3:
        chosen["password"] = "secret"  # also a database of its own
    if not plan.gentle and draw.random() < 0.3:
        chosen.update(alone=("rollback",), no_move=True)
    return chosen


def share(plan):
    return in_turn(plan, sys.modules[__name__], 4)


def text_of(kind):
    if kind.startswith("refused-"):
        return f"-{ERRORS[kind[8:]]}\r\n".encode()
    return {"max-clients": f"-{MAX_CLIENTS}\r\n", "executed-error": f"-{ERRORS['UNKNOWN']}\r\n"}.get(kind, "").encode() or None


class Broker(Undoing):
    """One seed's server, proxy and faults."""

    def __init__(self, project, plan):
        super().__init__()
        password = [f"requirepass {plan.options['password']}"] if "password" in plan.options else []
        self.server = Server("appendonly yes", "appendfsync always", "aof-use-rdb-preamble no", "auto-aof-rewrite-percentage 0",
                             *password)
        self.plan, self.counts_, self.rules = plan, Counter(), defaultdict(list)
        self.base, self.forgiven = Counter(), []
        self.busy = threading.RLock()  # one at a time touches the server
        self.healed = False
        self.more_windows = 0
        self.ended_s = 40 if plan.has("delete-waiting") else 25  # who is not woken looks twice a minute

    def __enter__(self):
        self.server.__enter__()
        self.port = self.server.port()
        self.proxy = RespProxy(lambda: self.port, scripts_of(BUILD.parents[1] if (BUILD.parents[1] / "framework").is_dir() else ROOT),
                               self.decide)
        if self.plan.options.get("wait"):
            self.proxy.replicas = 1
        self.url = self.url_of(self.plan.options)
        return self

    def url_of(self, options):
        user, db = (f"default:{options['password']}@", 1) if "password" in options else ("", 0)
        return f"redis://{user}127.0.0.1:{self.proxy.port}/{db}" + ("?wait=1" if options.get("wait") else "")

    def __exit__(self, *failure):
        self.heal()
        self.proxy.__exit__()
        self.server.__exit__()

    def begin(self):
        with self.proxy.lock:
            self.base = Counter(self.proxy.seen)

    def counts(self):
        return Counter(self.counts_)

    def seen(self):
        return Counter(self.proxy.seen)

    def strangers(self):
        return set(self.proxy.seen) - set(COMMANDS)

    # ---- at commands ----

    def decide(self, operation, number):
        """Called by the proxy, its lock held. A WAIT that is refused stands behind what was stored: it is sent again, and the seed
        has to allow that."""
        waiting = [] if self.healed else self.rules[operation]
        decision = next((one for one in waiting if one.nth <= number - self.base[operation]), None)
        if decision is None:
            return None
        waiting.remove(decision)
        if operation == "WAIT" and decision.kind.group == "refused" and self.plan.gentle:
            return None
        self.more_windows += operation == "WAIT"
        self.counts_[decision.kind.name, operation] += 1
        return Fault("stall" if decision.kind.name == "stall" else decision.kind.name, decision.seconds, text_of(decision.kind.name))

    # ---- moments ----

    def inject(self, decision):
        if decision.kind.strikes == "rule":
            self.rules[decision.operation].append(decision)
            return
        with self.busy:
            getattr(self, decision.kind.name.replace("-", "_"))(decision)
        self.counts_[decision.kind.name, "server"] += 1

    def kill_server(self, decision):
        self.server.kill()
        self.server.restart()

    def stop_server(self, decision):
        pid = int((self.server.dir / "pid").read_text())
        tell(pid, signal.SIGSTOP)
        self.later(decision.seconds, lambda: tell(pid, signal.SIGCONT))

    stop_server_long = stop_server_lapse = stop_server

    def freeze(self, decision):
        self.proxy.flowing.clear()
        self.later(decision.seconds, self.proxy.flowing.set)

    def cut_all(self, decision):
        self.proxy.cut()

    def script_flush(self, decision):
        self.ask("SCRIPT", "FLUSH")

    def full_memory(self, decision):
        self.ask("CONFIG", "SET", "maxmemory", "1")
        self.later(decision.seconds, lambda: self.ask("CONFIG", "SET", "maxmemory", "0"))

    def no_permission(self, decision):
        """An administrator takes the right to run scripts, and gives it back."""
        self.ask("ACL", "SETUSER", "default", "-evalsha")
        self.later(decision.seconds, lambda: self.ask("ACL", "SETUSER", "default", "+evalsha"))

    def delete_waiting(self, decision):
        """Keys whose loss is survived: who waits to be woken, alarms, heartbeats of the living. Others hold messages."""
        for pattern in ("*:waiting", "*:alarm"):
            db = ("-n", "1") if "password" in self.plan.options else ()
            keys = self.ask(*db, "--scan", "--pattern", pattern).split()
            if keys:
                self.ask(*db, "DEL", *keys)

    def rollback(self, decision):
        """The server dies and comes back as it was some time ago: after a power cut with appendfsync everysec, a failover."""
        data, kept = self.server.dir / "appendonlydir", self.server.dir / "appendonlydir.before"
        since = time.time()
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(data, kept)
        time.sleep(decision.seconds)
        self.server.kill()
        time.sleep(0.2 + 0.6 * decision.chance)  # runs end while it is away
        shutil.rmtree(data)
        kept.rename(data)
        self.forgiven.append((since, time.time()))
        self.server.restart()

    # ---- what lasts ----

    def ask(self, *words):
        with self.busy:
            return self.server.ask(*words)

    def heal(self):
        self.healed = True
        self.proxy.flowing.set()
        self.undo_all()


def start(project, plan):
    return Broker(project, plan)
