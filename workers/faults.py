"""Whose fault an error is: turns what was raised anywhere on a photo's way into the ``Fault`` of its outcome.

Used by ``pipeline`` (one item) and ``tasks`` (a message nobody can read); after it comes the result message.
"""

import traceback

from recognition.errors import PhotoError, Unavailable
from workers.contract import Fault

_TRACE_LIMIT = 8_000


def fault_of(error: Exception) -> Fault:
    """PhotoError: the client's. Unavailable: try again. Anything else is a bug of ours and keeps its trace."""
    if isinstance(error, PhotoError):
        return Fault(code=error.code, message=error.message, kind="client")
    if isinstance(error, Unavailable):
        return Fault(code=error.code, message=error.message, kind="retry")
    trace = "".join(traceback.format_exception(error))
    return Fault(
        code="internal_error",
        message=f"{type(error).__name__}: {error}"[:500],
        kind="bug",
        trace=trace[-_TRACE_LIMIT:],
    )
