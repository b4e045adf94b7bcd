"""Three handlers (a webhook, a program in Python, one in Node) of one limit, whose target answers 429 to some tenants, once."""

import http.server
import json
import threading
import time

from bidetest.project import ROOT, read_lines

WAIT_S = 3

PYTHON = """
import os, sys, time, json
sys.path.insert(0, %(sdk)r)
import bide

@bide.handler("python")
def ask(message):
    with open("runs.ndjson", "a") as runs:
        line = {"id": message.id, "attempt": message.attempt, "started_s": time.time()}
        os.write(runs.fileno(), (json.dumps(line) + "\\n").encode())
    if message.id.startswith("told"):
        try:
            os.close(os.open(message.id, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        raise bide.Retry("429", after="%(wait)ds", limit="api")

bide.serve()
"""

NODE = """
import {appendFileSync, closeSync, openSync} from 'node:fs'
const {handler, serve, Retry} = await import(%(sdk)r)

handler('node', message => {
  const {id, attempt} = message
  appendFileSync('runs.ndjson', JSON.stringify({id, attempt, started_s: Date.now() / 1000}) + '\\n')
  if (!id.startsWith('told')) return
  try {
    closeSync(openSync(id, 'wx'))
  } catch {
    return
  }
  throw new Retry('429', {after: '%(wait)ds', limit: ''})
})

serve()
"""


class Target(http.server.ThreadingHTTPServer):
    """Answers 429 to the first request of each id that begins with "told"."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.runs = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def answer(self, identity, attempt):
        first = all(line["id"] != identity for line in self.runs)
        self.runs.append({"id": identity, "attempt": int(attempt), "started_s": time.time()})
        return 429 if first and identity.startswith("told") else 200


class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = self.server.answer(self.headers["Bide-Id"], self.headers["Bide-Attempt"])
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", str(WAIT_S))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


def programs(project):
    """They are written into the project's folder; what `programs` is to say of them."""
    sdk = ROOT / "sdk"
    (project.dir / "ask.py").write_text(PYTHON % {"sdk": str(sdk / "python"), "wait": WAIT_S})
    (project.dir / "ask.mjs").write_text(NODE % {"sdk": str(sdk / "node" / "bide.js"), "wait": WAIT_S})
    return [{"name": "python", "run": ["/usr/bin/python3", "ask.py"]}, {"name": "node", "run": ["node", "ask.mjs"]}]


def handlers(target):
    hook = {"type": "hook", "plugin": "webhook", "settings": {"url": f"http://127.0.0.1:{target.server_port}/"}}
    rows = [hook, *({"type": name, "program": name} for name in ("python", "node"))]
    return [{**row, "limited_by": ["api"]} for row in rows]


def runs(project, target):
    return [*target.runs, *read_lines(project.dir / "runs.ndjson")]
