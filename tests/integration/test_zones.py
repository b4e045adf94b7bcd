#!/usr/bin/python3
# brokers: sqlite
# seconds: 60
"""A year of four time zones, with both changes of their clocks: what `bide cron next` says is what Python's zoneinfo says,
computed in another way: nominal entries day by day, others by looking at each fifth minute."""

import json
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.harness import expect, main  # noqa: E402

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca")
BEGIN, END = datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2027, 1, 1, tzinfo=timezone.utc)
EVERY = frozenset(range(60))
# name: minutes, hours (None: the field is `*`), days of the month, days of the week (0: Sunday), as text
CRONS = {
    "night": ("30 2 * * *", {30}, {2}, EVERY, EVERY),
    "gap": ("0,15,30,45 1,2,3 * * *", {0, 15, 30, 45}, {1, 2, 3}, EVERY, EVERY),
    "late": ("59 23 31 * *", {59}, {23}, {31}, EVERY),
    "sundays": ("5 0-4 * * sun", {5}, {0, 1, 2, 3, 4}, EVERY, {0}),
    "hourly": ("@hourly", {0}, None, EVERY, EVERY),
    "often": ("*/20 * * * *", {0, 20, 40}, None, EVERY, EVERY),
}


def first_instant(local, zone):
    """Of a local time: the first of two; in a gap, the gap's end."""
    there = local.replace(tzinfo=zone).astimezone(timezone.utc)
    if there.astimezone(zone).replace(tzinfo=None) == local:
        return there
    low, high = there - timedelta(days=1), there + timedelta(days=1)  # the offset changes in between
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
    return high.replace(microsecond=0)


def nominal(zone, minutes, hours, days, weekdays):
    slots = set()
    day = datetime(2025, 12, 30)
    while day < datetime(2027, 1, 3):
        if day.day in days and day.isoweekday() % 7 in weekdays:
            slots |= {first_instant(day.replace(hour=hour, minute=minute), zone) for hour in hours for minute in minutes}
        day += timedelta(days=1)
    return slots


def real(zone, minutes, days, weekdays):
    slots, at = set(), BEGIN
    while at < END:
        local = at.astimezone(zone)
        if local.minute in minutes and local.day in days and local.isoweekday() % 7 in weekdays:
            slots.add(at)
        at += timedelta(minutes=5)
    return slots


def expected(zone, row):
    _, minutes, hours, days, weekdays = row
    slots = real(zone, minutes, days, weekdays) if hours is None else nominal(zone, minutes, hours, days, weekdays)
    return sorted(int(slot.timestamp()) * 1000 for slot in slots if BEGIN <= slot < END)


def a_year_as_zoneinfo_has_it(project):
    project.configure(schedules=[
        {"name": f"{name}-{number}", "cron": row[0], "timezone": zone, "type": "probe"}
        for number, zone in enumerate(ZONES) for name, row in CRONS.items()])
    slots = 0
    for number, zone in enumerate(ZONES):
        for name, row in CRONS.items():
            wanted = expected(ZoneInfo(zone), row)
            said = project.bide("cron", "next", f"{name}-{number}", "--after", "2025-12-31T23:59:59Z", "--count", len(wanted) + 1,
                                "--json", env={"TZ": "Asia/Tokyo"}).stdout
            have = [json.loads(line)["slot_ms"] for line in said.splitlines()]
            wrong = next((pair for pair in zip(wanted, have) if pair[0] != pair[1]), None)
            expect(not wrong, f"{row[0]} in {zone}: (wanted, had) = {wrong}")
            expect(have[-1] >= int(END.timestamp()) * 1000, f"{row[0]} in {zone}: one too many")
            slots += len(wanted)
    print(f"{slots} slots of {len(CRONS)} expressions in {len(ZONES)} zones are equal")


main(a_year_as_zoneinfo_has_it)
