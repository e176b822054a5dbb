"""The figures for Prometheus, of the whole installation at one address: counted in SQL, and told by every process.

Workers and coordinators write what they counted into Redis with their beat, so nothing has to know where they run, and
a process that is gone takes its figures with it. Without anything of a merchant. Why so: docs/operations.md.
"""

import hmac
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from django.db.models import Count, Min, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from catalog.models import (
    UNFINISHED,
    DeliveryState,
    Item,
    ItemState,
    Job,
    JobKind,
    LedgerState,
    Photo,
    ShadowPhoto,
    Upload,
    WebhookDelivery,
)
from catalog.selectors.drift import acceptance_drift
from config.env import load_env
from workers.client import Unavailable, coordinator_is_alive, live_workers, process_metrics, queue_lengths

Rows = Iterable[tuple[Sequence[str], float]]
OWED = (LedgerState.PENDING, LedgerState.DISPATCHED)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The figures in Prometheus' text format; those of a Redis that is away are left out.

    With ``VITRINE_METRICS_TOKEN`` only for who sends it; without one in production for nobody.
    """
    env = load_env()
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
    if not env.metrics_token and env.mode == "production":
        return HttpResponse("Set VITRINE_METRICS_TOKEN to open this address.\n", status=404, content_type="text/plain")
    if env.metrics_token and not hmac.compare_digest(given, env.metrics_token.encode()):
        return HttpResponse("Send the token.\n", status=401, headers={"WWW-Authenticate": "Bearer"})
    registry = CollectorRegistry()
    registry.register(Figures())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class Figures(Collector):
    """Counted anew for each scrape: a fixed number of queries, and a few calls to Redis."""

    def collect(self) -> Iterator[Metric]:
        """The figures, one family a name."""
        yield from _photos()
        yield _counted("vitrine_jobs", "Jobs by kind and ledger state.", Job.objects.all(), "kind", "state")
        yield _counted("vitrine_webhook_deliveries", "Deliveries by state.", WebhookDelivery.objects.all(), "state")
        yield _counted("vitrine_shadow_photos", "Photos that the shadow was owed.", ShadowPhoto.objects.all(), "state")
        open_items = Item.objects.filter(state=ItemState.OPEN).count()
        yield GaugeMetricFamily("vitrine_review_items", "Items that wait for a reviewer.", value=open_items)
        yield from _acceptance(timezone.now())
        yield _family("vitrine_oldest_owed_seconds", "Age of the oldest that is owed.", ["what"], _ages(timezone.now()))
        up = GaugeMetricFamily("vitrine_redis_up", "Whether Redis answers.")
        try:
            told = list(_told())
        except Unavailable:
            told = []
        up.add_metric([], float(bool(told)))
        yield up
        yield from told


def _photos() -> Iterator[Metric]:
    """Photos by state and those that failed by code: one query. An alert always has a value: what is none, is 0."""
    rows = Photo.objects.order_by().values_list("state", "error_code").annotate(Count("pk"))
    states, codes = Counter(dict.fromkeys(LedgerState.values, 0)), Counter[str]()
    for state, code, number in rows:
        states[state] += number
        codes[code] += number if state == LedgerState.FAILED else 0
    yield _family("vitrine_photos", "Photos by ledger state.", ["state"], [([key], n) for key, n in states.items()])
    failed = [([code], float(number)) for code, number in codes.items() if number]
    yield _family("vitrine_photos_failed", "Photos that failed, by code.", ["code"], failed)


def _acceptance(now: datetime) -> Iterator[Metric]:
    """How often reviewers accept the first guess, and whether that drifts; an alert has a value with few decisions too.

    One query over five weeks of decisions.
    """
    drift = acceptance_drift(merchants=None, now=now)
    rates = [
        ([days], share.value) for days, share in (("7", drift.now), ("28", drift.before)) if share.value is not None
    ]
    yield _family("vitrine_acceptance_rate", "Of uncertain items, the first guess accepted, 0 to 1.", ["days"], rates)
    text = "Standard errors from the acceptance rate of the 28 days before to that of the last 7."
    yield GaugeMetricFamily("vitrine_acceptance_drift_errors", text, value=drift.z or 0.0)


def _ages(now: datetime) -> Rows:
    """Seconds that the oldest of each kind has been waiting; 0 where none is."""
    searches = Job.objects.filter(kind=JobKind.SEARCH, state__in=OWED)
    owed = {
        "photo": Photo.objects.filter(state__in=OWED).aggregate(at=Min("queued_at")),
        "search": searches.aggregate(at=Min("created_at")),
        "upload": Upload.objects.filter(state__in=UNFINISHED).aggregate(at=Min("created_at")),
        "webhook": WebhookDelivery.objects.filter(state=DeliveryState.PENDING).aggregate(at=Min("created_at")),
    }
    return [
        ([what], max((now - found["at"]).total_seconds(), 0.0) if found["at"] else 0.0) for what, found in owed.items()
    ]


def _told() -> Iterator[Metric]:
    """What lies in Redis: queues, the workers' cards, and the figures of every process, each with its name."""
    lengths, cards = queue_lengths(), live_workers()
    yield _family(
        "vitrine_queue_length", "Messages that wait in a queue.", ["queue"], [([q], n) for q, n in lengths.items()]
    )
    yield GaugeMetricFamily("vitrine_workers", "Live workers.", value=len(cards))
    yield GaugeMetricFamily("vitrine_coordinator_up", "Whether a coordinator dispatches.", value=coordinator_is_alive())
    points = [([card.name, card.bundle_version], float(card.points)) for card in cards]
    yield _family(
        "vitrine_index_points", "Photos in the live index, as a worker sees it.", ["worker", "bundle"], points
    )
    away = [([card.name], float(card.index_ok)) for card in cards]
    yield _family("vitrine_index_up", "Whether a worker reaches its index.", ["worker"], away)
    broken = [([card.name], float(len(card.bundle_faults))) for card in cards]
    yield _family("vitrine_bundle_faults", "Bundles that a worker should serve and cannot.", ["worker"], broken)
    yield from _merged(process_metrics())


def _merged(texts: dict[str, str]) -> Iterator[Metric]:
    """The families of all processes, one each, their samples with the name of the process."""
    families: dict[str, Metric] = {}
    for process, text in texts.items():
        for family in text_string_to_metric_families(text):
            merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                merged.add_sample(sample.name, sample.labels | {"process": process}, sample.value)
    yield from families.values()


def _counted(name: str, help_text: str, rows: QuerySet, *columns: str) -> GaugeMetricFamily:
    """Counts in one query."""
    counted = rows.order_by().values_list(*columns).annotate(Count("pk"))
    return _family(name, help_text, columns, [(labels, float(number)) for *labels, number in counted])


def _family(name: str, help_text: str, labels: Sequence[str], rows: Rows) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for label_values, figure in rows:
        family.add_metric(label_values, figure)
    return family
