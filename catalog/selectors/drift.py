"""What changes over time: how fast reviewers decide, and whether the acceptance rate drifts.

Read by the dashboard, and by ``/metrics`` for the whole installation.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from catalog.measures import Share, difference
from catalog.selectors.quality import acceptance, standing_decisions

NOW = timedelta(days=7)
BEFORE = timedelta(days=28)
NOTABLE = 3.0  # standard errors; a week of honest chance goes beyond it once in seven years


@dataclass(frozen=True)
class Drift:
    """The acceptance rate of the last seven days, and of the 28 before.

    ``z``: how many standard errors lie between, below 0 where fewer are accepted now; None without decisions in both.
    """

    now: Share
    before: Share

    @property
    def z(self) -> float | None:
        """The two-proportion z-test."""
        return difference(self.now, self.before)

    @property
    def notable(self) -> bool:
        """Whether that is more than chance."""
        return self.z is not None and abs(self.z) >= NOTABLE


def acceptance_drift(*, merchants: Collection[UUID] | QuerySet | None, now: datetime) -> Drift:
    """Of these merchants, or of all with None. One query."""
    since, then = now - NOW - BEFORE, now - NOW
    decisions = standing_decisions(merchants=merchants, since=since)
    late, early = Q(created_at__gt=then), Q(created_at__lte=then)
    accepted = Q(product=F("item__best_product"))
    row = acceptance(decisions).aggregate(
        now=Count("pk", filter=late),
        now_right=Count("pk", filter=late & accepted),
        before=Count("pk", filter=early),
        before_right=Count("pk", filter=early & accepted),
    )
    return Drift(Share(row["now_right"], row["now"]), Share(row["before_right"], row["before"]))


@dataclass(frozen=True)
class Day:
    """Decisions of one day (UTC); ``timed`` of them took ``seconds`` together, from the photo's showing to the key.

    Not timed: decisions of the API and of an item's own page, and look-alikes that went with another one.
    """

    day: date
    decided: int
    timed: int
    seconds: float

    @property
    def an_hour(self) -> float | None:
        """As ``pace_of``, of this day."""
        return pace_of([self])


def pace_of(days: Iterable[Day]) -> float | None:
    """Decisions for each hour that one person looked at photos; breaks are no part of it. None: none was timed."""
    timed, seconds = 0, 0.0
    for day in days:
        timed += day.timed
        seconds += day.seconds
    return 3600 * timed / seconds if seconds else None


def throughput(*, merchants: Collection[UUID] | QuerySet, days: int, now: datetime) -> list[Day]:
    """The last so many days, today last. One query."""
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=days - 1)
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    rows = standing_decisions(merchants=merchants, since=start).values_list(TruncDate("created_at", tzinfo=UTC))
    counted = {
        day: Day(day, decided, timed, seconds or 0.0)
        for day, decided, timed, seconds in rows.annotate(Count("pk"), Count("seconds"), Sum("seconds"))
    }
    every = [first + timedelta(days=step) for step in range(days)]
    return [counted.get(day, Day(day, 0, 0, 0.0)) for day in every]
