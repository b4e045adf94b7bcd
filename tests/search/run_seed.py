"""One seed: workers and senders start, faults happen, all heals, all ends, the books are closed."""

import os
import threading
import time

from bidetest.project import Project
from bidetest.waiting import TooLate, wait_until

import worker_faults
from books import Books
from workload import Errands, Sending, Streams, Work, batches, prepare

STARTED_S, ENDED_S, STOPPED_S, ERRANDS_S = 120, 25, 90, 15
IDLE_S = 1.0
MOST_CPU, MOST_LINES, MOST_RSS_KIB = 0.25, 25, 96 * 1024  # a second, of two workers that have nothing to do; a process
MOST_COMMANDS, MOST_LOG_LINES = 60, 400  # a second while idle; of one worker in one second of faults


class Seed:
    def __init__(self, plan, project, broker):
        self.plan, self.project, self.broker = plan, project, broker
        self.work, self.findings = Work(), []
        self.worlds = []
        self.workers = worker_faults.Workers(project)
        self.pace = Pace(self.workers)

    def run(self):
        wait_until(self.workers.serving, STARTED_S, lambda: f"the workers serve: {self.workers.current[0].log_tail()}")
        time.sleep(self.plan.warm())
        for part in (self.broker, self.workers):
            part.begin()
        for decision in self.plan.rules():
            self.broker.inject(decision)
        started, seconds = time.monotonic(), self.plan.until()
        threads = [Sending(self.project, self.work, batches(self.plan, n, seconds), started) for n in (1, 2)]
        errands = Errands(self.project, self.plan, self.work, started)
        self.streams = Streams(self.project, self.plan, self.work, started)
        threads.append(self.streams)
        for module in self.plan.worlds:
            world = module.START(self.project, self.plan, self.work, started, self.workers, self.broker)
            self.worlds.append(world)
            threads += world.threads(seconds)
        for thread in (*threads, errands, self.pace):
            thread.start()
        self.strike(started)
        time.sleep(max(0, started + seconds - time.monotonic()))
        errands.join(ERRANDS_S)  # what it reaches late on a busy machine is to meet faults, too
        self.heal()
        for thread in (*threads, errands):
            thread.join(90)
            if thread.is_alive():
                self.findings.append(f"{type(thread).__name__} did not end within 90 s after all was healed")
        errands.bring_back()
        for world in self.worlds:
            world.settle()
        self.close()

    def heal(self):
        self.broker.heal()
        for world in self.worlds:
            if hasattr(world, "heal"):
                world.heal()
        self.workers.heal()

    def strike(self, started):
        for decision in self.plan.moments():
            time.sleep(max(0, started + decision.at - time.monotonic()))
            part = self.workers if decision.kind in worker_faults.KINDS else self.broker
            try:
                part.inject(decision)
            except Exception as failure:
                self.findings.append(f"{decision.kind.name} could not be injected: {failure!r}")

    # ---- afterwards ----

    def close(self):
        stuck = self.await_end()
        self.pace.stop()
        counts = self.counts()
        if not stuck:
            self.look_idle()
            self.findings += self.streams.findings(self.broker.forgiven)
        for world in self.worlds:
            world.stop()
        self.look_at_workers()
        books, others = self.books(counts)
        print(f"books: {books.summary()}", flush=True)
        for name, one in (row for rows in others for row in rows):
            print(f"books of {name}: {one.summary()}", flush=True)
        self.findings += [*books.findings(), *self.workers.complaints, *self.pace.findings]
        for world, one in zip(self.worlds, others):
            self.findings += world.findings(one)
        self.findings += self.broker.complaints() if hasattr(self.broker, "complaints") else []
        if stuck:
            self.findings.append(stuck)
        self.look_at_senders()
        unknown = self.broker.strangers()
        if unknown:
            self.findings.append(f"went by and stands in no table: {', '.join(sorted(unknown))}")

    def books(self, counts):
        """-> (those of what is always sent, of each world [(place, those of what is sent there)])"""
        journal, letters = self.project.journal(), self.project.dead()
        mine = [[one for one in rows if not any(world.is_mine(one["queue"]) for world in self.plan.worlds)]
                for rows in (journal, letters)]
        others = [world.books(journal, letters, counts) for world in self.worlds]
        return Books(self.work, *mine, self.plan, counts, self.broker), others

    def missing(self):
        books, others = self.books({})
        return books.missing() + [f"{identity} in {name}" for rows in others for name, one in rows for identity in one.missing()]

    def look_at_senders(self):
        """A busy machine makes all sendings slow; what is looked for makes a few slow."""
        times = sorted(self.work.send_s)
        if not times or not hasattr(self.broker, "send_bound_s"):
            return
        bound = self.broker.send_bound_s() + 5 * times[len(times) // 2]
        if times[-1] > bound:
            self.findings.append(f"slow: a sender took {times[-1]:.1f} s, where {bound:.1f} s are explained")

    def counts(self):
        return sum((world.injected for world in self.worlds), self.broker.counts() + self.workers.counts())

    def await_end(self):
        """All that is left ends within a bound. What it says otherwise. The broker's word is not enough: RabbitMQ says that
        a quorum queue holds nothing while it has no leader, such as after a restart; what is missing then may still come."""
        since, said = time.monotonic(), {}

        def ended():
            self.workers.replace_ended()
            said["left"] = self.project.left()
            if said["left"] or self.project.left():  # a second look: between two places, or just claimed
                return False
            said["missing"] = self.missing()
            return not said["missing"]

        bound = getattr(self.broker, "ended_s", ENDED_S)
        times = sorted(self.work.send_s)
        bound += 10 * times[len(times) // 2] if times else 0  # a busy machine makes all slow
        try:
            wait_until(ended, bound, "all ends")
        except TooLate:
            if said["left"] == 0:
                return None  # lost: the books say what
            return (f"stuck: {said['left']} messages are left {bound:.0f} s after all was healed: {self.project.status()['queues']}; "
                    f"{self.workers.current[0].log_tail(4)} | {self.workers.current[1].log_tail(4)}")
        except AssertionError as failure:
            return f"status fails although all is healed: {failure}"
        print(f"all ended {time.monotonic() - since:.1f} s after healing", flush=True)
        return None

    def look_idle(self):
        """Twice, if need be: what connects again after the last fault is no spinning."""
        said = self.spinning()
        if said:
            time.sleep(2)
            said = self.spinning()
        self.findings += said

    def spinning(self):
        before = sum(self.broker.seen().values())
        cpu, lines = worker_faults.quiet_figures(self.workers.current, IDLE_S)
        commands = (sum(self.broker.seen().values()) - before) / IDLE_S
        pairs = len(self.workers.current) / 2
        return [f"spins: {value:.1f} {what} a second with nothing to do"
                for what, value, most in (("CPU seconds", cpu, MOST_CPU), ("log lines", lines, MOST_LINES),
                                          ("commands", commands, MOST_COMMANDS)) if value > most * pairs]

    def look_at_workers(self):
        self.workers.closed = True
        for place, worker in enumerate(self.workers.current):
            if not worker.running():
                self.findings.append(f"worker {place + 1} is gone: {worker.log_tail(6)}")
                continue
            rss = worker.rss_kib()
            if rss > MOST_RSS_KIB:
                self.findings.append(f"memory: {rss} KiB after healing")
            status = worker.stop(STOPPED_S)
            if status != 0:
                self.findings.append(f"SIGTERM: a worker ended with {status}: {worker.log_tail(6)}")
        self.look_at_deaths()

    def look_at_deaths(self):
        """Worker processes that ended although nobody killed them, or told them to."""
        died = [line for worker in self.workers.all() for line in worker.log_text().split("\n") if "worker process died" in line]
        counts = self.workers.counts()
        killed, begun = (sum(n for (kind, _), n in counts.items() if kind.startswith(kinds))
                         for kinds in ("kill", ("kill", "reload", "drain")))
        may_fail = ("SIGKILL", "exit status 69", "exit status 78") if begun else ("SIGKILL",)  # it could not begin
        by_itself = [line for line in died if not any(how in line for how in may_fail) or ": working: " in self.before(line)]
        died = [line for line in died if "SIGKILL" in line]
        if by_itself:
            self.findings.append(f"a worker process ended by itself: {len(by_itself)} times: {self.before(by_itself[0])}")
        elif len(died) > killed:
            self.findings.append(f"{len(died)} worker processes were killed, {killed} by the search: {died[0]}")

    def before(self, line):
        """It, and what was logged just before."""
        for worker in self.workers.all():
            lines = worker.log_text().split("\n")
            if line in lines:
                return " | ".join(lines[max(0, lines.index(line) - 2) : lines.index(line) + 1])
        return line


class Pace(threading.Thread):
    """Log lines a second of each worker, while faults happen."""

    def __init__(self, workers):
        super().__init__(daemon=True)
        self.workers, self.stopping, self.findings, self.sizes = workers, threading.Event(), [], {}

    def run(self):
        while not self.stopping.wait(1):
            for worker in self.workers.all():
                log = worker.log.read_bytes()
                lines = log.count(b"\n") - log.count(b'"level":"debug"')  # some worlds want to know more
                more = lines - self.sizes.get(worker.log, 0)
                if more > MOST_LOG_LINES and not self.findings:
                    self.findings.append(f"spins: {more} log lines in a second: {worker.log_tail(4)}")
                self.sizes[worker.log] = lines

    def stop(self):
        self.stopping.set()
        self.join(5)


def run(plan, module):
    """-> (findings, {"counts": …, "seen": …})"""
    with Project() as project:
        with module.start(project, plan) as server:
            project.url = server.url
            prepare(project, plan, getattr(server, "second_url", None))
            seed = Seed(plan, project, server)
            try:
                seed.run()
            except (AssertionError, TooLate) as failure:
                seed.findings.append(f"{type(failure).__name__}: {failure}")
            finally:
                seed.heal()
            keep(project, seed)
            return seed.findings, {"counts": seed.counts(), "seen": server.seen()}


def keep(project, seed):
    """BIDE_KEEP: the folder stays, and is named."""
    if os.environ.get("BIDE_KEEP") == "1" and seed.findings:
        print(f"logs: {project.dir}")
