"""How good the machine and the reviewers are, from decisions and opinions: shares with their intervals.

Read by the dashboard, by ``services.thresholds`` and by ``services.items``. A decision that was undone never counts.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Count, F, Q, QuerySet

from catalog.measures import Share
from catalog.models import UNDECIDED, Decision, DecisionAction, Item, Lane, Opinion, OpinionKind

JUDGED = (DecisionAction.ACCEPT, DecisionAction.CORRECT, DecisionAction.REJECT, DecisionAction.NEW_PRODUCT)
PAIRS_SHOWN = 6
TIMED = 20_000  # of the newest decisions; more change no median


def standing_decisions(*, merchants: Collection[UUID] | QuerySet | None, since: datetime) -> QuerySet[Decision]:
    """The decisions of these merchants, or of all with None, that nobody undid."""
    decisions = Decision.objects.filter(created_at__gt=since, undone_by=None).exclude(action=DecisionAction.UNDO)
    return (decisions if merchants is None else decisions.filter(item__merchant__in=merchants)).order_by()


@dataclass(frozen=True)
class CategoryShare:
    """A share within one category of the product that the machine named; ``category`` "" has none."""

    category: str
    share: Share


@dataclass(frozen=True)
class Precision:
    """How often the machine was right where it accepted by itself, from the control samples that were decided.

    ``waiting``: samples that nobody decided on yet. ``left_out``: of which nobody could tell, or that were split.
    """

    overall: Share
    categories: list[CategoryShare]
    waiting: int
    left_out: int


def auto_precision(*, merchants: Collection[UUID] | QuerySet, since: datetime) -> Precision:
    """Measured over samples decided since then. Two queries."""
    samples = standing_decisions(merchants=merchants, since=since).filter(item__control=True)
    confirmed = Q(product=F("item__best_product"))
    judged = Q(action__in=JUDGED)
    rows = samples.values(category=F("item__best_product__category")).annotate(
        total=Count("pk", filter=judged), right=Count("pk", filter=judged & confirmed), every=Count("pk")
    )
    counted = list(rows)
    waiting = Item.objects.filter(merchant__in=merchants, control=True, state__in=UNDECIDED).count()
    return Precision(
        overall=Share(sum(row["right"] for row in counted), sum(row["total"] for row in counted)),
        categories=_by_size((row["category"], row["right"], row["total"]) for row in counted),
        waiting=waiting,
        left_out=sum(row["every"] - row["total"] for row in counted),
    )


def acceptance_by_category(*, merchants: Collection[UUID] | QuerySet, since: datetime) -> list[CategoryShare]:
    """How often reviewers accepted the first guess where the machine was unsure; the largest first. One query."""
    rows = (
        acceptance(standing_decisions(merchants=merchants, since=since))
        .values(category=F("item__best_product__category"))
        .annotate(total=Count("pk"), right=Count("pk", filter=Q(product=F("item__best_product"))))
    )
    return _by_size((row["category"], row["right"], row["total"]) for row in rows)


def acceptance(decisions: QuerySet[Decision]) -> QuerySet[Decision]:
    """Of decisions those of which the acceptance rate is the share: judged, and the machine had a guess and doubted."""
    return decisions.filter(action__in=JUDGED, item__best_product__isnull=False, item__lane=Lane.UNCERTAIN)


def _by_size(rows: Iterable[tuple[str | None, int, int]]) -> list[CategoryShare]:
    found = [CategoryShare(category or "", Share(right, total)) for category, right, total in rows if total]
    return sorted(found, key=lambda each: (-each.share.total, each.category))


@dataclass(frozen=True)
class ConfusedPair:
    """The machine said ``guess``, reviewers said ``truth``, so often."""

    guess: UUID
    guess_title: str
    truth: UUID
    truth_title: str
    times: int


def confused_pairs(*, merchants: Collection[UUID] | QuerySet, since: datetime) -> list[ConfusedPair]:
    """The pairs of products most often taken for each other in this direction. One query."""
    corrected = standing_decisions(merchants=merchants, since=since).filter(
        action=DecisionAction.CORRECT, product__isnull=False, item__best_product__isnull=False
    )
    rows = (
        corrected.exclude(product=F("item__best_product"))
        .values_list("item__best_product", "item__best_product__title", "product", "product__title")
        .annotate(times=Count("pk"))
        .order_by("-times", "item__best_product__title", "product__title")
    )
    return [ConfusedPair(*row) for row in rows[:PAIRS_SHOWN]]


@dataclass(frozen=True)
class ReviewerQuality:
    """One person: decisions that stand, median seconds of one, gold items right, agreement with others."""

    name: str
    decided: int
    seconds: float | None
    gold: Share
    agreement: Share


def reviewer_quality(*, merchants: Collection[UUID] | QuerySet, since: datetime) -> list[ReviewerQuality]:
    """The people who decided or gave an opinion, the busiest first. Three queries.

    A second opinion counts for both: who gave it, and whose decision it is about.
    """
    seconds: dict[int, list[float]] = defaultdict(list)
    decisions = standing_decisions(merchants=merchants, since=since).exclude(reviewer=None)
    decided = dict(decisions.values_list("reviewer").annotate(Count("pk")))
    timed = decisions.exclude(seconds=None).order_by("-created_at").values_list("reviewer", "seconds")
    for reviewer, took in timed[:TIMED]:
        seconds[reviewer].append(took or 0.0)
    gold, agreed = _opinions(merchants, since)
    people = dict(User.objects.filter(pk__in={*decided, *gold, *agreed}).values_list("pk", "username"))
    rows = [
        ReviewerQuality(
            name=name,
            decided=decided.get(person, 0),
            seconds=median(seconds[person]) if seconds[person] else None,
            gold=_share(gold[person]),
            agreement=_share(agreed[person]),
        )
        for person, name in people.items()
    ]
    return sorted(rows, key=lambda row: (-row.decided, row.name))


def opinions_given(*, merchants: Collection[UUID] | QuerySet) -> QuerySet[Opinion]:
    """Answers, compared with decisions that stand."""
    return Opinion.objects.filter(item__merchant__in=merchants, about__undone_by=None).exclude(action="")


Answers = dict[int, Counter[bool]]


def _opinions(merchants: Collection[UUID] | QuerySet, since: datetime) -> tuple[Answers, Answers]:
    """Right and wrong answers to gold items, and agreement, of each person."""
    gold: Answers = defaultdict(Counter)
    agreed: Answers = defaultdict(Counter)
    rows = opinions_given(merchants=merchants).filter(created_at__gt=since).order_by()
    counted = rows.values_list("kind", "reviewer", "about__reviewer", "agrees").annotate(times=Count("pk"))
    for kind, reviewer, other, agrees, times in counted:
        if kind == OpinionKind.GOLD:
            gold[reviewer][bool(agrees)] += times
            continue
        for person in filter(None, {reviewer, other}):
            agreed[person][bool(agrees)] += times
    return gold, agreed


def _share(answers: Counter[bool]) -> Share:
    return Share(answers[True], answers.total())
