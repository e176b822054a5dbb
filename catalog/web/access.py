"""Who may search where, and which browser may see which search.

A search's address carries the job's id signed for the browser that asked: the browser's random name lies in its
session, so an address that leaks opens nothing elsewhere, and no session is written after the first search.
"""

import secrets
from uuid import UUID

from django.core.signing import BadSignature, TimestampSigner
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from catalog.models import Job, JobKind, Merchant
from catalog.selectors.job import is_kept

BROWSER = "search_browser"
ADDRESS_SECONDS = 24 * 3600


def merchants_searchable(request: HttpRequest) -> QuerySet[Merchant]:
    """Public catalogues, and those of the person who is logged in."""
    if request.user.is_superuser:
        return Merchant.objects.all()
    mine = Q(memberships__user=request.user) if request.user.is_authenticated else Q()
    return Merchant.objects.filter(Q(public_search=True) | mine).distinct()


def job_token(request: HttpRequest, job: Job) -> str:
    """The job's id, signed for this browser."""
    if BROWSER not in request.session:
        request.session[BROWSER] = secrets.token_urlsafe(16)
    return _signer(request.session[BROWSER]).sign(str(job.pk))


def job_of_token(request: HttpRequest, token: str) -> Job | None:
    """The search that this browser asked for, or nothing: never another browser's, never one of
    days ago or one whose results are not kept any more."""
    browser = request.session.get(BROWSER)
    if not browser:
        return None
    try:
        ident = UUID(_signer(browser).unsign(token, max_age=ADDRESS_SECONDS))
    except (BadSignature, ValueError):
        return None
    job = Job.objects.filter(pk=ident, kind=JobKind.SEARCH).select_related("merchant").first()
    return job if job and is_kept(job=job) else None


def _signer(browser: str) -> TimestampSigner:
    return TimestampSigner(salt=f"vitrine.search.{browser}")
