#!/usr/bin/python3
# brokers: redis
# seconds: 150
"""What a Redis does to its clients: it forgets its scripts, is busy, loads, becomes a replica. Nothing is lost, and
work goes on by itself."""

import re
import socket
import sys
import threading
from contextlib import contextmanager

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/integration/lib")
from bidetest.faults import PREFETCH, THREADS, close_books, configure, goes_on, line, mix, reaches  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.redis import Server  # noqa: E402
from bidetest.waiting import TooLate, wait_until  # noqa: E402
from bidetest.wall_clock import WallClock  # noqa: E402

EARLY = 1024  # a worker claims at most so many that are nearly due
IN_FLIGHT = PREFETCH + THREADS + EARLY


def forget(server, worker):
    """Until the worker meets it: one that is just connecting loads its scripts again without having missed any."""
    met = worker.log_text().count("NOSCRIPT")
    for _ in range(20):
        server.ask("SCRIPT", "FLUSH")
        try:
            return wait_until(lambda: worker.log_text().count("NOSCRIPT") > met, 2, worker.log_tail)
        except TooLate:
            continue
    raise AssertionError(f"the worker never missed a script: {worker.log_tail()}")


def scripts_forgotten(project):
    with Server() as server:
        configure(project, server.url)
        worker = project.worker()
        sent = []
        for round_ in range(4):
            sent += project.send(mix(400, f"s{round_}"))
            forget(server, worker)
            goes_on(project, worker, f"SCRIPT FLUSH {round_ + 1}")
        close_books(project, [worker], sent, 0)


def starts_before_its_broker(project):
    """A worker that finds nobody waits, says so once, and serves when the server comes."""
    with Server() as server:
        configure(project, server.url)
        server.kill()
        project.bide("worker", "--no-wait", expect=69, seconds=120)
        worker = project.worker()
        wait_until(lambda: "the worker waits for it" in worker.log_text(), 60, worker.log_tail)
        server.restart()
        sent = project.send(mix(200))
        goes_on(project, worker, "the first connection")
        expect(worker.log_text().count("the worker waits for it") == 1, worker.log_tail())
        close_books(project, [worker], sent, 0)


def a_script_that_is_killed(project):
    """Somebody's endless script: BUSY for everyone, until it is killed."""
    with Server("busy-reply-threshold 100") as server:
        configure(project, server.url)
        sent = project.send(mix(2000))
        worker = project.worker()
        reaches(project, worker, 300)
        endless = threading.Thread(target=server.run, args=("cli", "EVAL", "while true do end", "0"))
        endless.start()
        wait_until(lambda: server.ask("PING").startswith("BUSY"), 60, "the server is busy")
        refused = project.bide("send", "probe", "{}", expect=69)
        expect("BUSY" in refused.stderr, refused.stderr)
        wait_until(lambda: "BUSY" in worker.log_text(), 60, worker.log_tail)
        expect(server.ask("SCRIPT", "KILL") == "OK", "the script was not killed")
        endless.join(60)
        goes_on(project, worker, "SCRIPT KILL")
        close_books(project, [worker], sent, IN_FLIGHT)


@contextmanager
def a_pair(project):
    """A master and its replica; the project's URL names both, and a message counts as sent when both have it."""
    with Server("repl-diskless-sync-delay 0") as one, Server("repl-diskless-sync-delay 0") as two:
        follow(two, one)
        hosts = ",".join(f"127.0.0.1:{server.port()}" for server in (one, two))
        configure(project, f"redis://{hosts}/0?wait=1&timeout=2")
        yield one, two


def follow(replica, master):
    replica.ask("REPLICAOF", "127.0.0.1", master.port())
    wait_until(lambda: replica.info("replication").get("master_link_status") == "up", 60, "the replica follows")
    wait_until(lambda: "state=online" in master.info("replication").get("slave0", ""), 60, "the master knows it")


