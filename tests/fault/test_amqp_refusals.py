#!/usr/bin/python3
# brokers: rabbitmq
# seconds: 300
"""RabbitMQ refuses one thing, and only that one thing waits: a message, a queue, an exchange, a right taken away."""

import json
import sys
import threading

import pika

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest.foreign import Foreign  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.process import status_kib  # noqa: E402
from bidetest.proxy import Proxy  # noqa: E402
from bidetest.rabbitmq import Server  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

SERVER = Server()  # of this file alone: rights are taken away, queues are spoiled


def handler(project, base="300ms", **changes):
    """Its retries go straight to landing, by the exchange of that name; with a base of 2 s and more up the ladder."""
    return project.probe(retry={"attempts": 4, "backoff": "fixed", "base": base, "jitter": 0.0}, **changes)


def configure(project, **settings):
    project.url = SERVER.urls[0]
    project.configure([handler(project)], **settings)


def ran(project):
    """How often each id was run to its end."""
    counts = {}
    for line in project.journal():
        counts[line["id"]] = counts.get(line["id"], 0) + 1
    return counts


class Publishing(threading.Thread):
    """Publishes to a topic, each message on a channel of its own, until it is told to stop; `failure`: what ended it. Of what
    is `refused`, the queues that stay may have a copy."""

    def __init__(self, project):
        super().__init__(daemon=True)
        self.foreign, self.stopping, self.failure = Foreign(project), threading.Event(), None
        self.sent = self.refused = 0

    def run(self):
        try:
            while not self.stopping.is_set():
                self.foreign.open_channel()
                try:
                    self.foreign.publish("@.logs", exchange="topic", type="line")
                    self.sent += 1
                except pika.exceptions.NackError:  # it was routed before the queue was unbound, and that was deleted
                    self.refused += 1
                self.foreign.channel.close()
        except Exception as failure:
            self.failure = failure

    def stop(self):
        self.stopping.set()
        self.join(60)
        self.foreign.__exit__()


def a_leave_closes_no_connections(project):
    """RabbitMQ 3.10 ends the connection of who publishes its first message to a queue that is being deleted, with 541: a queue
    is unbound first. Nothing comes twice to the others."""
    configure(project, topics=[{"name": "logs", "subscriptions": ["geo"]}])
    project.bide("topic", "join", "geo@logs")
    senders = [Publishing(project) for _ in range(3)]
    for sender in senders:
        sender.start()
    for _ in range(4):
        project.bide("topic", "join", "brief@logs")
        so_far = [sender.sent for sender in senders]
        wait_until(lambda: all(one.failure or one.sent > n for one, n in zip(senders, so_far)), 60, "all of them send")
        project.bide("topic", "leave", "brief@logs", "--force")
    with Foreign(project) as foreign:
        expect(foreign.depth("brief@logs") is None, "what was left is still there")
    for sender in senders:
        sender.stop()
    expect(not any(sender.failure for sender in senders), f"{[sender.failure for sender in senders]}")
    sent, refused = (sum(getattr(sender, what) for sender in senders) for what in ("sent", "refused"))
    wait_until(lambda: project.queue("geo@logs")["ready"] >= sent, 60, lambda: f"{sent} are sent: {project.queue('geo@logs')}")
    expect(project.queue("geo@logs")["ready"] <= sent + refused, f"{sent} are sent, {refused} refused: {project.queue('geo@logs')}")


def a_returned_copy_is_its_own(project):
    """Dead letters of two subscriptions have one id. Where the queue of one's is gone, that one's come back, and only they."""
    project.url = SERVER.urls[0]
    project.configure([handler(project, type="line", on=f"{name}@logs") for name in ("geo", "errors")], 8)
    worker = project.worker()
    wait_until(lambda: "worker started" in worker.log_text(), 60, worker.log_tail)
    with Foreign(project) as foreign:
        foreign.delete_queue("errors@logs.dead")
        ids = project.send({"type": "line", "topic": "logs", "id": f"h{n:02d}", "body": {"dead": True}} for n in range(30))
        wait_until(lambda: (foreign.depth("errors@logs.dead") or 0) >= len(ids), 60, worker.log_tail)
    letters = sorted((row["queue"], row["id"]) for row in project.dead())
    expect(letters == sorted((f"{name}@logs", id_) for name in ("geo", "errors") for id_ in ids), f"{letters}")
    expect(worker.stop() == 0, worker.log_tail())


