"""Which scope a view asks of a key: one to read, one to change. Views name a pair, ``authentication`` asks for it."""

from rest_framework.permissions import SAFE_METHODS

from catalog.models import Scope

Scopes = tuple[Scope, Scope]

EVERYTHING: Scopes = (Scope.ALL, Scope.ALL)
PRODUCTS: Scopes = (Scope.PRODUCTS_READ, Scope.PRODUCTS_WRITE)
UPLOADS: Scopes = (Scope.UPLOADS, Scope.UPLOADS)
SEARCHES: Scopes = (Scope.SEARCHES, Scope.SEARCHES)
RECOGNITIONS: Scopes = (Scope.RECOGNITIONS, Scope.RECOGNITIONS)
REVIEWS: Scopes = (Scope.REVIEWS, Scope.REVIEWS)
WEBHOOKS: Scopes = (Scope.WEBHOOKS, Scope.WEBHOOKS)
KEYS: Scopes = (Scope.KEYS, Scope.KEYS)


def scope_needed(view: object, method: str) -> Scope:
    """What a key needs for this method. A view that names no scopes is only for keys that may do everything."""
    reads, changes = getattr(view, "scopes", EVERYTHING)
    return reads if method in SAFE_METHODS else changes
