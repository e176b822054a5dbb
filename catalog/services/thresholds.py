"""Thresholds that follow a wanted precision: from which probability the machine accepts by itself, by category.

The coordinator chooses them from what reviewers decided (``follow``); ``services.items`` keeps to them when items are
stored. How they are estimated, and what that assumes: docs/decisions/quality.md.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from catalog.measures import Judged, threshold_choose
from catalog.models import Lane, Merchant, Threshold, Verdict
from catalog.models.review import ABOVE_THRESHOLD, BELOW_THRESHOLD, REJECTED_BEFORE
from catalog.selectors.quality import JUDGED, standing_decisions
from config.env import load_env

log = logging.getLogger(__name__)

WINDOW = timedelta(days=90)


def thresholds_follow() -> list[Threshold]:
    """Choose anew for every merchant that wants a precision, or wanted one; returns what changed."""
    kept = Threshold.objects.order_by().values("merchant").distinct()
    merchants = Merchant.objects.filter(Q(wanted_precision__isnull=False) | Q(pk__in=kept))
    return [change for merchant in merchants for change in merchant_thresholds_follow(merchant=merchant)]


@transaction.atomic
def merchant_thresholds_follow(*, merchant: Merchant) -> list[Threshold]:
    """Choose a merchant's thresholds anew and write down those that change; the log tells each."""
    merchant = Merchant.objects.select_for_update(no_key=True).get(pk=merchant.pk)
    wanted = merchant.wanted_precision
    judged = _judged(merchant) if wanted else {}
    held = {(row.bundle_version, row.category): row for row in _oldest_first(merchant.pk)}
    changes = []
    for version, category in sorted({*judged, *held}):
        chosen = threshold_choose(judged.get((version, category), []), wanted) if wanted else None
        before = held.get((version, category))
        if (before.value if before else None) == (chosen.value if chosen else None):
            continue
        changes.append(
            Threshold.objects.create(
                merchant=merchant,
                category=category,
                bundle_version=version,
                value=chosen.value if chosen else None,
                wanted=wanted,
                precision=chosen.precision if chosen else None,
                lower=chosen.lower if chosen else None,
                decided=chosen.decided if chosen else len(judged.get((version, category), [])),
            )
        )
        log.info(
            "threshold of %s, category=%r bundle=%s: %s -> %s",
            merchant.slug, category, version, before and before.value, changes[-1].value,
        )  # fmt: skip
    return changes


def thresholds_of(*, merchant_id: UUID, bundle_version: str) -> dict[str, float]:
    """The thresholds that hold, by category. One query."""
    rows = _oldest_first(merchant_id).filter(bundle_version=bundle_version)
    newest = dict(rows.values_list("category", "value"))
    return {category: value for category, value in newest.items() if value is not None}


def verdict_kept(
    verdict: Verdict, reason: str, probability: float | None, threshold: float | None
) -> tuple[Verdict, str]:
    """The verdict and its reason with a threshold: SURE below it is looked at, REVIEW from it on is accepted.

    Without a threshold, a candidate or a probability everything stays, and so does what a reviewer said before.
    """
    if threshold is None or probability is None or reason == REJECTED_BEFORE:
        return verdict, reason
    if verdict == Verdict.SURE and probability < threshold:
        return Verdict.REVIEW, BELOW_THRESHOLD
    if verdict == Verdict.REVIEW and probability >= threshold:
        return Verdict.SURE, ABOVE_THRESHOLD
    return verdict, reason


def _oldest_first(merchant_id: UUID) -> QuerySet[Threshold]:
    """So that of the rows of one key the newest is what a dictionary keeps."""
    return Threshold.objects.filter(merchant=merchant_id).order_by("created_at", "pk")


def _judged(merchant: Merchant) -> Mapping[tuple[str, str], list[Judged]]:
    """The decided items that say something, by bundle and category.

    What the machine accepted is spoken for by its control samples, each for as many as it was drawn from; what it was
    unsure of is decided in full, and speaks for itself. Other decisions were chosen because somebody doubted.
    """
    decisions = (
        standing_decisions(merchants=[merchant.pk], since=timezone.now() - WINDOW)
        .filter(action__in=JUDGED, item__calibrated=True, item__probability__isnull=False)
        .filter(Q(item__control=True) | Q(item__lane=Lane.UNCERTAIN))
        .exclude(item__verdict=Verdict.UNKNOWN)
        .exclude(item__reason=REJECTED_BEFORE)
        .exclude(item__best_product=None)
        .annotate(category=F("item__best_product__category"))
    )
    found: dict[tuple[str, str], list[Judged]] = defaultdict(list)
    share_now = load_env().control_share
    for version, category, probability, control, share, said, best in decisions.values_list(
        "item__bundle_version", "category", "item__probability", "item__control", "item__control_share", "product",
        "item__best_product",
    ):  # fmt: skip
        weight = 1 / (share or share_now or 1.0) if control else 1.0
        found[version, category].append(Judged(probability or 0.0, said == best, weight))
    return found
