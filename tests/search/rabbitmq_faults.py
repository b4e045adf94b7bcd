"""Faults of RabbitMQ: at its methods (amqp_proxy.py), of what is declared and permitted, and of the server itself."""

import contextlib
import os
import shutil
import signal
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

import pika

from bidetest.rabbitmq import Server

from amqp_faults import HARD, SOFT, Fault, can_strike
from amqp_proxy import AmqpProxy
from faults import DUPLICATES, Decision, Kind, rank
from methods_rabbitmq import CONNECTING, HOT, METHODS, OF_TOPICS, OPERATIONS, SELDOM, operation
from rabbitmq_console import Console
from worker_faults import KINDS as OF_WORKERS
from worker_faults import Undoing

HEARTBEAT_S = 6  # shorter silences break no connection
SETTINGS = "heartbeat = 60\n"
MOST_PUBLISHES = 40  # of one message: four attempts, a replay or two, each held once or twice, and what faults repeat
MOST_DELIVERIES = 60
MOST_CONNECTIONS = 12  # of couriers: two workers, each reloaded, drained, killed
SHARED = "BIDE_SEARCH_RABBITMQ"  # the folder of a server for all seeds that leave the server itself alone


def where(name):
    return tuple(operation for operation in OPERATIONS if can_strike(name, operation.split()[1]))


def rule(name, *arguments, **more):
    return Kind(name, "rule", *arguments, only=where(name), **more)


KINDS = (
    rule("cut-before", DUPLICATES, group="cut before"),
    rule("cut-after", DUPLICATES, group="cut after"),
    rule("delay", seconds=(0.02, 0.5), group="delay"),
    rule("stall", seconds=(0.2, 2.0), group="stall"),
    rule("stall-long", DUPLICATES, seconds=(3.0, 9.0), group="stall"),
    *(rule(f"channel-{code}", DUPLICATES, group="channel closed") for code in SOFT),
    *(rule(f"connection-{code}", DUPLICATES, group="connection closed") for code in HARD),
    rule("nack", group="publish"),
    rule("nack-stored", DUPLICATES, group="publish"),
    rule("return-312", group="publish"),
    rule("return-313", group="publish"),
    rule("blocked", seconds=(0.2, 2.5), group="publish"),
    rule("late", seconds=(0.1, 1.5), group="confirms"),
    rule("reordered", seconds=(0.02, 0.3), group="confirms"),
    rule("gathered", seconds=(0.02, 0.3), group="confirms"),
    rule("drop", group="heartbeat"),
    rule("cancel", DUPLICATES, group="cancel"),  # RabbitMQ 3.10.8 may end the connection over it (a crash of its channel)
    Kind("refuse-publish", "moment", DUPLICATES, seconds=(0.3, 3.0), weight=2),
    Kind("refuse-queue", "moment", DUPLICATES, seconds=(0.3, 3.0)),
    Kind("delete-exchange", "moment", DUPLICATES),
    Kind("delete-binding", "moment", DUPLICATES),
    Kind("delete-empty-rung", "moment", DUPLICATES),
    Kind("no-permission", "moment", DUPLICATES, seconds=(0.2, 2.0)),
    Kind("close-all", "moment", DUPLICATES),
    Kind("cut-all", "moment", DUPLICATES),
    Kind("policy", "moment", seconds=(0.2, 2.0)),
    Kind("kill-server", "moment", DUPLICATES, alone=True),
    Kind("stop-server", "moment", seconds=(0.1, 2.0), alone=True),
    Kind("stop-server-long", "moment", DUPLICATES, seconds=(3.0, 8.0), alone=True),
    Kind("stop-app", "moment", DUPLICATES, alone=True),
    Kind("memory-alarm", "moment", seconds=(0.2, 2.5), alone=True),
    Kind("disk-alarm", "moment", seconds=(0.2, 2.5), alone=True),
)
OF_SERVER = [kind for kind in KINDS if kind.alone]
RELOAD, QUIET = (next(kind for kind in OF_WORKERS if kind.name == name) for name in ("reload", "quiet"))
CUT_ALL = next(kind for kind in KINDS if kind.name == "cut-all")
OWN = (1, 4, 6)
SHARES = 4  # so many seeds of a sort, gentle or rough, meet all
RUNGS = ("100ms", "1s", "1min")


def allowed(plan, kinds):
    return [kind for kind in kinds if not plan.gentle or kind.allows != DUPLICATES]


def only_rough(plan, kinds):
    return [kind for kind in kinds if plan.gentle == (kind.allows != DUPLICATES)]


