"""Writes the report of the day before its slot: report-DAY.txt. The body says what it is about.

A report that comes again (a retry, a crash) is of the same day, and replaces the file: the slot says which day, not the clock."""

import datetime
import os
import sys
import zoneinfo

slot_s = int(os.environ["BIDE_HEADER_BIDE_SLOT"]) / 1000
day = datetime.datetime.fromtimestamp(slot_s, zoneinfo.ZoneInfo("Europe/Berlin")).date() - datetime.timedelta(days=1)
with open(f"report-{day}.txt.new", "w", encoding="utf-8") as report:
    report.write(f"{sys.stdin.read()} of {day}, by {os.environ['BIDE_ID'].split('@')[0]}\n")
os.replace(f"report-{day}.txt.new", f"report-{day}.txt")