def refused_although_replicas_answer(project):
    """?wait=N: the script is refused and WAIT after it is answered. What was not stored is not confirmed."""
    with a_pair(project) as (one, _):
        sender, out = project.sender(), project.dir / "send.out"

        def send(name):
            sender.stdin.write(line({"type": "probe", "id": name}).encode())
            sender.stdin.flush()

        def is_confirmed(name):
            return name in out.read_text().split()

        send("first")
        wait_until(lambda: is_confirmed("first"), 60, "it sends")
        one.ask("SCRIPT", "FLUSH")
        send("script")
        wait_until(lambda: is_confirmed("script"), 60, "it sends again")
        one.ask("CONFIG", "SET", "maxmemory", int(one.info("memory")["used_memory"]) // 2)
        send("full")
        wait_until(lambda: int(one.info("errorstats").get("errorstat_OOM", "count=0")[6:]) > 1, 60, "it was refused")
        expect(not is_confirmed("full"), "confirmed without being stored")
        one.ask("CONFIG", "SET", "maxmemory", 0)
        sender.stdin.close()
        expect(sender.wait(60) == 0, (project.dir / "send.log").read_text())
        ready = project.queue("default")["ready"]
        expect(is_confirmed("full") and ready == 3, f"{out.read_text().split()} confirmed, {ready} stored")


def bodies_deleted_by_hand(project):
    """Before it is claimed, and while it runs and will be tried again: a dead letter says so; nothing vanishes in silence."""
    with Server() as server:
        configure(project, server.url)
        queue = "{%s}:q:default:" % project.name_space
        project.send([{"type": "probe", "id": "early", "delay": "1500ms"}])
        server.ask("DEL", queue + "held")
        worker = project.worker()
        wait_until(lambda: len(project.dead()) == 1, 60, lambda: f"parked: {project.status()} {worker.log_tail()}")
        project.send([{"type": "probe", "id": name, "delay": delay, "body": {"until": "go", "fail": 1}}
                      for name, delay in (("token", "100ms"), ("entry", "0"))])
        wait_until(lambda: project.queue("default")["in_flight"] == 2, 60, lambda: f"both run: {project.status()}")
        server.ask("DEL", queue + "held")
        server.ask("XTRIM", queue + "ready", "MAXLEN", 0)
        project.release()
        wait_until(lambda: len(project.dead()) == 3, 60, lambda: f"parked: {project.status()} {worker.log_tail()}")
        letters = {row["id"]: (row["reason"], row["error"]) for row in project.dead()}
        print(letters)
        expect(all(reason == "malformed" and "gone from Redis" in error for reason, error in letters.values()), letters)
        expect({"token", "entry"} < set(letters), letters)
        wait_until(lambda: "without a body" in worker.log_text() and project.left() == 0, 60, worker.log_tail)


def answers_that_pass(project):
    """Too many clients, rights taken away and given back: a worker that serves waits and goes on, and burns nothing."""
    with Server("user worker on >secret ~* &* +@all") as server:
        configure(project, server.url.replace("://", "://worker:secret@"))
        worker = project.worker()
        sent = project.send(mix(50))
        wait_until(lambda: project.all_ended(sent), 60, lambda: f"{project.status()}")
        pids = worker.tree()
        server.ask("ACL", "SETUSER", "worker", "-evalsha")
        server.ask("CLIENT", "KILL", "USER", "worker")
        wait_until(lambda: "NOPERM" in worker.log_text(), 60, worker.log_tail)
        server.ask("ACL", "SETUSER", "worker", "+evalsha")
        sent += project.send(mix(50, "rights"))
        wait_until(lambda: project.all_ended(sent), 60, lambda: f"{project.status()} {worker.log_tail()}")
        with socket.create_connection(("127.0.0.1", server.port())) as only:
            only.sendall(b"CONFIG SET maxclients 1\r\nCLIENT KILL USER worker\r\n")
            wait_until(lambda: "max number of clients" in worker.log_text(), 60, worker.log_tail)
            only.sendall(b"CONFIG SET maxclients 1000\r\n")
            only.recv(1000)
        sent += project.send(mix(50, "room"))
        expect(worker.tree() == pids, f"a process has ended: {worker.log_tail()}")
        close_books(project, [worker], sent, 0)


def a_key_of_somebody_else(project):
    """One queue whose stream is no stream: it rests, and the other one is served. Dead letters that cannot be stored: the
    message stays, and ends once they can."""
    with Server() as server:
        project.url = server.url
        project.configure([project.probe(), project.probe(type="other", queue="second")])
        worker = project.worker()
        sent = project.send([{"type": "probe"}, {"type": "other", "queue": "second"}])
        wait_until(lambda: project.all_ended(sent), 60, lambda: f"{project.status()}")
        key = "{%s}:" % project.name_space
        server.ask("RENAME", key + "q:second:ready", key + "kept")
        server.ask("SET", key + "q:second:ready", "mine")
        server.ask("SET", key + "dead", "mine")
        server.ask("PUBLISH", key + "wake:" + server.ask("HKEYS", key + "workers"), "second")
        wait_until(lambda: "a queue is refused" in worker.log_text(), 60, worker.log_tail)
        hopeless = [{"type": "probe", "id": f"h{n}", "body": {"dead": True}} for n in range(3)]
        sent += project.send([*mix(3, "good"), *hopeless])
        wait_until(lambda: project.journal_count() >= 8, 60, lambda: f"the other queue is served: {worker.log_tail()}")
        wait_until(lambda: "a settlement is refused" in worker.log_text(), 60, worker.log_tail)
        server.ask("DEL", key + "dead")
        server.ask("DEL", key + "q:second:ready")
        server.ask("RENAME", key + "kept", key + "q:second:ready")
        sent += project.send([{"type": "other", "queue": "second"}])
        wait_until(lambda: {row["id"] for row in project.dead()} == {"h0", "h1", "h2"}, 60,
                   lambda: f"parked at last: {project.status()} {worker.log_tail()}")
        wait_until(lambda: project.all_ended(sent), 60, lambda: f"{project.status()} {worker.log_tail()}")
        expect(worker.stop() == 0 and "worker process died" not in worker.log_text(), worker.log_tail())


def the_clock_is_set_back_while_a_queue_rests(project):
    """By an hour: the pause lasts as long as it would have."""
    with Server() as server:
        clock = WallClock(project)
        clock.set(3600 * 1000)
        project.url = server.url
        project.configure()
        worker = project.worker(env=clock.env)
        sent = project.send([{"type": "probe"}])
        wait_until(lambda: project.all_ended(sent), 60, lambda: f"{project.status()}")
        key = "{%s}:" % project.name_space
        stream = next(name for name in server.ask("KEYS", key + "q:*:ready").split())
        server.ask("RENAME", stream, key + "kept")
        server.ask("SET", stream, "mine")
        server.ask("PUBLISH", key + "wake:" + server.ask("HKEYS", key + "workers"), stream.split(":")[-2])
        wait_until(lambda: "a queue is refused" in worker.log_text(), 60, worker.log_tail)
        clock.set(0)
        server.ask("DEL", stream)
        server.ask("RENAME", key + "kept", stream)
        sent += project.send([{"type": "probe"}])
        wait_until(lambda: project.all_ended(sent), 60, lambda: f"{project.status()} {worker.log_tail()}")
        expect(worker.stop() == 0, worker.log_tail())


def the_wrong_node_of_a_cluster(project):
    """Says which node is the right one, and so does `bide check`."""
    with Server("cluster-enabled yes") as one, Server("cluster-enabled yes") as two:
        one.ask("CLUSTER", "MEET", "127.0.0.1", two.port())
        two.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: one.ask("GET", "{%s}:queues" % project.name_space).startswith("MOVED"), 60, "a cluster")
        configure(project, one.url)
        right = f"name the node that has this namespace: 127.0.0.1:{two.port()}"
        for command in (("send", "probe", "{}"), ("worker", "--exit-idle", "100ms"), ("status",)):
            said = project.bide(*command, expect=78).stderr
            expect(right in said, said)
        expect(right in project.bide("check", expect=78).stdout, "check says it too")
        configure(project, two.url)
        project.bide("send", "probe", "{}")
        project.work_until(lambda: project.journal_count() == 1)