def options(draw, plan):
    """Three seeds of eight of a sort have a server of their own, to which something happens."""
    turn, fitting = rank(plan), only_rough(plan, OF_SERVER)
    if turn % 8 not in OWN:
        return {}
    return {"server": fitting[(OWN.index(turn % 8) + turn // 8) % len(fitting)].name}


def share(plan):
    """In turn: a part of the operations, each struck at its first passage by the next kind; a part of the kinds, each at what
    goes by in every seed; moments. Workers connect again, or go quiet, where an operation needs that."""
    draw, turn = plan.stream("share"), rank(plan)
    rules = allowed(plan, [kind for kind in KINDS if kind.strikes == "rule"])
    moments = allowed(plan, [kind for kind in KINDS if kind.strikes == "moment" and not kind.alone])
    workers = only_rough(plan, OF_WORKERS)
    made = []

    def at_rule(kind, struck, nth):
        made.append(Decision(kind, struck, nth, seconds=draw.uniform(*kind.seconds), chance=draw.random()))

    def at_moment(kind, since=0.5):
        made.append(Decision(kind, at=draw.uniform(since, max(since, plan.seconds)), seconds=draw.uniform(*kind.seconds),
                             chance=draw.random()))

    for number, struck in enumerate(OPERATIONS):
        if plan.options.get("server") and struck.startswith(("login", "command")):
            continue  # where the server goes away, something should be on its way
        fitting = [kind for kind in rules if struck in kind.only]
        if fitting and number % (SHARES if struck not in SELDOM else 2) == turn % (SHARES if struck not in SELDOM else 2):
            at_rule(fitting[(turn // SHARES + number * 5) % len(fitting)], struck, 1)
    for kind in rules[turn % SHARES :: SHARES]:
        at_rule(kind, draw.choice([name for name in HOT if name in kind.only] or kind.only), draw.randrange(1, 4))
    at_moment(moments[turn % len(moments)])
    at_moment(workers[turn % len(workers)])
    for kind in KINDS:
        if kind.name == plan.options.get("server"):
            at_moment(kind, since=2.0)
    if any(one.operation in CONNECTING for one in made):
        at_moment(RELOAD if plan.gentle else CUT_ALL)
    if any(one.operation == "intake basic.nack" for one in made):
        at_moment(QUIET)
    return made


@contextlib.contextmanager
def shared():
    """A server for many seeds; those who start them name its folder to each."""
    with Server(settings=SETTINGS) as server:
        os.environ[SHARED] = str(server.dir)
        yield
        del os.environ[SHARED]


class Borrowed(Server):
    """A server that others started and will stop."""

    def __init__(self, folder):
        self.dir, self.nodes = Path(folder), 1

    def __enter__(self):
        port = next(line for line in (self.dir / "ports").read_text().split() if line.startswith("amqp_port_1="))
        self.urls = [f"amqp://guest:guest@127.0.0.1:{port.split('=')[1]}"]
        return self

    def __exit__(self, *failure):
        pass


class Broker(Undoing):
    """One seed's server (or its user of a shared one), proxy and faults."""

    ended_s = 40

    def __init__(self, project, plan):
        super().__init__()
        self.project, self.plan = project, plan
        folder = os.environ.get(SHARED)
        self.is_own = not folder or bool(plan.options.get("server"))
        self.server = Server(settings=SETTINGS) if self.is_own else Borrowed(folder)
        self.user = "u" + uuid.uuid4().hex[:12]
        self.counts_, self.rules, self.lasting = Counter(), {}, []
        self.passed, self.forgiven = Counter(), []
        self.reasons = set()  # of dead letters that faults of this seed explain
        self.busy = threading.RLock()  # one at a time touches the server
        self.healed = False
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with self.stack as stack:
            try:
                stack.enter_context(self.server)
            except AssertionError:  # somebody else took one of its ports meanwhile
                self.server = Server(settings=SETTINGS)
                stack.enter_context(self.server)
            self.console = stack.enter_context(Console(self.server.dir))
            self.proxy = stack.enter_context(AmqpProxy(self.server.port(), self.decide))
            self.ask(f'rabbit_auth_backend_internal:add_user(<<"{self.user}">>, <<"pw">>, <<"search">>)')
            self.permit(".*", ".*", ".*")
            self.url = f"amqp://{self.user}:pw@127.0.0.1:{self.proxy.port}?heartbeat={HEARTBEAT_S}&connect_timeout=5"
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *failure):
        self.heal()
        (self.project.dir / "proxy.log").write_text("\n".join(self.proxy.log))
        if self.is_own:
            shutil.copytree(self.server.dir / "log1", self.project.dir / "server-log")
        else:
            self.erase()
        self.stack.close()

    def erase(self):
        """What the seed declared, from a server that others go on using."""
        with self.channel() as channel:
            for name in self.proxy.declared["queue"]:
                channel.queue_delete(name)
            for name in self.proxy.declared["exchange"]:
                channel.exchange_delete(name)
        self.ask(f'rabbit_auth_backend_internal:delete_user(<<"{self.user}">>, <<"search">>)')

    def begin(self):
        self.passed = Counter()

    def counts(self):
        return Counter(self.counts_)

    def seen(self):
        seen = Counter()
        for name, n in list(self.proxy.numbers.items()):
            seen[operation(*name.split())] += n
        return seen

    def strangers(self):
        return {name for name in self.proxy.numbers if "<" not in name and name not in METHODS}

    def in_flight(self):
        return Counter(self.proxy.windows)

    def complaints(self):
        """What went by that no fault explains."""
        for what, times, most in (("published", self.proxy.published, MOST_PUBLISHES),
                                  ("delivered", self.proxy.delivered, MOST_DELIVERIES)):
            for (role, name), n in times.items():
                if n > most * (4 if self.plan.worlds else 1):  # so many subscriptions, or relays that send it again
                    yield f"{what} again and again: {name} {n} times by the {role}"
        explained = MOST_CONNECTIONS * (1 + len(self.plan.worlds)) + sum(self.counts_.values())
        if self.proxy.numbers["courier connection.open"] > explained:
            yield f"spins: couriers connected {self.proxy.numbers['courier connection.open']} times, {explained} are explained"
        yield from (line for line in self.proxy.log if "malformed" in line)

    # ---- at methods ----

    def decide(self, role, from_client, unit, number):
        """Called by the proxy, in its thread."""
        if self.healed:
            return None
        what = operation(role, unit.name if from_client else f"<{unit.name}")
        self.passed[what] += 1
        decision = self.rules.pop((what, self.passed[what]), None)
        if decision:
            self.counts_[decision.kind.name, what] += 1
            return Fault(decision.kind.name, decision.seconds, decision.chance)
        for lasting in self.lasting:
            fault = lasting(role, from_client, unit)
            if fault:
                return fault
        return None

    def inject(self, decision):
        if decision.kind.strikes == "rule":
            nth = decision.nth
            while (decision.operation, nth) in self.rules:
                nth += 1
            self.rules[decision.operation, nth] = decision
            return
        with self.busy:
            getattr(self, decision.kind.name.replace("-", "_"))(decision)
        self.counts_[decision.kind.name, "server"] += 1

    def last(self, decision, fault):
        """`fault` decides about all that goes by, until it ends."""
        self.lasting.append(fault)
        self.later(decision.seconds, lambda: self.lasting.remove(fault))

    # ---- moments: what goes by ----

    def refuse_publish(self, decision):
        """A worker may not publish to one of its destinations: as where rights on it are missing, or it is gone."""
        code = (403, 404, 406)[int(decision.chance * 3)]
        place = (".default", ".work", ".due", ".hold", ".dead", ".side", ".landing")[int(decision.chance * 21) % 7]

        def fault(role, from_client, unit):
            hit = role == "courier" and unit.name == "basic.publish" and place in f"{unit.exchange}/.{unit.key}"
            return Fault(f"channel-{code}") if hit else None

        self.last(decision, fault)

    def refuse_queue(self, decision):
        """One queue is gone, and cannot be declared: as where somebody else declared it differently."""
        name = f"{self.project.name_space}." + ("side", "cargo", "side.landing", "default.landing")[int(decision.chance * 4)]
        code = (403, 405, 406)[int(decision.chance * 12) % 3]

        def fault(role, from_client, unit):
            hit = role == "intake" and unit.name == "queue.declare" and unit.queue == name
            return Fault(f"channel-{code}") if hit else None

        self.last(decision, fault)
        self.proxy.cancel_consumers_of(name)

    def cut_all(self, decision):
        self.proxy.cut_all()

    # ---- moments: what is declared and permitted ----

    def ask(self, expression):
        with self.busy:
            return self.console(expression)

    @contextlib.contextmanager
    def channel(self):
        parameters = pika.URLParameters(self.server.urls[0] + "/%2F")
        parameters.heartbeat = 0
        connection = pika.BlockingConnection(parameters)
        try:
            yield connection.channel()
        finally:
            connection.close()

    def name(self, name):
        return f"{self.project.name_space}.{name}"

    def delete_exchange(self, decision):
        names = ("work", "landing", "due", *(f"hold.rung.{unit}" for unit in RUNGS), "unrouted")
        with self.channel() as channel:
            channel.exchange_delete(self.name(names[int(decision.chance * len(names))]))
        self.reasons.add("unrouted")

    def delete_binding(self, decision):
        queue = ("default", "side", "cargo")[int(decision.chance * 3)]
        with self.channel() as channel:
            if decision.chance * 6 % 1 < 0.5:
                channel.queue_unbind(self.name(queue), self.name("work"), queue)
            else:
                channel.queue_unbind(self.name(f"{queue}.landing"), self.name("due"), "*." * 8 + queue)
        self.reasons.add("unrouted")

    def delete_empty_rung(self, decision):
        """What lay in one that is not empty would go with it: so it gets nothing more, and goes once it is empty. A passive
        declare does not show messages that are on their way to the next rung; the queue's own state does."""
        names = [f"{number}s.1" for number in range(1, 4)]
        name = self.name(f"hold.{names[int(decision.chance * len(names))]}")
        self.reasons.add("unrouted")
        with self.channel() as channel:
            for queue, exchange, key in list(self.proxy.declared["binding"]):
                if queue == name:
                    channel.queue_unbind(queue, exchange, key)
            for _ in range(15):
                since = time.time()
                if self.messages_in(name) == 0:
                    if channel.queue_delete(name).method.message_count:  # came since: somebody has bound it again
                        self.forgiven.append((since, time.time()))
                    return
                time.sleep(0.1)

    def messages_in(self, name):
        """Whatever state they are in; quorum queues only."""
        said = self.ask(f"case ra:consistent_query({{'%2F_{name}', node()}}, fun rabbit_fifo:overview/1) of "
                        "{ok, Overview, _} -> maps:get(num_messages, Overview); _ -> unknown end")
        return int(said[len("{value,"):].split(",")[0]) if said.startswith("{value,") and said[7].isdigit() else None

    def permit(self, *rights):
        configure, write, read = rights
        self.ask(f'rabbit_auth_backend_internal:set_permissions(<<"{self.user}">>, <<"/">>, <<"{configure}">>, <<"{write}">>, '
                 f'<<"{read}">>, <<"search">>)')

    def no_permission(self, decision):
        """An administrator takes one right, and gives it back. Channels remember rights: new ones notice at once."""
        rights = [".*", ".*", ".*"]
        rights[int(decision.chance * 3)] = "^$"
        self.permit(*rights)
        self.later(decision.seconds, lambda: self.permit(".*", ".*", ".*"))

    def close_all(self, decision):
        """Those that end meanwhile by themselves are no failure."""
        self.ask(f'catch rabbit_networking:close_all_user_connections(<<"{self.user}">>, <<"by the search">>)')

    def policy(self, decision):
        """One that changes nothing for messages: all queues take it in all the same."""
        name = f"search-{self.user}"
        self.ask(f'rabbit_policy:parse_set(<<"/">>, <<"{name}">>, <<"^{self.project.name_space}">>, '
                 '<<"{\\"max-length\\": 1000000}">>, <<"0">>, <<"queues">>, <<"search">>)')
        self.later(decision.seconds, lambda: self.ask(f'rabbit_policy:delete(<<"/">>, <<"{name}">>, <<"search">>)'))

    # ---- moments: the server ----

    def pid(self):
        return int((self.server.dir / "node1.pid").read_text())

    def kill_server(self, decision):
        self.console.__exit__()
        self.server.kill_node()
        self.server.start_node()
        self.console.__enter__()
        self.all_may_repeat()

    def stop_app(self, decision):
        self.ask("rabbit:stop()")
        self.ask("rabbit:start()")
        self.all_may_repeat()

    def all_may_repeat(self):
        """What was between two holding queues may be in both."""
        self.proxy.windows.update(name for _, name in list(self.proxy.published))

    def stop_server(self, decision):
        pid = self.pid()
        self.proxy.lost_acks_s += decision.seconds
        os.kill(pid, signal.SIGSTOP)
        self.later(decision.seconds, lambda: os.kill(pid, signal.SIGCONT))

    stop_server_long = stop_server

    def alarm(self, decision, resource):
        name = f"{{resource_limit, {resource}, node()}}"
        self.ask(f"rabbit_alarm:set_alarm({{{name}, []}})")
        self.later(decision.seconds, lambda: self.ask(f"rabbit_alarm:clear_alarm({name})"))

    def memory_alarm(self, decision):
        self.alarm(decision, "memory")

    def disk_alarm(self, decision):
        self.alarm(decision, "disk")

    # ---- what lasts ----

    def heal(self):
        self.healed = True
        self.proxy.heal()
        self.undo_all()


def start(project, plan):
    return Broker(project, plan)
