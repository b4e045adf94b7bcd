"""Streams with an end: sends them to two subscriptions of a topic, and reads what became of them."""

import json

TOPIC, SUBSCRIPTIONS, LINES, ENDED = "logs", ("geo", "errors"), "line", "ended"


def store_of(project):
    """A SQLite or Redis broker is its own store. RabbitMQ cannot be one."""
    return {"store": "sqlite:store.db"} if project.broker == "rabbitmq" else {}


class Streams:
    """A project whose members run in the probe, once for each subscription, and whose end messages are kept with their bodies."""

    def __init__(self, project, store=None, **settings):
        self.project, self.files, self.copies = project, 0, len(SUBSCRIPTIONS)
        self.deadlines = 0  # that wait in the broker
        self.to = (TOPIC, "--for", ",".join(SUBSCRIPTIONS))
        queues = [f"{subscription}@{TOPIC}" for subscription in SUBSCRIPTIONS]
        keep = {"plugin": "command", "settings": {"program": "sh", "args": ["-c", f"printf '%s\\n' \"$(cat)\" >> {project.dir}/ends"]}}
        handlers = [project.probe(type=LINES, on=queue) for queue in queues] + [{"type": ENDED, "on": queue, **keep} for queue in queues]
        project.configure(handlers, **(store_of(project) if store is None else store), **settings)

    def file(self, bodies):
        self.files += 1
        path = self.project.dir / f"file-{self.files}"
        path.write_text("".join(json.dumps(body) + "\n" for body in bodies))
        return path

    def send(self, *files, options=(), expect_exit=0, env=None, seconds=60):
        """One stream for each list of bodies."""
        paths = [self.file(bodies) for bodies in files]
        self.deadlines += len(files) * self.copies
        if "--wait" in options:
            options = (*options, "--json")
        return self.project.bide("stream", "send", *self.to, "--type", LINES, "--on-end", ENDED, *options, *paths,
                                 expect=expect_exit, env=env, seconds=seconds)

    def wait(self, *files):
        """What `--wait` says of each, and its exit code."""
        done = self.send(*files, options=("--wait",), expect_exit=None)
        return [json.loads(line) for line in done.stdout.splitlines()], done.returncode

    def show(self, identity):
        return json.loads(self.project.bide("stream", "show", identity, "--json").stdout)

    def list(self):
        return [json.loads(line) for line in self.project.bide("stream", "list", "--json").stdout.splitlines()]

    def ends(self):
        """The end messages that ran, of each stream and subscription one."""
        path = self.project.dir / "ends"
        ends = [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []
        return list({(end["stream"], end["queue"]): end for end in ends}.values())
