"""The script that a shop's page loads to search by photo: one small file at an address that stays, ``/widget/v1.js``.

It draws a button and loads the rest when that is used: static modules, in production under names made from their
content, so they are cached for ever and always fit the script that names them. Comes before the public API, which the
modules call with the shop's publishable key. See docs/widget.md.
"""

from hashlib import sha256
from typing import cast

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

CACHED = "public, max-age=3600, stale-while-revalidate=604800"  # an hour, then renewed beside the page


@require_safe
def loader(request: HttpRequest) -> HttpResponse:
    """Version 1 of the script. What a page may set and hear does not change; a breaking change gets a new address."""
    body = render_to_string("widget/v1.js").encode()
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    response = HttpResponse(body, content_type="text/javascript; charset=utf-8")
    return cast(HttpResponse, get_conditional_response(request, etag=etag, response=_cached(response, etag)))


def _cached(response: HttpResponse, etag: str) -> HttpResponse:
    response.headers["Cache-Control"] = CACHED
    response.headers["ETag"] = etag
    response.headers["Access-Control-Allow-Origin"] = "*"  # for pages that load it with `crossorigin`
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
