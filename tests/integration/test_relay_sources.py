#!/usr/bin/python3
# brokers: sqlite rabbitmq redis
# seconds: 120
"""A broker as the source of a relay, a SQLite file as its target: what a message is stays, whatever happens to the relay. Other targets, and
ends that are away for long: test_relay_away.py, by name."""

import json
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.relaying import Hub  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

MESSAGES, IN_HAND = 1000, 500


def runs_of(project):
    return {line["id"]: line for line in project.journal("hub.ndjson")}


def what_a_message_is(project):
    """Attempts, due time, headers and queue come along; a unique key is free once its message has run, by the store that both ends share. What is too
    large for the target stays as a dead letter of the source."""
    hub = Hub(project, queues=("default", "slow"), store="sqlite:store.db")
    retry = {"attempts": 4, "backoff": "fixed", "base": "3s", "jitter": 0.0}
    hub.configure([project.probe(retry=retry)], worker={"max_body": 4096})
    project.send([{"type": "probe", "id": "again", "body": {"fail": 1}}])
    first = project.worker()
    wait_until(lambda: project.journal_count() == 1, 60, first.log_tail)
    expect(first.stop() == 0, first.log_tail())
    project.send([{"type": "probe", "id": "plain", "queue": "slow", "headers": {"tenant": "gruß"}, "body": {"a": "ü"}},
                  {"type": "probe", "id": "later", "delay": "1500ms"},
                  {"type": "probe", "id": "large", "body": "x" * 3000},
                  {"type": "probe", "id": "keyed", "unique": "k"}])
    hub.configure([project.probe(retry=retry)], worker={"max_body": 2048}, relays=[{"from": project.url, "to": hub.url}])
    wait_until(lambda: project.status()["relays"][0]["waiting"] == 5, 60, lambda: f"not 5 wait: {project.status()}")
    relay = hub.relay()
    wait_until(lambda: [(row["id"], row["reason"]) for row in project.dead()] == [("large", "oversized")], 60, lambda: f"{project.dead()}")
    wait_until(lambda: hub.waiting() == 4, 60, relay.log_tail)
    expect(project.send([{"type": "probe", "id": "copy", "unique": "k"}]) == ["keyed"], "the relay has freed the key")
    shown = json.loads(project.bide("-c", "hub.conf", "show", "plain", "--json").stdout.splitlines()[0])
    expect((shown["headers"], json.loads(shown["body"])) == ({"tenant": "gruß"}, {"a": "ü"}), f"{shown}")
    worker = hub.worker()
    wait_until(lambda: len(runs_of(project)) == 4, 60, lambda: f"{runs_of(project)} {relay.log_tail()} {worker.log_tail()}")
    runs = runs_of(project)
    expect({name: (run["attempt"], run["outcome"], run["queue"]) for name, run in runs.items()} == {
        "again": (2, "done", "default"), "plain": (1, "done", "slow"), "later": (1, "done", "default"), "keyed": (1, "done", "default")}, f"{runs}")
    expect(all(run["lateness_us"] >= 0 for run in runs.values()), f"early: {runs}")
    expect(runs["later"]["started_us"] / 1000 >= runs["later"]["sent_ms"] + 1500, f"{runs['later']}")
    wait_until(lambda: project.send([{"type": "probe", "id": "copy", "unique": "k"}]) == ["copy"], 60, "its run has not freed the key")
    expect(relay.stop() == 0 and worker.stop() == 0, relay.log_tail())


def a_relay_is_killed(project):
    """Twice in the middle: nothing is lost, at most what it had in hand runs twice."""
    hub = Hub(project)
    hub.configure([project.probe()])
    ids = project.send({"type": "probe", "id": f"m{number:04d}"} for number in range(MESSAGES))
    worker, relay = hub.worker(), hub.relay()
    for part in (5, 2):
        wait_until(lambda: len(runs_of(project)) >= MESSAGES // part, 60, relay.log_tail)
        relay.kill()
        relay = hub.relay()
    wait_until(lambda: set(runs_of(project)) == set(ids), 60, lambda: f"{len(runs_of(project))} ran: {relay.log_tail()}")
    wait_until(lambda: "relay carries" in relay.log_text(), 60, "the last relay does not begin")
    expect(relay.stop() == 0, relay.log_tail())
    wait_until(lambda: project.left() == 0, 60, project.status)
    twice = project.journal_count("hub.ndjson") - MESSAGES
    expect(twice <= 2 * IN_HAND, f"{twice} ran twice")
    expect(worker.stop() == 0, worker.log_tail())


main(what_a_message_is, a_relay_is_killed)
