"""An API that lets each tenant call 100 times in any minute. Prints the tenant and the status of each call."""

import collections
import http.server
import time

LIMIT, WINDOW_S = 100, 60
calls = collections.defaultdict(collections.deque)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        tenant = self.headers.get("X-Tenant", "")
        mine, now = calls[tenant], time.monotonic()
        while mine and mine[0] <= now - WINDOW_S:
            mine.popleft()
        status = 200 if len(mine) < LIMIT else 429
        if status == 200:
            mine.append(now)
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", str(int(mine[0] + WINDOW_S - now) + 1))
        self.send_header("Content-Length", "0")
        self.end_headers()
        print(tenant, status, flush=True)

    def log_message(self, *arguments):
        pass


http.server.HTTPServer(("127.0.0.1", 9481), Handler).serve_forever()
