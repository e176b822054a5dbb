"""What the coordinator counts while it works: how long searches took, and how photos failed.

Counted by ``result`` in the process that stores results; told to everybody with the coordinator's beat, and answered by
the web's ``/metrics`` (``catalog.api.metrics``) beside what is counted in SQL.
"""

from datetime import datetime

from prometheus_client import Counter, Histogram

BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30)

_SEARCH_SECONDS = Histogram(
    "vitrine_search_seconds", "Seconds from a search's request to its stored answer.", ["state"], buckets=BUCKETS
)
_FAULTS = Counter(
    "vitrine_photo_faults_total", "Faults that workers met, by code; one that passes is tried again.", ["code"]
)


def search_counted(*, state: str, asked: datetime, answered: datetime) -> None:
    """One search was answered."""
    _SEARCH_SECONDS.labels(state).observe((answered - asked).total_seconds())


def fault_counted(*, code: str) -> None:
    """One photo came back with a fault."""
    _FAULTS.labels(code).inc()
