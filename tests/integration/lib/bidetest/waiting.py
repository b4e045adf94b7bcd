"""Waiting for a condition instead of for a time."""

import time


class TooLate(AssertionError):
    """A condition did not come true in time."""


def wait_until(condition, seconds, what):
    """Returns the first true value of condition(); TooLate with what it was waiting for otherwise."""
    deadline, nap = time.monotonic() + seconds, 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            shown = what() if callable(what) else what
            raise TooLate(f"not within {seconds} s: {shown}")
        time.sleep(nap)
        nap = min(nap * 1.5, 0.1)


def pace(items, per_second):
    """Yields the items at a steady rate; catches up where it was held up."""
    started = time.monotonic()
    for number, item in enumerate(items):
        ahead = started + number / per_second - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        yield item
