#!/usr/bin/python3
# brokers: rabbitmq
# seconds: 150
"""The ladder: each delay, each gap between retries, on time and never early; round after round; and as a replay.

What "late" means is the machine's business here (see bidetest/machine.py): the figures promised are measured by test_lateness.py."""

import json
import sys
import time
import uuid

import pika

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.foreign import Foreign  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.machine import Machine  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

NAME_SPACE = "delays-" + uuid.uuid4().hex[:12]  # one ladder for all cases, a queue of its own for each


def running(project, queue, **changes):
    """A worker for this queue; it is there and has declared everything."""
    project.name_space = NAME_SPACE
    project.configure(handlers=[project.probe(queue=queue, **changes)], queues=[{"name": queue, "weight": 1}])
    worker = project.worker()
    project.send([{"type": "probe", "id": "ready"}])
    wait_until(lambda: project.journal_count() == 1, 60, "the worker runs")
    return worker


def lines_of(project, identity):
    return [line for line in project.journal() if line["id"] == identity]


DELAYS_MS = (50, 99, 100, 101, 999, 1000, 1819, 1820, 1821, 2399, 2000, 9950, 10_000)
ROUNDS = 5
LARGE = "x" * 5000  # a body that is held in tenths of a second first


TENTH_MS = 60  # late by so much, a message has been in a wrong tenth of a second


def sent_again(project, rows, number):
    """One round of these; how late each was, in ms."""
    have, name = project.journal_count(), lambda size, delay: f"{size}-{delay}-{number}"
    project.send([{"type": "probe", "id": name(size, delay), "delay": f"{delay}ms", "body": {"pad": LARGE if size == "large" else ""}}
                  for size, delay in rows])
    wait_until(lambda: project.journal_count() == have + len(rows), 60, lambda: f"all have run: {project.journal()}")
    late = {}
    for size, delay in rows:
        line, = lines_of(project, name(size, delay))
        expect(line["due_ms"] - line["sent_ms"] == delay, f"{line}: held for another time than {delay} ms")
        late[size, delay] = line["lateness_us"] / 1000
    return late


def each_delay_on_time(project):
    """On both sides of each border: below the ladder, its lowest rung, the next one; large bodies, by way of the tenths. What is
    late is sent again: a wrong rung makes it late each time, a busy machine does not."""
    running(project, "each")
    rows = [(size, delay) for delay in DELAYS_MS for size in ("small", "large")]
    for number in range(ROUNDS):
        late = sent_again(project, rows, number)
        print(f"round {number + 1}: {late}")
        expect(min(late.values()) >= 0, f"early: {late}")
        rows = [row for row, ms in late.items() if ms > TENTH_MS]
        if not rows:
            return
    raise AssertionError(f"late in each of {ROUNDS} rounds: {late}")


def short_behind_long(project):
    """A queue expires at its head only: were 30 s and 1 s in one queue, the short one would be 29 s late."""
    running(project, "behind")
    machine = Machine()
    project.bide("send", "probe", "{}", "--delay", "30s", "--id", "long")
    project.bide("send", "probe", "{}", "--delay", "1s", "--id", "short")
    wait_until(lambda: lines_of(project, "short"), 60, "the short one has run")
    expect(not lines_of(project, "long"), f"{project.journal()}")
    machine.on_time({"short": lines_of(project, "short")[0]["lateness_us"] / 1000}, 5000)


def gaps_between_retries(project):
    """1 s, 2 s, 4 s: counted from the end of an attempt (written to the journal last) to the start of the next."""
    retry = {"attempts": 4, "backoff": "exponential", "base": "1s", "cap": "10m", "jitter": 0.0}
    running(project, "gaps", retry=retry)
    machine = Machine()
    project.bide("send", "probe", '{"fail": 3}', "--id", "again")
    wait_until(lambda: len(lines_of(project, "again")) == 4, 60, lambda: f"four attempts: {project.journal()}")
    lines = lines_of(project, "again")
    expect([line["attempt"] for line in lines] == [1, 2, 3, 4], f"{lines}")
    late = {}
    for before, after, gap_ms in zip(lines, lines[1:], (1000, 2000, 4000)):
        gap = (after["started_us"] - before["started_us"]) / 1000
        expect(after["due_ms"] - before["started_us"] / 1000 >= gap_ms - 1, f"{after} is due before {gap_ms} ms are over")
        late[f"gap {gap_ms} ms"] = gap - gap_ms
        expect(after["lateness_us"] >= 0, f"{after}: early")
    machine.on_time(late)


def ten_rounds(project):
    """The same rungs ten times: the broker drops what it takes for a dead-letter cycle, unless its traces are removed. A large
    body is held in tenths of a second, so that ten rounds are short."""
    retry = {"attempts": 11, "backoff": "fixed", "base": "300ms", "jitter": 0.0}
    running(project, "rounds", retry=retry)
    headers = {"text": "Grüße", "number": 2**40, "table": {"a": [1, True]}}
    with Foreign(project) as foreign:
        foreign.publish("rounds", b'{"fail": 99, "pad": "%s"}' % LARGE.encode(), headers, type="probe", message_id="round")
        foreign.publish("rounds", b'{"fail": 10, "pad": "%s"}' % LARGE.encode(), headers, type="probe", message_id="last")
        properties, _ = foreign.take("rounds.dead", 60)
    wait_until(lambda: len(lines_of(project, "last")) == 11, 60, lambda: f"{lines_of(project, 'last')}")
    for identity in ("round", "last"):
        attempts = [line["attempt"] for line in lines_of(project, identity)]
        expect(attempts == list(range(1, 12)), f"{identity}: {attempts}")
    expect(lines_of(project, "last")[-1]["outcome"] == "done", f"{lines_of(project, 'last')[-1]}")
    have = {key: properties.headers.get(key) for key in headers}
    expect(have == headers, f"{have}")


