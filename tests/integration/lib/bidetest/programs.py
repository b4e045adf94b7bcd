"""Programs (handlers in other languages) under test: the one that does what bodies say, its processes, and the books of many messages
while these are killed."""

import json
import os
import random
import signal
from collections import Counter, defaultdict
from pathlib import Path

from bidetest import ledger
from bidetest.harness import expect
from bidetest.project import ROOT
from bidetest.waiting import wait_until

TASKS = Path(__file__).resolve().parent / "tasks.py"
RUN = ["/usr/bin/python3", str(TASKS)]
ENV = [f"BIDE_SDK={ROOT / 'sdk' / 'python'}"]
PREFETCH, WIDTH, WORKERS, PROCESSES = 20, 8, 2, 2
SEED = int(os.environ.get("BIDE_FAULT_SEED", "20261128"))


def programs_of(worker):
    """Pids of the processes of its programs: they lead groups of their own below a worker process."""
    found = []
    for pid in worker.tree():
        try:
            if "tasks.py" in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def parents(pids):
    """The worker processes they belong to."""
    found = set()
    for pid in pids:
        try:
            found.add(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return sorted(found)


def kill_one_of(pids, draw):
    """Its pid; None where there is none, or it has just ended by itself."""
    try:
        pid = draw.choice(pids)
        os.kill(pid, signal.SIGKILL)
        return pid
    except (IndexError, ProcessLookupError):
        return None


# ---- the books ----


def orders(draw):
    """Of a hundred: five fail once, half a one leaves by os._exit once, one and a half are rejected, 0.2 hang once."""
    dice = draw.random()
    steps = ((0.05, {"fail": 1}), (0.055, {"exit": 1}), (0.07, {"dead": True}), (0.072, {"hang": 1}), (1, {}))
    return next(body for below, body in steps if dice < below)


def mix(count, draw):
    """Half for a program with one run at a time, half for one with several; three of ten delayed."""
    for number in range(count):
        row = {"type": "task" if number % 2 else "other", "id": f"m{number}", "body": orders(draw)}
        if draw.random() < 0.3:
            row["delay"] = f"{draw.randrange(2000)}ms"
        yield row


def configure(project):
    program = {"run": RUN, "env": [*ENV, "TASKS_NOTE_STARTS=1"], "processes": PROCESSES}
    retry = {"attempts": 10, "crash_attempts": 6, "backoff": "fixed", "base": "100ms", "jitter": 0.0}
    project.configure(
        programs=[{"name": "narrow", "concurrency": 1, **program}, {"name": "wide", "concurrency": WIDTH, **program}],
        handlers=[{"type": type, "program": name, "timeout": "1s", "kill_after": "1500ms", "retry": retry}
                  for type, name in (("task", "narrow"), ("other", "wide"))],
        worker={"prefetch": PREFETCH, "processes": WORKERS})


def kill_meanwhile(project, worker, messages, kills, draw):
    """Programs, and one time of three a worker process; returns their pids."""
    programs, workers = set(), set()
    for number in range(1, kills + 1):
        due = number * messages * 1.9 / (kills + 1)  # lines of the journal: a start and an end of nearly all
        wait_until(lambda: project.journal_count() > due, 120, lambda: f"{number} of {kills} kills: {worker.log_tail()}")
        of_worker = draw.random() < 1 / 3
        choose = (lambda: parents(programs_of(worker))) if of_worker else (lambda: programs_of(worker))
        (workers if of_worker else programs).add(wait_until(lambda: kill_one_of(choose(), draw), 60, "there is somebody to kill"))
    return programs, workers


class Journal:
    """Who ran what, and where that ended."""

    def __init__(self, lines, rows, killed):
        self.starts, self.ends = defaultdict(list), defaultdict(list)
        for line in lines:
            (self.starts if line["outcome"] == "start" else self.ends)[line["id"]].append(line)
        self.killed = killed
        self.bodies = {row["id"]: row["body"] for row in rows}
        self.doomed = {line["pid"] for identity in self.starts for line in self.starts[identity] if self.ends_its_process(line)}

    def ends_its_process(self, line):
        body = self.bodies[line["id"]]
        return line["attempt"] <= max(body.get("exit", 0), body.get("hang", 0))

    def was_killed(self, line):
        return line["pid"] in self.killed or line["worker_pid"] in self.killed

    def blamed(self, dead, crashed):
        """Attempts that were burnt by no order of the message: each ran in a process that was killed, or bide had just given it to one."""
        found = []
        for identity, body in self.bodies.items():
            last = dead.get(identity) or max(line["attempt"] for line in self.ends[identity])
            own = max(body.get(order, 0) for order in ("fail", "exit", "hang"))
            for attempt in range(own + 1, last):
                runs = [line for line in self.starts[identity] if line["attempt"] == attempt]
                expect(any(map(self.was_killed, runs)) or (not runs and (identity, attempt) in crashed),
                       f"{identity} burnt attempt {attempt}, and nobody killed what it ran in: {runs}")
                found.append((identity, attempt))
        return found

    def explain_duplicates(self, books):
        """Each began once more often in a process that ended: before the run was settled, or (RabbitMQ) between the copy for its next
        attempt, or the dead letter, and the acknowledgement."""
        for identity, times in books.duplicates.items():
            disturbed = [line for line in self.starts[identity] if self.was_killed(line) or line["pid"] in self.doomed]
            expect(len(disturbed) >= times, f"{identity} ended {times + 1} times, and nobody killed what it ran in: {self.ends[identity]}")


def crashes_in(log):
    """(id, attempt) of what the log blames for a death."""
    lines = [json.loads(line) for line in log.splitlines() if '"handler crashed"' in line]
    return {(line["id"], line["attempt"]) for line in lines}


def books_are_right(project, messages, kills):
    draw = random.Random(SEED)
    configure(project)
    rows = list(mix(messages, draw))
    sent = project.send(rows)
    worker = project.worker()
    programs, workers = kill_meanwhile(project, worker, messages, kills, draw)
    wait_until(lambda: project.all_ended(sent), 120, lambda: f"all have ended: {project.status()} {worker.log_tail()}")
    expect(worker.stop() == 0, worker.log_tail())
    lines, dead = project.journal(), project.dead()
    books = ledger.close(sent, lines, dead)
    reasons = Counter(row["reason"] for row in dead)
    print(f"{books}; dead: {dict(reasons)}; killed {len(programs)} programs, {len(workers)} workers (seed {SEED})", flush=True)
    expect(books.balanced() and not books.both, f"the books do not balance: {books}")
    expect({row["id"] for row in dead} == {row["id"] for row in rows if row["body"].get("dead")}, f"dead: {reasons}")
    expect(set(reasons) <= {"rejected"}, f"{reasons}")
    journal = Journal(lines, rows, programs | workers)
    journal.explain_duplicates(books)
    crashed = crashes_in(worker.log_text())
    blamed = journal.blamed({row["id"]: row["attempts"] for row in dead}, crashed)
    orderly = sum("exit" in row["body"] for row in rows)
    print(f"blamed: {orderly} for their own exit, {len(blamed)} for a kill while they ran alone; {books.duplicate_ends()} ran twice", flush=True)
    expect(len(blamed) <= len(programs), f"{len(programs)} programs were killed, {len(blamed)} attempts burnt for it: {blamed}")
    most = len(programs) * WIDTH + len(workers) * (2 * PREFETCH + PROCESSES * (WIDTH + 1)) + WIDTH * len(journal.doomed)
    expect(books.duplicate_ends() <= most, f"{books.duplicate_ends()} ran twice: more than what was in flight")
