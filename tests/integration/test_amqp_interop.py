#!/usr/bin/python3
# brokers: rabbitmq
# seconds: 120
"""Programs that know nothing but AMQP send to bide and read what it has put aside."""

import datetime
import decimal
import json
import sys
import time
import uuid

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.foreign import Foreign  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.machine import Machine  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

NAME_SPACE = "interop-" + uuid.uuid4().hex[:12]  # one ladder for all cases, queues of its own for each
QUICK = {"attempts": 4, "backoff": "fixed", "base": "100ms", "jitter": 0.0}
LATE_MS = 1000  # beyond what the machine is late: finds a broken hold; the figures are those of test_lateness.py


def running(project, *queues, **changes):
    """A worker for these queues (all handled by probe), which is there and has declared everything."""
    project.name_space = NAME_SPACE
    project.configure(
        handlers=[project.probe(queue=queues[0], retry=QUICK, **changes)],
        queues=[{"name": queue, "weight": 1} for queue in queues],
    )
    worker = project.worker()
    project.send([{"type": "probe", "id": f"ready-{queue}", "queue": queue} for queue in queues])
    wait_until(lambda: project.journal_count() == len(queues), 60, "the worker runs")
    return worker


def lines_of(project, identity):
    return [line for line in project.journal() if line["id"] == identity]


def done(project, identity, runs=1, seconds=60):
    """The journal's lines of an id once there are that many."""
    wait_until(lambda: len(lines_of(project, identity)) >= runs, seconds, lambda: f"{identity}: {project.journal()}")
    return lines_of(project, identity)


def sent_at_once(project):
    running(project, "once")
    with Foreign(project) as foreign:
        foreign.publish("once", b'{"sleep_ms": 1}', type="probe", message_id="at-once")
    line, = done(project, "at-once")
    expect((line["outcome"], line["attempt"], line["queue"], line["body_bytes"]) == ("done", 1, "once", 15), f"{line}")


def sent_without_an_id(project):
    """bide gives it one; the body need not be of any type either."""
    running(project, "anonymous")
    with Foreign(project) as foreign:
        foreign.publish("anonymous", b"", type="probe")
    wait_until(lambda: project.journal_count() == 2, 60, "it has run")
    expect(project.journal()[1]["id"], f"{project.journal()}")


def sent_delayed(project):
    """bide-due as a signed 64-bit integer, in milliseconds: held until then, to the millisecond."""
    running(project, "delayed")
    wanted, machine, late = {}, Machine(), {}
    with Foreign(project) as foreign:
        for number, ahead_ms in enumerate((150, 700, 1500)):
            wanted[f"due{number}"] = int(time.time() * 1000) + ahead_ms
            due = {"bide-due": wanted[f"due{number}"]}
            foreign.publish("delayed", b"{}", due, type="probe", message_id=f"due{number}")
        foreign.publish("delayed", b"{}", {"bide-due": 1000}, type="probe", message_id="long-ago")
    for identity, due_ms in wanted.items():
        line, = done(project, identity)
        late[identity] = line["started_us"] / 1000 - due_ms
        expect(line["due_ms"] == due_ms, f"{line}: not due at {due_ms}")
    machine.on_time(late, LATE_MS)
    done(project, "long-ago")


def a_priority_holds_up_nobody(project):
    """RabbitMQ 4.0 would keep a message in a holding queue as long as one of a higher priority waits behind it."""
    running(project, "ranks")
    machine = Machine()
    with Foreign(project) as foreign:
        wanted = {}
        for identity, priority, pause_s in (("common", 0, 2), ("noble", 9, 0)):
            wanted[identity] = int(time.time() * 1000) + 3500
            foreign.publish("ranks", b"{}", {"bide-due": wanted[identity]}, type="probe", message_id=identity,
                            priority=priority)
            time.sleep(pause_s)  # the second one is held while the first one's time comes
    machine.on_time({name: done(project, name)[0]["started_us"] / 1000 - due_ms for name, due_ms in wanted.items()}, LATE_MS)


def a_due_time_that_is_none(project):
    running(project, "nonsense")
    with Foreign(project) as foreign:
        foreign.publish("nonsense", b"{}", {"bide-due": "tomorrow"}, type="probe", message_id="tomorrow")
        properties, body = foreign.take("nonsense.dead")
    expect(properties.headers["bide-reason"] == "malformed", f"{properties.headers}")
    expect("bide-due" in properties.headers["bide-error"] and body == b"{}", f"{properties.headers}")
    expect(not lines_of(project, "tomorrow"), "it ran")


