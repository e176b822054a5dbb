"""How every process logs: one readable line a record, or one JSON object (``VITRINE_LOG_FORMAT``), with its ids.

Used by web, coordinator and workers alike, so that one search can be followed through all of them: whoever unpacks a
request or a message says ``with told(job=…, request=…)``, and every line that is logged inside carries these ids.
Imports nothing of the project.
"""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

QUIET = ("celery.worker.strategy", "celery.app.trace", "kombu", "botocore", "aiobotocore", "httpx", "httpcore")
TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"

_ids: ContextVar[dict[str, str]] = ContextVar("ids", default={})  # noqa: B039 - never changed, only replaced


@contextmanager
def told(**ids: object) -> Iterator[None]:
    """Add these ids to every line that is logged inside; empty ones are left out."""
    token = _ids.set(_ids.get() | {name: str(value) for name, value in ids.items() if value})
    try:
        yield
    finally:
        _ids.reset(token)


def told_id(name: str) -> str:
    """One of the ids that hold here; empty where there is none of this name."""
    return _ids.get().get(name, "")


class TextLine(logging.Formatter):
    """A record as a line for people, its ids at the end."""

    def __init__(self) -> None:
        super().__init__(TEXT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging calls
        """The line, before a trace."""
        return " ".join([super().formatMessage(record), *(f"{name}={value}" for name, value in _ids.get().items())])


class JsonLine(logging.Formatter):
    """A record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Time (UTC), level, logger, message, the ids, and the trace where there is one."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_ids.get(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def formatter(style: str) -> logging.Formatter:
    """The formatter of a ``VITRINE_LOG_FORMAT``."""
    return JsonLine() if style == "json" else TextLine()


def set_up_logging(style: str) -> None:
    """Log to stderr from INFO on; libraries that say much say only warnings. For processes without Django."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(style))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