class CutAtAcknowledgement(Proxy):
    """Cuts everything before the client's so many-th acknowledgement of a letter (channel 2) goes through."""

    ACK = b"\x01\x00\x02\x00\x00\x00\x0d\x00\x3c\x00\x50"

    def __init__(self, target, at):
        super().__init__(target)
        self.left = at

    def step(self, data):
        self.left -= data.count(self.ACK)
        return data if self.left > 0 else b""


def link_lost_between_acknowledgements(project):
    """`dead retry` says that the connection is lost; it used to go on without one, and crashed."""
    configure(project)
    ids = project.send({"type": "nobody", "id": f"n{n:02d}"} for n in range(40))
    project.work_until(lambda: len(project.dead()) == 40)
    with CutAtAcknowledgement(SERVER.port(), 10) as proxy:
        url = f"amqp://guest:guest@127.0.0.1:{proxy.port}?connect_timeout=2"
        done = project.bide("dead", "retry", "--all", "--broker", url, expect=None, seconds=120)
        print(f"exit {done.returncode}: {done.stderr.strip()}")
        expect(done.returncode == 69, f"exit {done.returncode}: {done.stderr}")
    wait_until(lambda: len(project.dead()) + project.queue("default")["ready"] >= 40, 60, lambda: f"{project.status()}")
    project.work_off(lambda: project.left() == 0 and {row["id"] for row in project.dead()} == set(ids))


def runs_at_most(project, most):
    too_often = {id_: n for id_, n in ran(project).items() if n > most}
    expect(not too_often, f"ran too often: {too_often}")


def all_done(project, ids):
    done = {line["id"] for line in project.journal() if line["outcome"] == "done"}
    return set(ids) <= done


def exchange_deleted_under_retries(project):
    """It is declared again, and what was in flight is published once more, not for ever."""
    project.url = SERVER.urls[0]
    project.configure([handler(project), handler(project, base="2s", type="slow")])
    worker = project.worker()
    project.send([{"type": "probe", "id": "before", "body": {"fail": 1}}])
    wait_until(lambda: all_done(project, ["before"]), 60, worker.log_tail)
    with Foreign(project) as foreign:
        foreign.channel.exchange_delete(foreign.name("hold.rung.1s"))  # where the slow ones go
    ids = project.send({"type": "slow" if n % 4 == 0 else "probe", "id": f"x{n:02d}", "body": {"fail": 1}} for n in range(60))
    wait_until(lambda: all_done(project, ids), 60, lambda: f"{project.status()}: {worker.log_tail()}")
    expect(worker.stop() == 0, worker.log_tail())
    lost = worker.log_text().count("publishing connection lost")
    print(f"{sum(ran(project).values())} runs of {len(ids) + 1} messages, {lost} connections lost")
    expect(lost <= 8, f"{lost} connections lost")  # of sixty messages


def set_environment(*settings):
    """Of the broker, for channels that are opened from now on."""
    SERVER.ctl("eval", ", ".join(f"application:set_env(rabbit, {setting})" for setting in settings) + ".")


def runs_longer_than_the_broker_waits(project):
    """One at a time, half a second each: what is prefetched behind goes back before the broker takes it away."""
    seconds, usual = 3, 1800
    set_environment(f"consumer_timeout, {seconds * 1000}", "channel_tick_interval, 500")
    try:
        project.url = SERVER.urls[0] + f"?consumer_timeout={seconds}"
        project.configure([handler(project, concurrency=1)], threads=8)
        worker = project.worker()
        ids = project.send({"type": "probe", "id": f"l{n:02d}", "body": {"sleep_ms": 500}} for n in range(14))
        wait_until(lambda: all_done(project, ids), 60, lambda: f"{project.status()}: {worker.log_tail()}")
        runs_at_most(project, 1)
        expect(worker.stop() == 0, worker.log_tail())
        expect("timed out" not in worker.log_text(), worker.log_tail())
    finally:
        set_environment(f"consumer_timeout, {usual * 1000}", "channel_tick_interval, 60000")


