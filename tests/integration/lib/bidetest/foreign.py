"""A program that speaks AMQP and has never heard of bide: Debian's python3-pika, nothing else.

What it may know is what the interface page tells everybody: the exchanges <namespace>.work and <namespace>.later, the routing key,
the headers.
"""

import pika

from bidetest.harness import expect
from bidetest.waiting import wait_until


class Foreign:
    """Use it in a with statement. One connection, one channel, publisher confirms."""

    def __init__(self, project, url=None):
        self.name_space = project.name_space
        parameters = pika.URLParameters((url or project.url) + "/%2F")
        parameters.heartbeat = 0  # nobody serves it between two calls
        self.connection = pika.BlockingConnection(parameters)
        self.open_channel()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if self.connection.is_open:
            self.connection.close()

    def open_channel(self):
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()

    def name(self, queue):
        return f"{self.name_space}.{queue}"

    def publish(self, queue, body=b"{}", headers=None, exchange="work", **properties):
        """To the work exchange, or the one for later; returns once the broker has confirmed it."""
        self.channel.basic_publish(
            self.name(exchange), queue, body, pika.BasicProperties(headers=headers, **properties), mandatory=True
        )

    def get(self, queue):
        """Reads one message of <namespace>.<queue>, for good: how it came, its properties, its body; None: there is none."""
        got = self.channel.basic_get(self.name(queue), auto_ack=True)
        return got if got[0] else None

    def take(self, queue, seconds=60):
        """The same as soon as there is one: its properties and its body."""
        return wait_until(lambda: self.get(queue), seconds, f"a message in {self.name(queue)}")[1:]

    def depth(self, queue):
        """How many messages are ready there; None where there is no such queue."""
        try:
            return self.channel.queue_declare(self.name(queue), passive=True).method.message_count
        except pika.exceptions.ChannelClosedByBroker as closed:
            expect(closed.reply_code == 404, f"{closed}")
            self.open_channel()
            return None

    def delete_queue(self, queue):
        self.channel.queue_delete(self.name(queue))
