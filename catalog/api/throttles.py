"""How often a publishable key may ask: it lies open in a shop's page, so each visitor's address has its own budget.

Comes after authentication. Secret keys are not throttled: a search costs their merchant, and bulk work is fair anyway.
Counted in Django's cache, which is one a web process unless a shared one is configured.
"""

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from catalog.models import ApiKey, KeyKind


class _Publishable(SimpleRateThrottle):
    """Counts requests of one kind, made with a publishable key, by key and client address."""

    methods: tuple[str, ...]

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        """``None`` leaves a request uncounted."""
        if not isinstance(request.auth, ApiKey) or request.auth.kind != KeyKind.PUBLISHABLE:
            return None
        if request.method not in self.methods:
            return None
        return f"throttle:{self.scope}:{request.auth.pk}:{self.get_ident(request)}"


class SearchThrottle(_Publishable):
    """New searches: each one costs time on the device."""

    scope, rate, methods = "search", "60/min", ("POST",)


class ReadThrottle(_Publishable):
    """Reads: polling is cheap."""

    scope, rate, methods = "read", "600/min", ("GET", "HEAD")
