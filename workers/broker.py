"""How every Celery app of the project speaks to Redis: one set of options, one way to send a message.

Read by ``workers.app``, ``workers.client`` and ``config.celery``; comes right after ``config.env``.
"""

from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from config.env import load_env
from recognition.errors import Unavailable
from workers.contract import Message

BROKER_AWAY = (OperationalError, RedisError, OSError)  # whatever the layers below raise when Redis cannot be reached


def celery_settings() -> dict[str, Any]:
    """Celery's configuration. The broker is a courier only: no result backend, leases in SQL decide what is lost."""
    return {
        "broker_url": load_env().broker,
        "broker_connection_retry_on_startup": True,
        "broker_connection_timeout": 3,
        # A dead Redis is seen within seconds, a message of a killed worker is redelivered late: leases are earlier.
        "broker_transport_options": {
            "visibility_timeout": 3600,
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_create_missing_queues": True,
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
        "worker_enable_remote_control": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "enable_utc": True,
    }


def publish(
    app: Celery, *, task: str, queue: str, message: Message, retries: int, headers: dict[str, Any] | None = None
) -> None:
    """Put a message on a queue as the one argument of a task. See ``send``."""
    send(app, task=task, queue=queue, args=[message.to_wire()], retries=retries, headers=headers)


def send(
    app: Celery, *, task: str, queue: str, args: list[Any], retries: int, headers: dict[str, Any] | None = None
) -> None:
    """Put a task on a queue. Thread-safe: connections come from the app's pool.

    Tries again `retries` times, after 0.2, 0.4, … at most 2 seconds. `headers`: see ``clock``. Raises
    Unavailable("broker_unavailable").
    """
    patience = {"max_retries": retries, "interval_start": 0.2, "interval_step": 0.2, "interval_max": 2.0}
    try:
        app.send_task(task, args=args, queue=queue, headers=headers, argsrepr=task, retry=True, retry_policy=patience)
    except BROKER_AWAY as error:
        raise Unavailable("broker_unavailable", f"Redis is away: {error}") from error
