"""Sends deliveries in the coordinator, many at once in threads of their own: no endpoint keeps a task waiting.

Comes after ``tasks.deliver_webhooks``, which runs on every tick and whenever an event was committed. Threads are few
and their number is fixed; what finds none stays owed in SQL.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import BoundedSemaphore

from django.db import connection

from catalog.services.webhooks.delivery import Lease, deliveries_wait, delivery_lease_next, delivery_send
from catalog.services.webhooks.events import deliver_soon

log = logging.getLogger(__name__)

SENDERS = 32
_slots = BoundedSemaphore(SENDERS)


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(SENDERS, thread_name_prefix="webhook")


def deliveries_start() -> int:
    """Begin to send what is due, as far as there are senders free; waits for none of them. Returns how many."""
    started = 0
    while _slots.acquire(blocking=False):
        if not _start_one():
            break
        started += 1
    return started


def _start_one() -> bool:
    """With a slot in hand: give it to a thread with the next delivery, or back. A lease that leads nowhere runs out."""
    handed_over = False
    try:
        if lease := delivery_lease_next():
            _threads().submit(_send, lease)
            handed_over = True
    finally:
        if not handed_over:
            _slots.release()
    return handed_over


def _send(lease: Lease) -> None:
    """Nobody looks at the future: whatever goes wrong is logged here, and the delivery is sent again later."""
    try:
        delivery_send(lease=lease)
    except Exception:
        log.exception("delivery %s waits until its lease runs out", lease.delivery_id)
    finally:
        _slots.release()
        _go_on()


def _go_on() -> None:
    """What found no slot, or no room at its endpoint, need not wait for the next tick."""
    try:
        if deliveries_wait():
            deliver_soon()
    except Exception:
        log.exception("the next tick looks for deliveries")
    finally:
        connection.close()
