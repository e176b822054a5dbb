"""The dashboard's panels about reviewing: selectors count, this module turns the numbers into bars and sentences.

Every chart is a table or a list whose rows carry a drawn bar: who cannot see it reads the same numbers.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from catalog.measures import Share
from catalog.models import Merchant
from catalog.selectors.drift import Day, acceptance_drift, pace_of, throughput
from catalog.selectors.quality import (
    CategoryShare,
    acceptance_by_category,
    auto_precision,
    confused_pairs,
    reviewer_quality,
)
from catalog.selectors.queue_figures import lanes_waiting

WINDOW = timedelta(days=28)
DAYS = 14
CATEGORIES_SHOWN = 8


@dataclass(frozen=True)
class Bar:
    """A share as it is drawn, 100 wide: the bar, and the line of its interval."""

    name: str
    share: Share

    @property
    def text(self) -> str:
        """The share with its interval, as a person says it."""
        value = self.share.value
        if value is None:
            return "–"
        low, high = self.share.interval
        return f"{100 * value:.0f} % ({100 * low:.0f} to {100 * high:.0f})"

    @property
    def width(self) -> str:
        """Of the bar."""
        return f"{100 * (self.share.value or 0):.1f}"

    @property
    def low(self) -> str:
        """Where the interval begins."""
        return f"{100 * self.share.interval[0]:.1f}"

    @property
    def spread(self) -> str:
        """How wide the interval is."""
        low, high = self.share.interval
        return f"{100 * (high - low):.1f}"


def quality_panels(*, merchants: QuerySet[Merchant], managed: QuerySet[Merchant]) -> dict[str, Any]:
    """The numbers of these merchants; what people achieve only of those that the person manages. Ten queries or so."""
    now = timezone.now()
    seen, since = list(merchants.values_list("pk", flat=True)), now - WINDOW
    precision = auto_precision(merchants=seen, since=since)
    drift = acceptance_drift(merchants=seen, now=now)
    return {
        "queue": _queue(seen),
        "throughput": _throughput(throughput(merchants=seen, days=DAYS, now=now)),
        "precision": precision,
        "precision_bars": [Bar("All", precision.overall), *_bars(precision.categories)],
        "acceptance": _bars(acceptance_by_category(merchants=seen, since=since)),
        "drift": drift,
        "drift_bars": [Bar("Last 7 days", drift.now), Bar("28 days before", drift.before)],
        "pairs": confused_pairs(merchants=seen, since=since),
        "reviewers": [
            {"row": row, "gold": Bar("", row.gold), "agreement": Bar("", row.agreement)}
            for row in reviewer_quality(merchants=list(managed.values_list("pk", flat=True)), since=since)
        ],
        "window_days": WINDOW.days,
    }


def _queue(merchants: list[UUID]) -> dict[str, Any]:
    """What waits, by lane, as parts of a bar 100 wide."""
    waiting = lanes_waiting(merchants=merchants)
    total, start, lanes = sum(waiting.values()), 0.0, []
    for lane, number in waiting.items():
        width = 100 * number / total if total else 0.0
        lanes.append(
            {
                "lane": lane.value,
                "label": lane.label,
                "number": number,
                "start": f"{start:.2f}",
                "width": f"{width:.2f}",
            }
        )
        start += width
    return {"total": total, "lanes": lanes}


def _throughput(days: list[Day]) -> dict[str, Any]:
    """Columns 20 wide and at most 100 high."""
    most = max((day.decided for day in days), default=0)
    columns = [
        {
            "day": day,
            "x": 20 * at + 3,
            "height": f"{(height := 100 * day.decided / most if most else 0):.1f}",
            "y": f"{100 - height:.1f}",
        }
        for at, day in enumerate(days)
    ]
    decided = sum(day.decided for day in days)
    return {"columns": columns, "most": most, "decided": decided, "an_hour": pace_of(days)}


def _bars(rows: list[CategoryShare]) -> list[Bar]:
    return [Bar(row.category or "No category", row.share) for row in rows[:CATEGORIES_SHOWN]]