def headers_that_fill_a_frame(project):
    """What a worker could neither retry nor read again is dead at once, without them; a little less is as any other."""
    running(project, "heads")
    body = b'{"fail": 99}'
    with Foreign(project) as foreign:
        for identity, size in (("full", 1980), ("much", 1400)):
            foreign.publish("heads", body, {f"h{n}": "x" * size for n in range(64)}, type="probe", message_id=identity)
        letters = {properties.message_id: (properties.headers, got) for properties, got in
                   (foreign.take("heads.dead") for _ in range(2))}
    full, much = letters["full"][0], letters["much"][0]
    expect(full["bide-reason"] == "malformed" and "96 KiB" in full["bide-error"] and "h0" not in full, f"{full}")
    expect(much["bide-reason"] == "exhausted" and len(much["h63"]) == 1400, f"{much['bide-reason']}")
    expect(all(got == body for _, got in letters.values()), "a body is another one")
    expect([len(lines_of(project, name)) for name in ("full", "much")] == [0, 4], f"{project.journal()}")


APPLICATION = {
    "text": "Grüße, \U0001f407",
    "small": 7,
    "negative": -3,
    "large": 2**40,
    "yes": True,
    "no": False,
    "money": decimal.Decimal("12.34"),
    "when": datetime.datetime(2026, 12, 24, 18, 0, 0),
    "nothing": None,
    "bytes": b"\x00\xff\x00",
    "list": ["a", 1, [2, {"deep": "er"}]],
    "table": {"a": "b", "nested": {"n": 1, "list": [True, None]}},
    "x-own": "begins like the broker's, and is not",
}
BODY = bytes(range(256)) * 4


def dead_letter_is_understood(project):
    """Three retries, then the dead queue: reason, error, attempts, times; the sender's own headers and body intact."""
    running(project, "letters")
    before_ms = int(time.time() * 1000)
    body = b'{"fail": 99}'
    with Foreign(project) as foreign:
        foreign.publish("letters", body, APPLICATION, type="probe", message_id="letter", content_type="application/json",
                        correlation_id="c-1", reply_to="answers", app_id="shop", priority=3, content_encoding="utf-8")
        properties, received = foreign.take("letters.dead")
    headers = properties.headers
    print({key: value for key, value in headers.items() if key not in APPLICATION})
    expect(received == body, f"{received!r}")
    expect((headers["bide-reason"], headers["bide-attempts"]) == ("exhausted", 4), f"{headers}")
    expect("probe" in headers["bide-error"] and headers["bide-queue"] == "letters", f"{headers}")
    expect(before_ms - 1000 <= headers["bide-died"] <= time.time() * 1000, f"{headers}")
    expect([line["attempt"] for line in lines_of(project, "letter")] == [1, 2, 3, 4], f"{project.journal()}")
    for key, value in APPLICATION.items():
        expect(key in headers and headers[key] == value, f"{key}: {value!r} became {headers.get(key)!r}")
    have = {key: getattr(properties, key) for key in (
        "type", "message_id", "content_type", "correlation_id", "reply_to", "app_id", "priority", "content_encoding",
        "delivery_mode")}
    expect(have == {"type": "probe", "message_id": "letter", "content_type": "application/json",
                    "correlation_id": "c-1", "reply_to": "answers", "app_id": "shop", "priority": 3,
                    "content_encoding": "utf-8", "delivery_mode": 2}, f"{have}")


def body_is_bytes(project):
    """No JSON, no text, a type whose handler rejects it: the body of the dead letter is the one that was sent."""
    running(project, "binary")
    with Foreign(project) as foreign:
        foreign.publish("binary", BODY, {"n": 1}, type="probe", message_id="binary")
        properties, received = foreign.take("binary.dead")
    expect(received == BODY, f"{received!r}")
    expect(properties.headers["bide-error"] and properties.headers["n"] == 1, f"{properties.headers}")


def no_type_and_unknown_type(project):
    """Dead letters at once, without burning retries."""
    running(project, "types")
    with Foreign(project) as foreign:
        foreign.publish("types", b"x", message_id="typeless")
        foreign.publish("types", b"y", type="nobody", message_id="stranger")
        letters = [foreign.take("types.dead") for _ in range(2)]
    found = {p.message_id: (p.headers["bide-reason"], p.headers.get("bide-attempts", 0), body) for p, body in letters}
    print(found)
    expect(set(found) == {"typeless", "stranger"}, f"{found}")
    expect(found["typeless"][0] == "no-type" and found["typeless"][2] == b"x", f"{found}")
    expect(found["stranger"][0] == "unknown-type" and found["stranger"][2] == b"y", f"{found}")
    expect(all(attempts == 0 for _, attempts, _ in found.values()), f"retries were burnt: {found}")
    error = next(p.headers["bide-error"] for p, _ in letters if p.message_id == "stranger")
    expect("nobody" in error, f"the type is not named: {error}")


def padded(fail):
    """So large that its retries are held in the tenths of a second."""
    return json.dumps({"fail": fail, "pad": "x" * 5000}).encode()


