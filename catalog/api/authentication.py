"""Who asks: the API key in ``Authorization: Bearer …``, and whether a view is open to that key from that page.

Comes first in a request's way; afterwards ``request.auth`` is the ``ApiKey`` and its merchant scopes every query.
DRF imports this module while it makes its own views, so nothing here may import those.
"""

from typing import cast

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from catalog.api.scopes import scope_needed
from catalog.models import ApiKey, KeyKind
from catalog.selectors.key import origin_is_open
from catalog.services.errors import Refused
from catalog.services.key import api_key_find, key_guess_count
from catalog.services.visitor import visitor_of

SCHEME = "Bearer"


def key_of(request: Request) -> ApiKey:
    """The key of a request that was let in."""
    return cast(ApiKey, request.auth)


class ApiKeyAuthentication(BaseAuthentication):
    """Finds the key of a bearer token. No token is no authentication; a wrong one is refused."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiKey] | None:
        """The key as ``request.auth``; there is no user behind a key."""
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != SCHEME.lower().encode():
            return None
        key = api_key_find(words[1].decode("latin-1")) if len(words) == 2 else None
        if key is None:
            _count_guess(request)
            raise AuthenticationFailed("The API key is not valid.", code="key_invalid")
        return AnonymousUser(), key

    def authenticate_header(self, request: Request) -> str:
        """What a 401 answers in ``WWW-Authenticate``."""
        return f'{SCHEME} realm="vitrine"'


def _count_guess(request: Request) -> None:
    if wait := key_guess_count(visitor=visitor_of(request._request)):
        raise Throttled(wait)


class HasMerchant(BasePermission):
    """A key is required: a secret one with the scope that the view asks for; a publishable one only reaches what the
    view lists in ``publishable``, and only from its own pages.
    """

    message = "A publishable key may only start and read searches."

    def has_permission(self, request: Request, view: object) -> bool:
        """Whether this key may do this at all; which rows it sees is the view's queryset."""
        key = request.auth
        if not isinstance(key, ApiKey):
            return False
        if key.kind == KeyKind.PUBLISHABLE:
            _check_origin(request, key)
            return getattr(view, "action", None) in getattr(view, "publishable", ())
        scope = scope_needed(view, request.method or "")
        if not key.may(scope):
            raise Refused("scope_missing", f"This key lacks the scope `{scope}`.", status=403)
        return True


def _check_origin(request: Request, key: ApiKey) -> None:
    """Browsers name the page's origin whenever it is not this site's own. Who sends none is no page."""
    origin = request.headers.get("Origin", "")
    own = request.build_absolute_uri("/").rstrip("/")
    if origin and origin != own and not origin_is_open(origin=origin, key=key):
        raise Refused("origin_not_allowed", f"This key may not be used by pages of {origin[:100]}.", status=403)
