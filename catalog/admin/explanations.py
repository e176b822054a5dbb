"""The panel "why this product?": asked for when a person opens it, so no page of the admin waits for a worker.

Called by the pages of items and of searches, with what to explain; the answer is a fragment that htmx puts into the
page. While a worker is still at it the fragment asks again by itself, until the question's deadline; what is in the way
is said in a sentence.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from catalog.selectors.explanation import Comparison
from catalog.services.errors import Refused
from catalog.services.explanation import explanation_find
from catalog.web.explained import explained
from workers.client import PhotoError, Unavailable

WAIT_SECONDS = 4.0  # how long one request is held open; the fragment of a longer one asks again
AWAY = {
    "worker_unavailable": "No worker is running, so nobody can look at the photos now.",
    "deadline_passed": "No worker answered in time.",
    "broker_unavailable": "Redis is away, so no worker can be asked.",
    "storage_unavailable": "The photo storage is away.",
}


def explanation_panel(request: HttpRequest, compare: Callable[[], Comparison]) -> HttpResponse:
    """The fragment for one hit; ``compare`` says which, and may refuse."""
    context: dict[str, Any] = {"again": request.get_full_path()}
    try:
        comparison = compare()
        found = explanation_find(comparison=comparison, seconds=WAIT_SECONDS)
        context |= {"comparison": comparison, "why": explained(comparison, found) if found else None}
    except (Refused, PhotoError) as error:
        context |= {"trouble": error.message, "code": error.code}
    except Unavailable as error:
        context |= {
            "trouble": AWAY.get(error.code, "A part of Vitrine is away."),
            "code": error.code,
            "may_retry": True,
        }
    return render(request, "admin/catalog/parts/explanation.html", context)
