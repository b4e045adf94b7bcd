"""A project whose broker is behind a proxy and can be away; with a spool."""

from urllib.parse import urlsplit, urlunsplit

from bidetest.proxy import Proxy

QUICK = {"rabbitmq": "heartbeat=2&connect_timeout=2", "redis": "timeout=2&connect_timeout=2"}


class Away:
    """Use it in a with statement. `url` leads through the proxy."""

    def __init__(self, project):
        url = urlsplit(project.url)
        self.project, self.direct, self.there = project, project.url, url.port
        self.proxy = Proxy(url.port)
        login = url.netloc.rpartition("@")
        place = "".join(login[:2]) + f"127.0.0.1:{self.proxy.port}"
        self.url = urlunsplit((url.scheme, place, url.path, QUICK[project.broker], ""))

    def __enter__(self):
        self.proxy.__enter__()
        self.project.url = self.url
        return self

    def __exit__(self, *failure):
        self.project.url = self.direct
        self.proxy.__exit__(*failure)

    def leave(self):
        """Connections are cut, and new ones end at once."""
        self.proxy.target = 1
        self.proxy.cut()

    def come_back(self):
        self.proxy.target = self.there
