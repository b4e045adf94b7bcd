#!/usr/bin/python3
# brokers: sqlite
# needs: rabbitmq redis
# seconds: 300
"""bide move: a backlog goes round all brokers, killed on each leg, and comes back as it was."""

import os
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402
from bidetest.moving import QUEUES, Table, move, round_trip, rows  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402


def round_all_brokers(project):
    round_trip(project, 5000)


def one_queue_only(project):
    """What belongs to the other queue stays, in both directions, also where all share one delay store."""
    rabbitmq, home, other = os.environ["BIDE_TEST_RABBITMQ_URL"], Table(project, "home.db"), Table(project, "other.db")
    project.url = home.url
    project.configure(queues=[{"name": name, "weight": 1} for name in QUEUES])
    project.send(rows(200))
    mail = sum(row[2] == "mail" for row in home.messages())
    expect(move(project, home.url, rabbitmq)["moved"] == 200, "not all went")
    expect(move(project, rabbitmq, other.url, "--queue", "mail")["moved"] == mail, "not all of the queue came")
    expect({row[2] for row in other.messages()} == {"mail"}, "messages of another queue came along")
    expect(move(project, rabbitmq, other.url)["moved"] == 200 - mail, "the other queue's did not stay")
    expect(sorted(row[0] for row in other.messages()) == [f"m{number:06d}" for number in range(200)], "ids")


def refusals(project):
    project.configure()
    project.send(rows(1))
    project.bide("move", "--from", "sqlite:bide.db", "--to", "sqlite:./bide.db", expect=64)
    linked = project.dir / "linked.db"
    linked.symlink_to(project.dir / "bide.db")
    same = project.bide("move", "--from", "sqlite:bide.db", "--to", "sqlite:linked.db", expect=64)
    expect("same broker" in same.stderr, same.stderr)
    expect("--from" in project.bide("move", "--to", "sqlite:bide.db", expect=64).stderr, "says what is missing")
    nowhere = project.bide("move", "--from", "sqlite:bide.db", "--to", "redis://127.0.0.1:1", expect=69)
    expect("127.0.0.1:1" in nowhere.stderr, nowhere.stderr)
    expect(project.left() == 1, "a failed move lost a message")


def workers_are_noticed(project):
    project.configure()
    worker = project.worker()
    project.send([{"type": "probe", "body": {}}])
    wait_until(lambda: project.journal_count() == 1, 60, "the worker works")
    said = project.bide("move", "--from", "sqlite:bide.db", "--to", "sqlite:other.db")
    expect("1 worker serves the source" in said.stderr, said.stderr)
    expect(said.stdout == "moved 0 messages: 0 ready, 0 delayed, 0 dead\n", said.stdout)
    expect(worker.stop() == 0, "the worker did not end with 0")


def subscriptions_that_were_left_stay_left(project):
    """What is left of b@logs goes along; nothing that is sent to the topic afterwards goes there."""
    home, other = Table(project, "home.db"), Table(project, "other.db")
    project.url = home.url
    project.configure()
    for name in ("a@logs", "b@logs"):
        project.bide("topic", "join", name)
    project.bide("topic", "leave", "b@logs", "--force")
    project.bide("send", "probe", "{}", "--queue", "b@logs")
    project.bide("send", "probe", "{}", "--topic", "logs")
    expect(move(project, home.url, other.url)["moved"] == 2, "not all went")
    project.url = other.url
    project.configure()
    project.bide("send", "probe", "{}", "--topic", "logs")
    expect(sorted(row[2] for row in other.messages()) == ["a@logs", "a@logs", "b@logs"], other.messages())


main(
    round_all_brokers, one_queue_only, refusals, workers_are_noticed, subscriptions_that_were_left_stay_left
)
