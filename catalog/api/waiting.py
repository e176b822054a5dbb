"""``Prefer: wait=N`` (RFC 7240): hold an answer until a job or an upload is finished, and no database connection."""

import re

from django.db import connection
from rest_framework.request import Request

from catalog.models import UNFINISHED, Job, Upload
from catalog.selectors.job import OWED
from catalog.services.notify import job_wait, upload_wait

WAIT_LIMIT = 30
WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)
APPLIED = "Preference-Applied"


def seconds_asked(request: Request) -> int | None:
    """How long the caller is ready to wait, at most ``WAIT_LIMIT``; ``None`` when nothing was asked."""
    found = WAIT.search(request.headers.get("Prefer", ""))
    return min(int(found[1]), WAIT_LIMIT) if found else None


def wait_for(row: Job | Upload, request: Request) -> dict[str, str]:
    """Wait as asked, read the job or upload again, and return the headers that say so."""
    seconds = seconds_asked(request)
    if seconds is None:
        return {}
    if is_unfinished(row) and seconds:
        if not connection.in_atomic_block:
            connection.close()
        if isinstance(row, Job):
            job_wait(job=row, seconds=seconds)
        else:
            upload_wait(upload=row, seconds=seconds)
    return {APPLIED: f"wait={seconds}"}


def is_unfinished(row: Job | Upload) -> bool:
    """Whether there is anything to wait for."""
    return row.state in (OWED if isinstance(row, Job) else UNFINISHED)
