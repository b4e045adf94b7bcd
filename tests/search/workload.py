"""What is sent while faults happen: all sorts of messages by two senders, replays of dead letters, a move there and back."""

import json
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field

from bidetest.plugins import build_plugin
from bidetest.process import die_with_parent
from bidetest.project import BUILD

QUEUES = ("default", "side", "cargo")
THREADS, PREFETCH = 4, 12
SEND_S = 60  # for one `bide send`, which itself gives up after its timeout
BAD = "refused"
FAILED = (69, 78)  # the broker did not answer, or refused: with the faults of a seed both may happen

# Sends a message named after its own, and is done.
CHAIN = r"""
#include <bide/handler.h>
#include <stdio.h>

static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    char id[300];
    bide_error error;
    bide_message *next = NULL;
    (void)state;
    snprintf(id, sizeof id, "%s-next", bide_message_id(message));
    if (bide_message_create("probe", &next, &error) != BIDE_OK || bide_message_set_id(next, id, &error) != BIDE_OK ||
        bide_message_set_body(next, "{}", 2, &error) != BIDE_OK || bide_context_send(context, next, &error) != BIDE_OK)
        return bide_retry(context, BIDE_BY_POLICY, "%s", error.text);
    return BIDE_DONE;
}

const bide_plugin_descriptor bide_plugin = {
    BIDE_PLUGIN_HEAD, .name = "chain", .version = "1", .summary = "sends a message named after its own", .handle = handle};
"""

# What a message is for: its share of a thousand, and how many runs it asks for (None: as many as its policy has).
SHARES = (("plain", 400), ("later", 230), ("again", 90), ("hopeless", 60), ("slow", 60), ("expires", 50), ("chain", 60),
          ("rough", 10), ("cargo", 40))


@dataclass
class Sent:
    row: dict
    sort: str
    fails: int = 0  # how many of its runs
    began: float = 0.0  # when (time.time()) its sending began
    confirmed: float = 0.0  # … and when it was confirmed; 0: never


@dataclass
class Work:
    sent: dict = field(default_factory=dict)  # id -> Sent
    replays: list = field(default_factory=list)
    moves: int = 0
    failed_moves: int = 0  # a batch of each may have arrived although it stayed, too
    drops: int = 0  # of letters of those that crash
    send_s: list = field(default_factory=list)  # how long each sending took
    streams: list = field(default_factory=list)  # ids of those that were sent to their end
    complaints: list = field(default_factory=list)

    def confirmed(self):
        return {name: one for name, one in self.sent.items() if one.confirmed}


# ---- messages ----


def body_of(draw, sort):
    if sort == "again":
        return {"fail": draw.choice((1, 1, 2))}
    if sort == "hopeless":
        return {"dead": True}
    if sort == "slow":
        return {"sleep_ms": draw.randrange(200, 1200)}
    if sort == "rough":
        return draw.choice(({"crash": True}, {"exit": True}))
    return {"sleep_ms": draw.randrange(4)}


def row_of(draw, sort, number):
    row = {"type": {"rough": "rough", "chain": "chain"}.get(sort, "probe"), "id": f"{sort}-{number:05d}", "body": body_of(draw, sort)}
    if sort in ("later", "cargo") or sort in ("slow", "chain", "again") and draw.random() < 0.5:
        row["delay"] = f"{draw.randrange(100, 3000)}ms"
    if sort == "expires":
        row.update(delay=f"{draw.randrange(10, 800)}ms", expires=f"{draw.randrange(1, 400)}ms")
    if sort == "cargo":
        row.update(queue="cargo", delay=f"{draw.randrange(800, 3000)}ms")
    elif draw.random() < 0.25:
        row["queue"] = "side"
    return row


def fails_of(body):
    return (json.loads(body) if isinstance(body, str) else body).get("fail", 0)


def batches(plan, sender, seconds):
    """[(when, rows)] of one sender. Now and then a batch begins with a row that is refused: no type, or due too far ahead."""
    draw, at, number, made = plan.stream("sender", sender), 0.0, sender * 50000, []
    names, weights = zip(*SHARES)
    big = plan.options.get("big")
    while at < seconds:
        rows = []
        for _ in range(draw.choice((1, 5, 20, 40))):
            number += 1
            rows.append(row_of(draw, draw.choices(names, weights)[0], number))
            if plan.options.get("huge") and draw.random() < 0.4:  # spaces behind the JSON: half a MiB of them
                rows[-1]["body"] = json.dumps(rows[-1]["body"]) + " " * draw.randrange(600_000)
            if big:
                rows[-1]["headers"] = {f"filling-{n}": "x" * 3900 for n in range(draw.randrange(9))}
        if draw.random() < 0.25:
            rows.insert(0, {"id": BAD, **draw.choice(({}, {"type": "probe", "at": "2199-01-01T00:00:00Z"}))})
        made.append((at, rows))
        at += draw.uniform(0.1, 0.5)
    return made