def what_amqp_treats_specially(project):
    """CC, BCC, the sender's user_id, expiration and a history of dead-lettering: three retries, each run once.

    The broker itself delivers to CC and BCC when the sender publishes: three messages. A retry that copied these headers
    would multiply them; one that kept x-death would be dropped as a cycle in the holding queue named there; one that
    kept another user's user_id would close the channel."""
    queues = ("special", "copy", "blind")
    running(project, *queues)
    history = [{"queue": f"{NAME_SPACE}.hold.100ms.1", "reason": "expired", "count": 1, "exchange": f"{NAME_SPACE}.work",
                "routing-keys": ["special"], "time": datetime.datetime(2026, 1, 2)}]
    headers = {"CC": ["copy"], "BCC": ["blind"], "x-death": history, "x-first-death-queue": f"{NAME_SPACE}.hold.100ms.1",
               "x-first-death-reason": "expired", "x-first-death-exchange": f"{NAME_SPACE}.work", "own": "kept"}
    with Foreign(project) as foreign:
        foreign.publish("special", padded(3), headers, type="probe", message_id="special", user_id="guest",
                        expiration="60000")
        foreign.publish("special", padded(99), {**headers, "CC": [], "BCC": []}, type="probe", message_id="doomed",
                        user_id="guest", expiration="60000")
        done(project, "special", 12)
        properties, _ = foreign.take("special.dead")
        # Whatever was published too much would have come before a message sent now has run through the same ladder.
        foreign.publish("special", padded(3), type="probe", message_id="later")
        done(project, "later", 4)
    runs = sorted((line["queue"], line["attempt"]) for line in lines_of(project, "special"))
    expect(runs == sorted((queue, attempt) for queue in queues for attempt in range(1, 5)), f"{runs}")
    attempts = [line["attempt"] for line in lines_of(project, "doomed")]
    expect(properties.message_id == "doomed" and attempts == [1, 2, 3, 4], f"{properties}: {attempts}")
    expect(properties.user_id is None and properties.expiration is None, f"{properties}")
    left = {"CC", "BCC"} & set(properties.headers)
    expect(not left and properties.headers["own"] == "kept", f"{properties.headers}")


def subscriber(project, key):
    """A foreign program's own queue, bound to the topics' exchange."""
    foreign = Foreign(project)
    queue = foreign.channel.queue_declare("", exclusive=True).method.queue
    foreign.channel.queue_bind(queue, foreign.name("topic"), key)
    return foreign, queue


def messages_in(foreign, queue, n):
    """n messages, by id."""
    got = {}

    def more():
        while (message := foreign.channel.basic_get(queue, auto_ack=True))[0]:
            got[message[1].message_id] = message
        return len(got) >= n

    wait_until(more, 60, lambda: f"{n} messages: {list(got)}")
    return got


def a_topic_with_a_subscriber_of_its_own(project):
    """It gets what is sent now and what is delayed, shortly or by the ladder, and so does a subscription of bide's."""
    project.name_space = NAME_SPACE
    project.configure(handlers=[project.probe(on="geo@logs", type="line")])
    worker = project.worker()
    wait_until(lambda: "worker started" in worker.log_text(), 60, "the subscription is there")
    foreign, all_of_it = subscriber(project, "#.@.logs")
    now, only_now = subscriber(project, "@.logs")
    delays = {"at-once": "0s", "shortly": "700ms", "ladder": "2500ms"}
    project.send([{"type": "line", "topic": "logs", "id": name, "delay": delay, "body": {}} for name, delay in delays.items()])
    project.send([{"type": "line", "topic": "other", "id": "other", "body": {}}])
    got = messages_in(foreign, all_of_it, 3)
    expect(set(got) == set(delays), f"{list(got)}")
    early_ms = got["ladder"][1].headers["bide-due"] - 1000 * time.time()
    expect(got["at-once"][1].type == "line" and early_ms <= 1900, f"{got['at-once']}, early by {early_ms} ms")
    expect(set(messages_in(now, only_now, 1)) == {"at-once"}, "one is not delayed")
    for name in delays:
        line, = done(project, name)
        expect(line["queue"] == "geo@logs", f"{line}")
    for client in (foreign, now):
        client.connection.close()


def a_topic_with_a_sender_of_its_own(project):
    """To bide.topic what runs at once, to bide.later what is delayed: each subscription gets it."""
    project.name_space = NAME_SPACE
    project.configure(handlers=[project.probe(on="geo@news"), project.probe(on="errors@news")])
    worker = project.worker()
    wait_until(lambda: "worker started" in worker.log_text(), 60, "the subscriptions are there")
    with Foreign(project) as foreign:
        foreign.publish("@.news", exchange="topic", type="probe", message_id="now")
        foreign.publish("@.news", exchange="later", type="probe", message_id="soon", headers={"bide-due": int(1000 * time.time()) + 600})
    for name in ("now", "soon"):
        lines = done(project, name, 2)
        expect({line["queue"] for line in lines} == {"geo@news", "errors@news"}, f"{lines}")
    expect(all(line["lateness_us"] >= 0 for line in project.journal()), f"{project.journal()}")


main(sent_at_once, sent_without_an_id, sent_delayed, a_priority_holds_up_nobody, a_due_time_that_is_none,
     headers_that_fill_a_frame, dead_letter_is_understood, body_is_bytes, no_type_and_unknown_type,
     what_amqp_treats_specially, a_topic_with_a_subscriber_of_its_own, a_topic_with_a_sender_of_its_own)
