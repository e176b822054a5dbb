"""Who asks: the API key in ``Authorization: Bearer …``, and whether a view is open to that kind of key.

Comes first in a request's way; afterwards ``request.auth`` is the ``ApiKey`` and its merchant scopes every query.
DRF imports this module while it makes its own views, so nothing here may import those.
"""

from typing import cast

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from catalog.models import ApiKey, KeyKind
from catalog.services.key import api_key_find

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
            raise AuthenticationFailed("The API key is not valid.", code="key_invalid")
        return AnonymousUser(), key

    def authenticate_header(self, request: Request) -> str:
        """What a 401 answers in ``WWW-Authenticate``."""
        return f'{SCHEME} realm="vitrine"'


class HasMerchant(BasePermission):
    """A key is required; a publishable one only reaches what the view lists in ``publishable``."""

    message = "A publishable key may only start and read searches."

    def has_permission(self, request: Request, view: object) -> bool:
        """Whether this key may do this at all; which rows it sees is the view's queryset."""
        if not isinstance(request.auth, ApiKey):
            return False
        return request.auth.kind == KeyKind.SECRET or getattr(view, "action", None) in getattr(view, "publishable", ())