def is_taken_away_while_it_runs(project):
    """The broker waits for less than its URL says: it closes the channel, or ends the consumer (4.3). Both come again."""
    configure(project)
    project.bide("send", "probe", "{}", "--id", "before")
    set_environment("consumer_timeout, 1000", "channel_tick_interval, 500")
    try:
        worker = project.worker()
        project.send([{"type": "probe", "id": "slow", "body": {"until": "go"}}])
        wait_until(lambda: "is not served" in worker.log_text(), 60, lambda: f"{project.status()}: {worker.log_tail()}")
    finally:
        set_environment("consumer_timeout, 1800000", "channel_tick_interval, 60000")
    project.release()
    expect("timed out" in worker.log_text() or "consumer_timeout" in worker.log_text(), worker.log_tail())
    project.bide("send", "probe", "{}", "--id", "after")
    wait_until(lambda: all_done(project, ["before", "slow", "after"]) and project.queue("default")["ready"] == 0, 60,
               lambda: f"{project.status()}: {worker.log_tail()}")
    wait_until(lambda: "is served again" in worker.log_text(), 60, worker.log_tail)
    expect(worker.stop() == 0, worker.log_tail())
    print(f"runs: {ran(project)}")
    expect(not project.dead(), f"{project.dead()}")


MIB = 1024 * 1024


def oversized_bodies(project):
    """Judged before they are read: as many as there is room for are in memory; larger ones than that lose their tail."""
    configure(project, worker={"max_body": "1MiB", "max_in_flight": "8MiB"})
    project.bide("send", "probe", "{}", "--id", "before")
    with Foreign(project) as foreign:
        for n in range(6):
            foreign.publish("default", type="probe", message_id=f"whole{n}", body=b"w" * 4 * MIB)
            foreign.publish("default", type="probe", message_id=f"cut{n}", body=b"c" * 16 * MIB)
            foreign.publish("default", type="probe", message_id=f"good{n}", body=b"{}")
        worker = project.worker()
        wait_until(lambda: all_done(project, [f"good{n}" for n in range(6)]) and foreign.depth("default.dead") == 12, 60,
                   lambda: f"{project.status()}: {worker.log_tail()}")
        peak = max(status_kib(pid, "VmHWM") for pid in worker.tree())
        print(f"a worker process took {peak // 1024} MiB at most")
        expect(peak < 80 * 1024, f"{peak} KiB")
        letters = {row["id"]: row for row in project.dead()}
        expect({row["reason"] for row in letters.values()} == {"oversized"}, f"{letters}")
        expect(f"{16 * MIB} bytes" in letters["cut0"]["error"], f"{letters['cut0']}")
        expect(worker.stop() == 0, worker.log_tail())
        said = project.bide("dead", "retry", "--all").stderr
        expect("only the beginning" in said and len(project.dead()) == 6, f"{said}")
        sizes = sorted(len(foreign.take("default")[1]) for _ in range(6))
        expect(sizes == [4 * MIB] * 6, f"{sizes}")


ALL, NO_LANDING, NO_LATER = ".*", r"^(?![^.]*\.landing$).*$", r"^(?!.*default\.later$).*$"
NO_WORK, NO_DEFAULT = r"^(?!.*\.(hold\.|due$|work$)|[^.]*\.landing$).*$", r"^(?!amq\.default$).*$"


class Clerk:
    """A user whose right to write is taken away while in it; messages come from another."""

    def __init__(self, project, handlers=(), **settings):
        if "clerk" not in SERVER.ctl("list_users"):
            SERVER.ctl("add_user", "clerk", "clerk")
        self.may_write(ALL)
        project.url = f"amqp://clerk:clerk@127.0.0.1:{SERVER.port()}"
        project.configure([handler(project), *handlers], **settings)
        self.worker = project.worker()
        project.send([{"type": "probe", "id": "before"}])
        wait_until(lambda: all_done(project, ["before"]), 60, self.worker.log_tail)
        self.foreign = Foreign(project, SERVER.urls[0])

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.foreign.connection.close()

    def may_write(self, what):
        SERVER.ctl("set_permissions", "clerk", ".*", what, ".*")

    def may_read(self, what):
        """From the next connection on: a consumer that runs goes on."""
        SERVER.ctl("set_permissions", "clerk", ".*", ALL, what)
        SERVER.ctl("close_all_user_connections", "clerk", "test")

    def send(self, prefix, count, body, queue="default", type_="probe"):
        ids = [f"{prefix}{n:02d}" for n in range(count)]
        for id_ in ids:
            self.foreign.publish(queue, type=type_, message_id=id_, body=json.dumps(body).encode())
        return ids


