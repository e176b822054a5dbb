"""What operators and their tools ask: is the process alive, can it serve, and the figures for Prometheus.

Outside of ``/api/v1``, without a key, and without anything of a merchant.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from django.db import DatabaseError, connection
from django.db.models import Count, Model
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from catalog.models import Job, LedgerState, Photo
from workers.client import Unavailable, coordinator_is_alive, live_workers, queue_lengths

Rows = Iterable[tuple[tuple[str, ...], float]]

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


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The figures in Prometheus' text format; those of a Redis that is away are left out."""
    registry = CollectorRegistry()
    registry.register(Figures())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class Figures(Collector):
    """Counted anew for each scrape: two queries and two calls to Redis."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures, one family a name."""
        yield _by_state("vitrine_photos", "Photos by ledger state.", Photo, "state")
        yield _by_state("vitrine_jobs", "Jobs by kind and ledger state.", Job, "kind", "state")
        up = GaugeMetricFamily("vitrine_redis_up", "Whether Redis answers.")
        try:
            lengths, cards = queue_lengths(), live_workers()
        except Unavailable:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield _family("vitrine_queue_length", "Messages that wait in a queue.", ["queue"], _labelled(lengths))
        yield GaugeMetricFamily("vitrine_workers", "Live workers.", value=len(cards))
        for name, help_text, figure in WORKER_FIGURES:
            rows = [((card.name, card.bundle_version), float(getattr(card, figure))) for card in cards]
            yield _family(name, help_text, ["worker", "bundle_version"], rows)


WORKER_FIGURES = (
    ("vitrine_worker_photos_done", "Photos that a worker has done since it started.", "photos_done"),
    ("vitrine_worker_searches_done", "Searches that a worker has done since it started.", "searches_done"),
    ("vitrine_worker_points", "Points in the index, as a worker sees it.", "points"),
)


def _by_state(name: str, help_text: str, model: type[Model], *columns: str) -> GaugeMetricFamily:
    """Counts in one query. Photos that are owed get a 0, so that an alert on them always has a value."""
    counted = {
        tuple(row): total
        for *row, total in model._default_manager.order_by().values_list(*columns).annotate(Count("pk"))
    }
    if columns == ("state",):
        counted = {(state,): 0 for state in LedgerState.values} | counted
    return _family(name, help_text, columns, counted.items())


def _labelled(figures: dict[str, int]) -> Rows:
    return [((label,), figure) for label, figure in figures.items()]


def _family(name: str, help_text: str, labels: Sequence[str], rows: Rows) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for label_values, figure in rows:
        family.add_metric(label_values, figure)
    return family


def _check_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


def _check_redis() -> str:
    queue_lengths()
    return "ok"


def _check_workers() -> str:
    return "ok" if live_workers() else "no live worker"


def _check_coordinator() -> str:
    return "ok" if coordinator_is_alive() else "no live coordinator"


CHECKS: dict[str, Callable[[], str]] = {
    "database": _check_database,
    "redis": _check_redis,
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