def orderly_failover(project):
    """There and back: the old master answers READONLY, and the URL's other host serves."""
    with a_pair(project) as (one, two):
        sent = project.send(mix(2500))
        worker = project.worker()
        reaches(project, worker, 400)
        for old, new in ((one, two), (two, one)):
            old.ask("FAILOVER", "TO", "127.0.0.1", new.port())
            wait_until(lambda: old.info("replication")["role"] == "slave", 60, "the roles are changed")
            goes_on(project, worker, f"failover to {new.port()}")
            wait_until(lambda: "state=online" in new.info("replication").get("slave0", ""), 60, "a replica again")
            sent += project.send(mix(100, f"to{new.port()}-"))
        expect(re.search("READONLY|replica", worker.log_text()), worker.log_tail(40))
        close_books(project, [worker], sent, 2 * IN_FLIGHT)


def master_dies(project):
    """The replica becomes the master. What was sent, it has; of the last settlements it may not know."""
    with a_pair(project) as (one, two):
        sent = project.send(mix(2500))
        worker = project.worker()
        reaches(project, worker, 400)
        one.kill()
        two.ask("REPLICAOF", "NO", "ONE")
        goes_on(project, worker, "the replica became master")
        one.restart()
        follow(one, two)
        sent += project.send(mix(100, "again"))
        close_books(project, [worker], sent, 2 * IN_FLIGHT)


def a_server_that_loads(project):
    """After its restart it answers LOADING for seconds: those wait who can, and say why who cannot."""
    with Server("appendonly yes", "appendfsync always", "key-load-delay 200",
                "loading-process-events-interval-bytes 1024") as server:
        configure(project, server.url)
        sent = project.send(mix(2000))
        server.ask("DEBUG", "POPULATE", 15_000)
        server.ask("BGREWRITEAOF")
        worker = project.worker()
        reaches(project, worker, 300)
        wait_until(lambda: server.info("persistence")["aof_rewrite_in_progress"] == "0", 60, "rewritten")
        restart = threading.Thread(target=server.restart)
        restart.start()
        wait_until(lambda: "LOADING" in worker.log_text(), 60, lambda: f"LOADING is seen: {worker.log_tail()}")
        said = project.bide("send", "probe", "{}", "--id", "never", expect=None, seconds=120)
        print(f"while it loads: exit {said.returncode}, {said.stderr.strip()[-200:]}")
        expect(said.returncode == 0 or said.returncode == 69 and "LOADING" in said.stderr, said.stderr)
        sent += said.stdout.split()
        restart.join(60)
        goes_on(project, worker, "LOADING")
        close_books(project, [worker], sent, IN_FLIGHT)


main(scripts_forgotten, starts_before_its_broker, refused_although_replicas_answer, bodies_deleted_by_hand, answers_that_pass,
     a_key_of_somebody_else, the_clock_is_set_back_while_a_queue_rests, the_wrong_node_of_a_cluster, a_script_that_is_killed,
     orderly_failover, master_dies, a_server_that_loads)
