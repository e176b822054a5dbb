"""``Prefer: wait=N`` (RFC 7240): hold an answer until a job is finished, without holding the database meanwhile."""

import re

from django.db import connection
from rest_framework.request import Request

from catalog.models import Job
from catalog.selectors.job import OWED
from catalog.services.notify import job_wait

WAIT_LIMIT = 30
WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)
APPLIED = "Preference-Applied"


def seconds_asked(request: Request) -> int | None:
    """How long the caller is ready to wait, at most ``WAIT_LIMIT``; ``None`` when nothing was asked."""
    found = WAIT.search(request.headers.get("Prefer", ""))
    return min(int(found[1]), WAIT_LIMIT) if found else None


def wait_for(job: Job, request: Request) -> dict[str, str]:
    """Wait as asked, read the job again, and return the headers that say so."""
    seconds = seconds_asked(request)
    if seconds is None:
        return {}
    if job.state in OWED and seconds:
        if not connection.in_atomic_block:
            connection.close()
        job_wait(job_id=job.pk, seconds=seconds)
        job.refresh_from_db()
    return {APPLIED: f"wait={seconds}"}
