"""The search lane: searches, and questions why, reach their own few threads, whatever chunks fill the task pool.

A Celery bootstep with a consumer of its own on the search queue, beside the task consumer of the bulk queue; after it
comes one of ``tasks.ANSWERS``, by the name of the task. Why not a second task queue: docs/decisions/worker.md. The
broker's connection and the acknowledgements belong to Celery's event loop; the threads only answer.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import bootsteps
from kombu import Consumer as MessageConsumer
from kombu import Message, Queue
from kombu.common import ignore_errors

from config.env import load_env
from workers.broker import BROKER_AWAY
from workers.clock import seconds_left
from workers.contract import SEARCH_QUEUE
from workers.tasks import ANSWERS

logger = logging.getLogger(__name__)


class SearchLane(bootsteps.StartStopStep):
    """Consumes the search queue: at most ``search_threads`` at once, the rest waits in Redis for any free worker."""

    requires = ("celery.worker.consumer:Connection",)
    queue = SEARCH_QUEUE
    answers: Mapping[str, Callable[..., None]] = ANSWERS

    def __init__(self, parent: Any, **_: Any) -> None:
        self._threads = self.threads()
        self._pool = self.pool()
        self._answered: deque[Message] = deque()
        self._consumer: MessageConsumer | None = None
        self._stopping = False
        self._parent = parent

    def threads(self) -> int:
        """How many messages are in hand at once."""
        return load_env().search_threads

    def pool(self) -> ThreadPoolExecutor:
        """The threads that answer."""
        return ThreadPoolExecutor(self._threads, thread_name_prefix="search")

    def start(self, parent: Any) -> None:
        """Consume on the present connection; called again after every reconnection."""
        channel = parent.connection.channel()
        self._consumer = MessageConsumer(
            channel, queues=[Queue(self.queue)], on_message=self._on_message, accept=["json"], auto_declare=True
        )
        self._consumer.qos(prefetch_count=self._threads)
        self._consumer.consume()

    def stop(self, parent: Any) -> None:
        """Take no more; called at the end and when the connection was lost."""
        if self._consumer and parent.connection:
            ignore_errors(parent.connection, self._consumer.cancel)

    def shutdown(self, parent: Any) -> None:
        """Finish the searches in hand, acknowledge them, let go of the channel."""
        self._stopping = True
        self._pool.shutdown(wait=True)
        self._acknowledge()
        channel = self._consumer.channel if self._consumer else None
        if channel and parent.connection:
            try:
                channel.close()
            except Exception as error:  # closing reads once more from Redis, and may find anything there
                logger.warning("the lane of %s could not be closed in order: %s", self.queue, error)

    def _on_message(self, message: Message) -> None:
        if self._stopping:
            message.requeue()
            return
        self._pool.submit(self._answer, message)

    def _answer(self, message: Message) -> None:
        try:
            args, *_ = message.decode()
            answer = self.answers[message.headers["task"]]
            self.carry_out(answer, args[0] if args else None, message)
        except Exception:
            logger.exception("a message on %s cannot be read", self.queue)
        self._answered.append(message)
        self._parent.hub.call_soon(self._acknowledge)

    def carry_out(self, answer: Callable[..., None], body: Any, message: Message) -> None:
        """Answer one message."""
        answer(self._parent.app, self._on_our_clock(body, message))

    def _on_our_clock(self, body: Any, message: Message) -> Any:
        """The message with its deadline on this machine's clock, which may differ from the sender's."""
        try:
            left = seconds_left(self._parent.app.served.primary().redis, message.headers)
        except BROKER_AWAY:
            left = None
        if left is None or not isinstance(body, dict):
            return body
        return body | {"deadline": (datetime.now(UTC) + timedelta(seconds=left)).isoformat()}

    def _acknowledge(self) -> None:
        while self._answered:
            self._answered.popleft().ack_log_error(logger, self._parent.connection_errors)
