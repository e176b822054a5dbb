"""The filters of the review queue as they stand in an address; what makes no sense in them is left out."""

from uuid import UUID

from django.http import QueryDict

from catalog.models import Lane, Verdict
from catalog.selectors.queue import QueueFilters

AGES = ((1, "over an hour"), (24, "over a day"), (168, "over a week"))
WHOSE = (("mine", "Assigned to me"), ("free", "Assigned to nobody"))


def filters_of(query: QueryDict) -> QueueFilters:
    """``merchant``, ``category``, ``upload``, ``verdict``, ``lane``, ``older`` (hours) and ``whose``."""
    lane, older = query.get("lane", ""), query.get("older", "")
    verdict, whose = query.get("verdict", ""), query.get("whose", "")
    return QueueFilters(
        merchant=query.get("merchant", "")[:50],
        category=query.get("category", "")[:200],
        upload=_uuid(query.get("upload", "")),
        verdict=verdict if verdict in Verdict.values else "",
        lane=int(lane) if lane in map(str, Lane.values) else None,
        older_hours=int(older) if older in {str(hours) for hours, _ in AGES} else None,
        whose="mine" if whose == "mine" else "free" if whose == "free" else "",
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