def right_taken_away(project):
    """Retries cannot be published; all else goes on, also those prefetched behind. Once the right is back, so do they."""
    with Clerk(project, worker={"prefetch": 2}) as clerk:
        clerk.may_write(NO_WORK)
        failing = clerk.send("f", 6, {"fail": 1})
        hopeless, good = clerk.send("h", 6, {"dead": True}), clerk.send("g", 40, {})
        wait_until(lambda: all_done(project, good) and len(project.dead()) == len(hopeless), 60,
                   lambda: f"the others go on: {project.status()}: {clerk.worker.log_tail()}")
        runs_at_most(project, 1)
        lines = wait_until(lambda: clerk.worker.log_text().count("publishing connection lost"), 60, "nothing was refused")
        print(f"{lines} connections for {len(failing)} messages that are refused")
        clerk.may_write(ALL)
        wait_until(lambda: all_done(project, failing), 60, lambda: f"{project.status()}: {clerk.worker.log_tail()}")
        runs_at_most(project, 2)
        expect(clerk.worker.stop() == 0, clerk.worker.log_tail())
        expect(clerk.worker.log_text().count("the broker refuses a message") < 6, "said again and again")


def no_right_to_land(project):
    """Its exchange refuses what is nearly due: that waits in hand until it is due, and then goes to the work queue."""
    slow = handler(project, base="2s", type="slow")
    with Clerk(project, [slow]) as clerk:
        clerk.may_write(NO_LANDING)
        soon, later = clerk.send("f", 6, {"fail": 1}), clerk.send("s", 6, {"fail": 1}, type_="slow")
        wait_until(lambda: all_done(project, soon + later), 60, lambda: f"{project.status()}: {clerk.worker.log_tail()}")
        runs_at_most(project, 2)
        expect(f"{project.name_space}.landing' in vhost" in clerk.worker.log_text(), "nothing was refused")
        expect(clerk.worker.stop() == 0, clerk.worker.log_tail())


def no_right_to_read_later(project):
    """Its later queue is not served, said once; what runs at once and what is delayed by bide is. Then it is served again."""
    with Clerk(project) as clerk:
        clerk.may_read(NO_LATER)
        wait_until(lambda: "is not served" in clerk.worker.log_text(), 60, clerk.worker.log_tail)
        clerk.foreign.publish("default", exchange="later", type="probe", message_id="delay", expiration="60000")
        clerk.foreign.publish("default", exchange="later", type="probe", message_id="expires", expiration="300")
        good = clerk.send("g", 10, {}) + clerk.send("f", 5, {"fail": 1})
        wait_until(lambda: all_done(project, good), 60, lambda: f"the others go on: {clerk.worker.log_tail()}")
        expect(clerk.foreign.depth("default.later") == 2, "what nobody may read is gone")
        clerk.may_read(ALL)
        wait_until(lambda: all_done(project, ["expires"]), 60, lambda: f"{project.status()}: {clerk.worker.log_tail()}")
        wait_until(lambda: clerk.foreign.depth("default.later") == 0, 60, clerk.worker.log_tail)
        wait_until(lambda: "is served again" in clerk.worker.log_text(), 60, clerk.worker.log_tail)
        expect(clerk.worker.log_text().count("is not served") == 1, f"said once: {clerk.worker.log_tail()}")
        expect(clerk.worker.stop() == 0, clerk.worker.log_tail())


OTHER = {"queues": [{"name": "default"}, {"name": "other"}]}


def in_other(project, **changes):
    """A second queue beside the one that has the trouble."""
    return handler(project, type="other", queue="other", **changes)


def large_bodies_refused(project):
    """What is refused does not take the room that the others' bodies need; only its own queue waits for it."""
    large = {"fail": 1, "pad": "x" * 600 * 1024}
    with Clerk(project, [in_other(project)], worker={"max_body": "1MiB", "max_in_flight": "1MiB"}, **OTHER) as clerk:
        clerk.may_write(NO_WORK)
        failing = clerk.send("f", 6, large)
        wait_until(lambda: ran(project).get("f00"), 60, clerk.worker.log_tail)
        good = clerk.send("g", 6, {"pad": "x" * 600 * 1024}, "other", "other")
        wait_until(lambda: all_done(project, good), 60, lambda: f"the others go on: {ran(project)}: {clerk.worker.log_tail()}")
        peak = max(status_kib(pid, "VmHWM") for pid in clerk.worker.tree())
        started = sum(id_ in ran(project) for id_ in failing)
        print(f"{started} of {len(failing)} refused ones are in hand, {peak // 1024} MiB at most")
        expect(started < len(failing), "there is no end to it")
        clerk.may_write(ALL)
        wait_until(lambda: all_done(project, failing), 60, lambda: f"{project.status()}: {clerk.worker.log_tail()}")
        expect(clerk.worker.stop() == 0, clerk.worker.log_tail())