# ---- configuration ----


def prepare(project, plan, second_url=None):
    """Two configurations of one system; the second worker fetches as it likes, and may know the broker by another URL."""
    plugins = project.dir / "plugins"
    plugins.mkdir()
    for shipped in (BUILD / "handlers").glob("*.so"):
        (plugins / shipped.name).symlink_to(shipped)
    build_plugin(CHAIN, plugins / "chain.so")
    retry = {"attempts": 4, "crash_attempts": 2, "backoff": "fixed", "base": "150ms", "jitter": 0.0}
    batches = {"batch": 4, "batch_wait": "30ms"} if plan.options.get("batches") else {}
    handlers = [
        project.probe(retry=retry, **batches),
        project.probe(type="rough", queue="side", isolation="process", retry=retry),
        {"type": "chain", "plugin": "chain", "retry": retry},
    ]
    queues = [{"name": name, "weight": 2} for name in QUEUES]
    usual, url = project.config, project.url
    common = {"plugin_dir": str(plugins), "allow_unsafe_plugins": True}
    if not url.startswith("sqlite"):
        common["store"] = "sqlite:store.db"  # what is looked for are faults of brokers
    for world in plan.worlds:
        world.prepare(project, retry, common)
        handlers += world.handlers(project, retry)
        queues += [{"name": name} for name in world.QUEUES]
    more = common.pop("worker", {})
    for name, prefetch in (("second.conf", 0), ("bide.conf", PREFETCH)):
        project.config, project.url = project.dir / name, second_url if second_url and prefetch == 0 else url
        project.configure(handlers, THREADS, worker={"prefetch": prefetch, "drain": "8s", **more}, queues=queues, **common)
    project.config = usual


# ---- senders, replays, moves ----


class Sending(threading.Thread):
    """One sender: `bide send --lines` for each batch. What is not confirmed is not sent again."""

    options, may_fail = (), FAILED

    def __init__(self, project, work, made, started):
        super().__init__(daemon=True)
        self.project, self.work, self.made, self.started = project, work, made, started

    def run(self):
        for at, rows in self.made:
            time.sleep(max(0, self.started + at - time.monotonic()))
            for row in rows:
                if row["id"] != BAD:
                    self.work.sent[row["id"]] = Sent(row, row["id"].rsplit("-", 1)[0], fails_of(row["body"]))
            try:
                self.send(rows)
            except Exception as failure:  # a sender that cannot even be started is a finding, too
                self.work.complaints.append(f"a sender failed: {failure!r}")

    def send(self, rows):
        since, began = time.monotonic(), time.time()
        said, code, complaint = self.watch("".join(json.dumps(row) + "\n" for row in rows))
        self.work.send_s.append(time.monotonic() - since)
        for name, when in said.items():
            self.work.sent[name].began, self.work.sent[name].confirmed = began, when
        if code == -signal.SIGKILL:
            self.work.complaints.append(f"a sender did not end within {SEND_S} s")
            return
        good = len(rows) - (rows[0]["id"] == BAD)
        if code == 65 and "by the proxy" in complaint:  # lines that the broker refused to take
            return
        if code in (0, 65) and len(said) != good:
            self.work.complaints.append(f"send: exit {code}, but {len(said)} of {good} ids are printed: {complaint}")
        elif code == 65 and good < len(rows):
            return
        elif code not in (0, *self.may_fail):
            self.work.complaints.append(f"send: exit {code}: {complaint}")

    def watch(self, text):
        """Runs it; returns when each id was printed (its batch was confirmed just before), the exit code, what it said."""
        with tempfile.TemporaryFile("w+") as lines, tempfile.TemporaryFile("w+") as errors:
            lines.write(text)
            lines.seek(0)
            process = subprocess.Popen([str(BUILD / "bide"), "send", "--lines", *self.options], cwd=self.project.dir, stdin=lines,
                                       stdout=subprocess.PIPE, stderr=errors, text=True, preexec_fn=die_with_parent)
            patience = threading.Timer(SEND_S, process.kill)
            patience.start()
            said = {line.strip(): time.time() for line in process.stdout}
            code = process.wait()
            patience.cancel()
            process.stdout.close()
            errors.seek(0)
            return said, code, errors.read().strip()[-300:]


