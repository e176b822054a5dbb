"""How many event streams are open in this web process: no more than it can bear, and no caller takes them all.

Asked by ``api.events`` before a stream begins. Each open stream costs a socket and its share of the looks at SQL, both
of this very process; so the process counts for itself, and nothing is left behind in Redis by one that was killed.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock

from catalog.services.errors import Refused

FULL = "streams_too_many"

_open: Counter[str] = Counter()
_ended: deque[Sequence[str]] = deque()  # appended to without the lock: a finalizer may run while this thread holds it
_lock = Lock()


@dataclass(frozen=True)
class Share:
    """At most ``limit`` streams at once for ``account``; ``name`` is whose they are, for people."""

    name: str
    account: str
    limit: int


def stream_begin(shares: Sequence[Share]) -> Callable[[], None]:
    """Take a place in every share, and return what gives them back: call it once, when the stream is over.

    Raises ``Refused`` (429, ``streams_too_many``) and takes none where one share is full.
    """
    accounts = [each.account for each in shares]
    with _lock:
        while _ended:
            _subtract(_ended.popleft())
        for each in shares:
            if _open[each.account] >= each.limit:
                raise Refused(FULL, f"{each.limit} event streams are open for this {each.name} already.", status=429)
        _open.update(accounts)
    return partial(_ended.append, accounts)


def _subtract(accounts: Sequence[str]) -> None:
    """Count one less of each; an account with none is forgotten."""
    _open.subtract(accounts)
    for account in accounts:
        if not _open[account]:
            del _open[account]
