"""How every Celery app of the project speaks to Redis: one set of options for client, worker and coordinator.

Read by ``workers.app``, ``workers.client`` and ``config.celery``; comes right after ``config.env``.
"""

from typing import Any

from config.env import load_env


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
