"""The ledger: every id that was sent ends as done, dead or expired; duplicates are counted and named."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Ledger:
    sent: int
    done: int  # ids
    dead: int
    expired: int
    lost: list = field(default_factory=list)  # sent, and found nowhere
    strangers: list = field(default_factory=list)  # found, and never sent
    both: list = field(default_factory=list)  # done and dead
    duplicates: dict = field(default_factory=dict)  # id -> ends beyond the first

    def __str__(self):
        return (
            f"sent {self.sent} = done {self.done} + dead {self.dead} + expired {self.expired}; "
            f"lost {len(self.lost)} {self.lost[:5]}, strangers {len(self.strangers)} {self.strangers[:5]}, "
            f"both {len(self.both)} {self.both[:5]}, duplicates {self.duplicate_ends()} {list(self.duplicates)[:5]}"
        )

    def duplicate_ends(self):
        return sum(self.duplicates.values())

    def balanced(self):
        """Nothing lost, nothing invented; duplicates are another question."""
        return not self.lost and not self.strangers


def close(sent, journal, dead, expired=0):
    """The books of a run: `sent` ids, lines of the journal, rows of `dead list --json`, how many expired."""
    wanted = set(sent)
    done = Counter(line["id"] for line in journal if line["outcome"] == "done")
    died = Counter(row["id"] for row in dead)
    ends = done + died
    missing = sorted(wanted - set(ends))
    return Ledger(
        sent=len(wanted),
        done=len(done),
        dead=len(died),
        expired=expired,
        lost=missing if len(missing) != expired else [],
        strangers=sorted(set(ends) - wanted),
        both=sorted(set(done) & set(died)),
        duplicates={identity: count - 1 for identity, count in ends.items() if count > 1},
    )


def percentile(sorted_values, share):
    """share 0.5: the median; 1: the largest."""
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def lateness_ms(journal):
    """Sorted lateness of all runs, in ms; negative would be early."""
    return sorted(line["lateness_us"] / 1000 for line in journal)