class Streams(threading.Thread):
    """Streams with an end (docs/streams.md): each is complete once all of its members are done. One whose sender fails is no
    stream; what was sent of it may run."""

    def __init__(self, project, plan, work, started):
        super().__init__(daemon=True)
        self.project, self.work, self.started = project, work, started
        draw = plan.stream("streams")
        self.made = sorted((draw.uniform(0, plan.seconds), [{"fail": 1} if draw.random() < 0.1 else {} for _ in range(draw.randrange(1, 60))])
                           for _ in range(draw.randrange(3)))

    def run(self):
        for at, bodies in self.made:
            time.sleep(max(0, self.started + at - time.monotonic()))
            try:
                self.send(bodies)
            except Exception as failure:
                self.work.complaints.append(f"a stream failed: {failure!r}")

    def send(self, bodies):
        began, text = time.time(), "".join(json.dumps(body) + "\n" for body in bodies)
        done = self.project.bide("stream", "send", "--queue", "side", "--type", "probe", expect=None, text=text, seconds=85)
        if done.returncode not in (0, *FAILED) and not (done.returncode == 65 and "by the proxy" in done.stderr):
            self.work.complaints.append(f"stream send: exit {done.returncode}: {done.stderr.strip()[-300:]}")
        if done.returncode != 0:
            return
        identity = done.stdout.strip()
        self.work.streams.append(identity)
        for number, body in enumerate(bodies, 1):
            row = {"type": "probe", "id": f"{identity}:{number}", "body": body}
            self.work.sent[row["id"]] = Sent(row, "stream", fails_of(body), began, time.time())

    def findings(self, forgiven):
        """After all has ended. Where a broker has lost what it had, members are lost with it, and what the store has of them."""
        for identity in self.work.streams if not forgiven else ():
            row = json.loads(self.project.bide("stream", "show", identity, "--json", seconds=60).stdout)
            part = row["queues"][0]
            if row["state"] != "complete" or part["done"] != part["total"]:
                yield f"a stream whose members have ended is {row['state']}: {part}"


class Errands(threading.Thread):
    """What an operator does meanwhile: replays, and a move of the cargo to a file and back. They may fail with the broker."""

    def __init__(self, project, plan, work, started):
        super().__init__(daemon=True)
        self.project, self.work, self.started = project, work, started
        draw = plan.stream("errands")
        self.jobs = sorted((draw.uniform(0.5, plan.seconds), draw.choice(("replay", "replay", "status", "listing", "drop", "check")))
                           for _ in range(draw.randrange(2, 6)))
        self.moving = not plan.options.get("no_move") and draw.random() < 0.7
        self.partly = draw.random() < 0.6
        if self.moving:
            at = draw.uniform(0.3, plan.seconds - 0.5)
            self.jobs = sorted([*self.jobs, (at, "move"), (draw.uniform(at, plan.seconds), "bring")])
        self.jobs = sorted([*self.jobs, (draw.uniform(plan.seconds / 2, plan.seconds), "replay")])

    def run(self):
        for at, job in self.jobs:
            time.sleep(max(0, self.started + at - time.monotonic()))
            try:
                getattr(self, job)()
            except subprocess.TimeoutExpired:
                self.work.complaints.append(f"{job} did not end within a minute")
            except Exception as failure:
                self.work.complaints.append(f"{job} failed: {failure!r}")

    def call(self, *words):
        """An operator tries again, twice: what one command refuses keeps no other from being reached."""
        for pause in (0.2, 0.4, 0):
            if self.called(*words):
                return True
            time.sleep(pause)
        return False

    def called(self, *words):
        done = self.project.bide(*words, expect=None, seconds=60)
        if done.returncode not in (0, *FAILED):
            self.work.complaints.append(f"{' '.join(words[:2])}: exit {done.returncode}: {done.stderr.strip()[-300:]}")
        self.work.failed_moves += words[0] == "move" and done.returncode != 0
        return done.returncode == 0

    def replay(self):
        self.work.replays.append(time.time())
        self.call("dead", "retry", "--all", "--limit", "30")

    def status(self):
        self.call("status", "--json")

    def drop(self):
        self.work.drops += 1
        self.call("dead", "drop", "--all", "--reason", "crashed")

    def check(self):
        self.call("check")

    def listing(self):
        self.call("dead", "list", "--json")
        if self.project.broker != "rabbitmq":  # it refuses
            self.call("list", "--json")

    def move(self):
        self.work.moves += 1
        queue = ("--queue", "cargo") if self.partly else ()
        self.call("move", "--from", self.project.url, "--to", "sqlite:elsewhere.db", *queue)

    def bring(self):
        if (self.project.dir / "elsewhere.db").exists():
            self.call("move", "--from", "sqlite:elsewhere.db", "--to", self.project.url)

    def bring_back(self):
        """After all is healed: what was moved has to come home."""
        if self.work.moves and (self.project.dir / "elsewhere.db").exists():
            self.project.bide("move", "--from", "sqlite:elsewhere.db", "--to", self.project.url, seconds=60)
