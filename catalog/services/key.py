"""API keys: made once, shown once, stored as SHA-256 only.

Comes before every API request (``api.authentication`` finds the key of a token) and after an admin or the command line
made one.
"""

import hashlib
import secrets
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from catalog.models import ApiKey, KeyKind, Merchant

PREFIXES = {KeyKind.SECRET: "vit_sk_", KeyKind.PUBLISHABLE: "vit_pk_"}
RANDOM_BYTES = 32
USED_EVERY = timedelta(minutes=1)


def api_key_create(*, merchant: Merchant, name: str, kind: str = KeyKind.SECRET) -> tuple[ApiKey, str]:
    """Make a key. The token is returned here and never again: only its digest is stored."""
    token = PREFIXES[KeyKind(kind)] + secrets.token_urlsafe(RANDOM_BYTES)
    key = ApiKey.objects.create(
        merchant=merchant, name=name, kind=kind, hint=f"{token[:10]}…{token[-4:]}", digest=_digest(token)
    )
    return key, token


def api_key_revoke(*, key: ApiKey) -> ApiKey:
    """End a key at once. Revoking it twice keeps the first time."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
    key.refresh_from_db(fields=["revoked_at"])
    return key


def api_key_find(token: str) -> ApiKey | None:
    """The key with this token, with its merchant, unless it is revoked. Notes its use at most once a minute."""
    key = ApiKey.objects.select_related("merchant").filter(digest=_digest(token), revoked_at=None).first()
    if key is not None:
        _note_use(key)
    return key


def _note_use(key: ApiKey) -> None:
    now = timezone.now()
    if key.last_used_at and now - key.last_used_at < USED_EVERY:
        return
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - USED_EVERY)
    ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
