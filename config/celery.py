"""The coordinator's Celery app: imports rows, dispatches, stores results, reconciles. Never loads torch.

Start with ``celery -A config.celery worker --beat``. It comes after the web (which commits rows) and before the
workers (which get chunks), and again after them (it stores what they found).
"""

import os
import sys

from celery import Celery
from celery.signals import setup_logging, worker_init
from django.db import connections
from kombu import Queue

from config.env import load_env
from workers.broker import celery_settings
from workers.contract import COORDINATOR_QUEUE, RESULTS_QUEUE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

ENV = load_env()

app = Celery("vitrine-coordinator")
app.conf.update(
    celery_settings(),
    task_queues=[Queue(RESULTS_QUEUE), Queue(COORDINATOR_QUEUE)],  # results first: they free the window
    task_default_queue=COORDINATOR_QUEUE,
    task_acks_late=True,
    worker_pool="threads",
    worker_concurrency=4,
    CELERY_DB_REUSE_MAX=sys.maxsize,  # else Celery closes the connection round every task
    beat_schedule_filename=str(ENV.var / "beat-schedule"),
    beat_schedule={
        "dispatch": {"task": "catalog.dispatch", "schedule": ENV.dispatch_seconds, "options": {"expires": 10}},
        "deliver": {"task": "catalog.deliver_webhooks", "schedule": ENV.dispatch_seconds, "options": {"expires": 10}},
        "reconcile": {"task": "catalog.reconcile", "schedule": ENV.reconcile_seconds, "options": {"expires": 60}},
        "thresholds": {
            "task": "catalog.thresholds",
            "schedule": ENV.thresholds_seconds,
            "options": {"expires": ENV.thresholds_seconds},
        },
    },
)
app.autodiscover_tasks(["catalog"])


@setup_logging.connect
def _keep_django_logging(**_: object) -> None:
    """Connecting to this signal keeps Celery from replacing the logging that Django set up."""


@worker_init.connect
def _close_connections(**_: object) -> None:
    """Of the checks before: the beat is forked off with what is open."""
    connections.close_all()
