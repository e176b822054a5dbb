"""Reads of API keys: a merchant's, those that work now, and whether a page may use one.

Read for every API request (``services.key`` finds the key of a token, ``api.authentication`` judges its origin) and by
the API's and the admin's lists.
"""

from django.db.models import Q, QuerySet
from django.utils import timezone

from catalog.models import ApiKey, KeyKind, KeyOrigin, Merchant

ANY_ORIGIN = "*"


def key_list(*, merchant: Merchant) -> QuerySet[ApiKey]:
    """The merchant's keys with their origins, ended ones too."""
    return ApiKey.objects.filter(merchant=merchant).select_related("replaces").prefetch_related("origins")


def keys_alive() -> QuerySet[ApiKey]:
    """The keys of all merchants that work now."""
    now = timezone.now()
    return ApiKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)


def origin_is_open(*, origin: str, key: ApiKey | None = None) -> bool:
    """Whether a page of this origin may use the key; without one, whether it may use any key at all. One query."""
    keys = keys_alive().filter(kind=KeyKind.PUBLISHABLE) if key is None else ApiKey.objects.filter(pk=key.pk)
    return KeyOrigin.objects.filter(origin__in=(origin, ANY_ORIGIN), key__in=keys).exists()
