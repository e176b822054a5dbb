"""Wakes the coordinator through Redis, never as a condition of success: SQL already says what is owed.

Called on commit by services; if the broker is away the periodic dispatch and reconcile find the same work.
"""

import logging

from workers import client
from workers.client import Unavailable

log = logging.getLogger(__name__)

DISPATCH = "catalog.dispatch"
IMPORT_UPLOAD = "catalog.import_upload"
DELIVER_WEBHOOKS = "catalog.deliver_webhooks"


def wake(task: str, *args: str) -> None:
    """Ask the coordinator to run a task now. A broker that is away is logged and otherwise ignored."""
    try:
        client.wake_coordinator(task, *args)
    except Unavailable as error:
        log.warning("could not wake the coordinator for %s, the reconciler will: %s", task, error)


def dispatch_soon() -> None:
    """Ask for a round of dispatching now, instead of at the next tick."""
    wake(DISPATCH)
