"""A job that does nothing counts itself here. Whoever measures reads the file: now and then a line of JSON with how many have run and
when the first and the last one did, and how late those were that ran since the line before."""

import json
import threading
import time


class Counter:
    """Of one process; `path`: called at the first run, so that a process that was forked before has a file of its own."""

    def __init__(self, path):
        self.path, self.runs, self.first_us, self.last_us, self.late_ms = path, 0, 0, 0, []

    def ran(self, due_ms=0):
        now_us = time.time_ns() // 1000
        if self.runs == 0:
            self.first_us = now_us
            threading.Thread(target=self.write, args=(self.path(),), daemon=True).start()
        self.runs += 1
        self.last_us = now_us
        if due_ms:
            self.late_ms.append(now_us / 1000 - due_ms)

    def write(self, path):
        runs = late = 0
        while True:
            if self.runs != runs:
                runs, new = self.runs, self.late_ms[late:]
                late += len(new)
                with open(path, "a") as file:
                    file.write(json.dumps({"runs": runs, "first_us": self.first_us, "last_us": self.last_us, "late_ms": new}) + "\n")
            time.sleep(0.1)