def replayed_through_the_ladder(project):
    """Three times dead, three times replayed: each replay begins anew, with delays and retries as the first time."""
    retry = {"attempts": 3, "backoff": ["100ms", "400ms"], "jitter": 0.0}
    running(project, "replayed", retry=retry)
    project.send([{"type": "probe", "id": "dies", "body": {"fail": 99}, "delay": "200ms", "headers": {"own": "kept"}}])
    for life in range(1, 5):
        wait_until(lambda: len(project.dead()) == 1, 60, lambda: f"dead in life {life}: {project.journal()}")
        attempts = [line["attempt"] for line in lines_of(project, "dies")]
        expect(attempts == [1, 2, 3] * life, f"life {life}: {attempts}")
        expect(project.dead()[0]["attempts"] == 3, f"{project.dead()}")
        if life < 4:
            project.bide("dead", "retry", "dies")
    starts = [line["started_us"] / 1000 for line in lines_of(project, "dies")]
    for life in range(4):
        first, second, third = starts[3 * life : 3 * life + 3]
        expect(second - first >= 100 and third - second >= 400, f"life {life + 1}: early: {starts}")
    with Foreign(project) as foreign:
        properties, _ = foreign.take("replayed.dead")
    expect(properties.headers["own"] == "kept", f"{properties.headers}")


def retry_with_a_delay_of_its_own(project):
    """What a handler asks for ("Retry-After") goes up the same ladder."""
    running(project, "asked")
    machine = Machine()
    project.bide("send", "probe", '{"retry_after_ms": 1234}', "--id", "asks")
    wait_until(lambda: len(lines_of(project, "asks")) == 2, 60, "it has run twice")
    first, second = lines_of(project, "asks")
    gap = (second["started_us"] - first["started_us"]) / 1000
    machine.on_time({"gap": gap - 1234})


def longer_than_a_pass(project):
    """400 days: accepted, held by the highest rung; `explain` shows the passes and that they make up the whole."""
    running(project, "long")
    project.bide("send", "probe", "{}", "--delay", "400d", "--id", "far")
    rungs = {rung["name"]: rung["messages"] for rung in project.status()["rungs"]}
    expect(rungs[f"{NAME_SPACE}.hold.90000min.1"] == 1, f"{ {k: v for k, v in rungs.items() if v} }")
    plan = json.loads(project.bide("explain", "--delay", "400d", "--json").stdout)
    held = sum(hop["ms"] for hop in plan["hops"])
    expect(held == plan["delay_ms"] == 400 * 86400 * 1000, f"{plan}")
    expect(plan["passes"] > 1 and plan["resolution_ms"] == 1000, f"{plan}")
    said = project.bide("explain", "--delay", "400d").stdout
    expect("90000min" in said and "landing" in said, said)
    hour = json.loads(project.bide("explain", "--delay", "1h", "--json").stdout)
    queues = [hop["where"].split(".hold.")[1] for hop in hour["hops"] if ".hold." in hop["where"]]
    expect(queues == ["60min.1"] and hour["passes"] == 1, f"{hour}")
    project.bide("send", "probe", "{}", "--delay", "3651d", expect=64)
    with Foreign(project) as foreign:
        method, properties, _ = foreign.get("hold.90000min.1")
    expect((method.routing_key, properties.message_id) == ("1.0.9.0.0.0.0.0.long", "far"), f"{method} {properties}")


DAY_S = 86400
# What is left when a pass ends, in days, and where the next one goes: the highest rung, or by all its digits.
PASSES = (("296", "hold.90000min.1", "1.0.9.0.0.0.0.0."), ("192", "hold.90000min.1", "1.0.9.0.0.0.0.0."),
          ("46", "hold.60000min.1", "1.0.6.6.2.4."), ("1", "hold.1000min.1", "1.0.0.1.4.4."))


def pass_after_pass(project):
    """What the ladder hands over long before it is due goes up again, for what is then left."""
    running(project, "passes")
    with Foreign(project) as foreign:
        for days, rung, path in PASSES:
            due_ms = int((time.time() + int(days) * DAY_S + 5) * 1000)
            foreign.channel.basic_publish(
                foreign.name("due"), "0.0.0.0.0.0.0.0.passes", b"{}",
                pika.BasicProperties(type="probe", message_id=f"d{days}", headers={"bide-due": due_ms}))
            got = wait_until(lambda: foreign.get(rung), 60, f"{days} days are held in {rung}")
            expect(got[0].routing_key.startswith(path) and got[0].routing_key.endswith(".passes"), f"{got}")
            expect(got[1].headers["bide-due"] == due_ms and got[1].expiration is None, f"{got}")
    expect(project.journal_count() == 1, f"one ran early: {project.journal()}")


main(each_delay_on_time, short_behind_long, gaps_between_retries, ten_rounds, replayed_through_the_ladder,
     retry_with_a_delay_of_its_own, longer_than_a_pass, pass_after_pass)
