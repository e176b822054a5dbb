"""Whose fault an error is: turns what was raised anywhere on a photo's way into the ``Fault`` of its outcome.

Used by ``pipeline`` (one item) and ``tasks`` (a message nobody can read); after it comes the result message.
"""

import traceback

from recognition.errors import PhotoError, Unavailable
from workers.contract import Fault

_TRACE_LIMIT = 8_000


def fault_of(error: Exception) -> Fault:
    """PhotoError: the client's. Unavailable: try again. Anything else is a bug of ours and keeps its trace.

    A photo that is not in the store is our bug too: the web kept it there before it owed it to the workers.
    """
    if isinstance(error, PhotoError) and error.code != "photo_missing":
        return Fault(code=error.code, message=error.message, kind="client")
    if isinstance(error, Unavailable):
        return Fault(code=error.code, message=error.message, kind="retry")
    trace = "".join(traceback.format_exception(error))
    return Fault(
        code=error.code if isinstance(error, PhotoError) else "internal_error",
        message=error.message if isinstance(error, PhotoError) else f"{type(error).__name__}: {error}"[:500],
        kind="bug",
        trace=trace[-_TRACE_LIMIT:],
    )
