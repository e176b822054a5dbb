"""The language of what visitors see: their own choice (a cookie), else what their browser asks for.

Wraps the views of the search page alone. The API speaks English with stable codes, and the admin its one language, so
Django's middleware, which would switch them too, is not used.
"""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language_from_request, override

from catalog.api.held import Held

View = Callable[..., HttpResponseBase]


def in_their_language(view: View) -> View:
    """The view, speaking the visitor's language. What it answers must be made before it returns."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return _spoken(get_language_from_request(request), partial(view, request, *args, **kwargs))

    return wrapped


def _spoken(language: str, answer: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    try:
        with override(language):
            response = answer()
    except Held as held:
        held.rest = partial(_spoken, language, held.rest)
        raise
    response.headers["Content-Language"] = language
    patch_vary_headers(response, ("Accept-Language", "Cookie"))  # type: ignore[arg-type]  # a stream's headers too
    return response
