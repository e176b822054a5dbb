"""What operators and their tools ask: is the process alive, and can it serve; if not, which part is away.

Outside of ``/api/v1``, without a key, and without anything of a merchant. The figures are in ``metrics``.
"""

import logging
from collections.abc import Callable

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from catalog.models import Photo
from workers.client import Unavailable, coordinator_is_alive, live_workers, photo_store, queue_lengths

log = logging.getLogger(__name__)


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Everything that a search needs is there, or 503 and what is not."""
    checks = {name: _outcome(check) for name, check in CHECKS.items()}
    good = all(outcome == "ok" for outcome in checks.values())
    return JsonResponse({"status": "ok" if good else "unavailable", "checks": checks}, status=200 if good else 503)


def _check_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


def _check_redis() -> str:
    queue_lengths()
    return "ok"


def _check_storage() -> str:
    photo_store().check(used=Photo.objects.exists())
    return "ok"


def _check_index() -> str:
    """As the workers see it: nobody else reaches it."""
    cards = live_workers()
    if not cards:
        return "no live worker"
    return "ok" if all(card.index_ok for card in cards) else "away"


def _check_workers() -> str:
    return "ok" if live_workers() else "no live worker"


def _check_coordinator() -> str:
    return "ok" if coordinator_is_alive() else "no live coordinator"


CHECKS: dict[str, Callable[[], str]] = {
    "database": _check_database,
    "redis": _check_redis,
    "storage": _check_storage,
    "index": _check_index,
    "workers": _check_workers,
    "coordinator": _check_coordinator,
}


def _outcome(check: Callable[[], str]) -> str:
    """``ok`` or a word for what is wrong; the details, which may name inner addresses, go to the log."""
    try:
        return check()
    except (DatabaseError, Unavailable) as error:
        log.warning("not ready: %s", error)
        return "away"