def refused_while_it_leaves(project):
    """What the broker takes a moment later is not left to run again."""
    configure(project)
    worker = project.worker()
    project.send([{"type": "probe", "id": "late", "body": {"fail": 1, "sleep_ms": 2000}}])
    wait_until(lambda: project.queue("default")["ready"] == 0, 60, worker.log_tail)
    with Foreign(project) as foreign:
        foreign.channel.exchange_delete(foreign.name("landing"))
    expect(worker.stop() == 0, worker.log_tail())
    worker = project.worker()
    wait_until(lambda: all_done(project, ["late"]), 60, worker.log_tail)
    runs_at_most(project, 2)
    expect(worker.stop() == 0, worker.log_tail())


def no_right_to_bury(project):
    """The default exchange carries the dead letters: `check` says that it is refused, and nothing runs again meanwhile."""
    with Clerk(project) as clerk:
        clerk.may_write(NO_DEFAULT)
        hopeless, good = clerk.send("h", 5, {"dead": True}), clerk.send("g", 40, {})
        wait_until(lambda: all_done(project, good), 60, lambda: f"{project.status()}: {clerk.worker.log_tail()}")
        done = project.bide("check", expect=78)
        expect("amq.default" in done.stdout + done.stderr, f"{done.stdout}{done.stderr}")
        clerk.may_write(ALL)
        wait_until(lambda: len(project.dead()) == len(hopeless), 60, clerk.worker.log_tail)
        runs_at_most(project, 1)
        expect(clerk.worker.stop() == 0, clerk.worker.log_tail())


def one_queue_cannot_be_declared(project):
    """It waits, said once; the others are served, paused, resumed and drained, also over a new connection."""
    queues = [{"name": "default"}, {"name": "spoilt"}]
    handlers = [handler(project), handler(project, type="other", queue="spoilt")]
    with Proxy(SERVER.port()) as proxy:
        project.url = f"amqp://guest:guest@127.0.0.1:{proxy.port}"
        project.configure(handlers, queues=queues)
        worker = project.worker()
        project.send([{"type": "probe", "id": "before"}, {"type": "other", "id": "other", "queue": "spoilt"}])
        wait_until(lambda: all_done(project, ["before", "other"]), 60, worker.log_tail)
        with Foreign(project, SERVER.urls[0]) as foreign:
            foreign.delete_queue("spoilt")
            foreign.channel.queue_declare(foreign.name("spoilt"), arguments={"x-max-length": 1})
            wait_until(lambda: "is not served" in worker.log_text(), 60, worker.log_tail)
            foreign.publish("default", type="probe", message_id="b", body=b'{"fail":1}')
            wait_until(lambda: all_done(project, ["b"]), 60, lambda: f"the others go on: {worker.log_tail()}")
            project.bide("pause", "default")
            foreign.publish("default", type="probe", message_id="c", body=b"{}")
            wait_until(lambda: foreign.depth("default") == 1, 60, "what comes during the pause stays in its queue")
            expect(not all_done(project, ["c"]), "it ran although its queue is paused")
            project.bide("resume", "default")
            wait_until(lambda: all_done(project, ["c"]), 60, lambda: f"{worker.log_tail()}")
            proxy.cut()
            foreign.publish("default", type="probe", message_id="d", body=b"{}")
            wait_until(lambda: all_done(project, ["d"]), 60, lambda: f"connected again: {worker.log_tail()}")
            expect(worker.log_text().count("is not served") == 1, f"said once: {worker.log_text()}")
            foreign.delete_queue("spoilt")
        wait_until(lambda: "is served again" in worker.log_text(), 60, worker.log_tail)
        project.send([{"type": "other", "id": "again", "queue": "spoilt"}])
        wait_until(lambda: all_done(project, ["again"]), 60, worker.log_tail)
        expect(worker.stop() == 0, worker.log_tail())


with SERVER:
    main(exchange_deleted_under_retries, right_taken_away, large_bodies_refused, no_right_to_land, no_right_to_read_later,
         refused_while_it_leaves, no_right_to_bury, one_queue_cannot_be_declared,
         runs_longer_than_the_broker_waits, is_taken_away_while_it_runs, oversized_bodies,
         link_lost_between_acknowledgements, a_leave_closes_no_connections,
         a_returned_copy_is_its_own)
