"""API keys: made once, shown once, stored as SHA-256 only; changed, replaced with an overlap, revoked.

Comes before every API request (``api.authentication`` finds the key of a token) and after the API, an admin or the
command line made one. ``by`` is the key that asks, where it is one: it hands out no scope, no later end and no more
requests a minute than it has itself, not even to itself; else whoever has a limited key has one without limits.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from catalog.models import ApiKey, KeyKind, KeyOrigin, KeyState, Merchant, Scope
from catalog.selectors.key import ANY_ORIGIN, keys_alive
from catalog.services.budget import Budget, budgets_spend
from catalog.services.errors import Refused
from config.env import load_env

PREFIXES = {KeyKind.SECRET: "vit_sk_", KeyKind.PUBLISHABLE: "vit_pk_"}
RANDOM_BYTES = 32
USED_EVERY = timedelta(minutes=1)
OVERLAP = timedelta(days=1)
OVERLAP_LIMIT = timedelta(days=7)
ORIGINS_LIMIT = 50
ORIGIN_LENGTH = 255
PUBLISHABLE_SCOPES = (Scope.SEARCHES,)
PRESETS: dict[str, tuple[Scope, ...]] = {
    "full": (Scope.ALL,),
    "catalogue": (Scope.PRODUCTS_WRITE, Scope.UPLOADS),
    "search": (Scope.SEARCHES, Scope.RECOGNITIONS),
    "review": (Scope.PRODUCTS_READ, Scope.RECOGNITIONS, Scope.REVIEWS),
}

_ORIGIN = re.compile(r"(https?)://((?:[a-z0-9-]+\.)*[a-z0-9-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?/?", re.IGNORECASE)
_USUAL_PORTS = {("http", "80"), ("https", "443")}


def api_key_create(
    *,
    merchant: Merchant,
    name: str,
    kind: str = KeyKind.SECRET,
    scopes: Iterable[str] = PRESETS["full"],
    origins: Sequence[str] = (),
    expires_at: datetime | None = None,
    rate_limit: int | None = None,
    by: ApiKey | None = None,
) -> tuple[ApiKey, str]:
    """Make a key. The token is returned here and never again: only its digest is stored.

    A publishable key may only search, whatever ``scopes`` says. ``rate_limit``: requests a minute. Raises ``Refused``:
    scopes_missing, scope_exceeded, expiry_exceeded and rate_exceeded (403), origins_missing, origins_not_taken,
    origins_too_many, origin_invalid, expiry_passed.
    """
    asked = _ordered(scopes if kind == KeyKind.SECRET else PUBLISHABLE_SCOPES)
    _check_scopes(asked, by)
    pages = _checked_origins(kind, origins)
    _check_expiry(expires_at, by)
    _check_rate(rate_limit, by)
    return _insert(
        pages, merchant=merchant, name=name, kind=kind, scopes=asked, expires_at=expires_at, rate_limit=rate_limit
    )


@transaction.atomic
def api_key_update(*, key: ApiKey, values: Mapping[str, Any], by: ApiKey | None = None) -> ApiKey:
    """Change name, scopes, origins, expires_at or rate_limit; what is left out stays.

    Raises ``Refused`` as ``api_key_create``, key_ended (409), and scopes_fixed for those of a publishable key. More
    than its name changes only by a key that could hand out its scopes: what it may do would be given for longer, to
    more pages, or more often.
    """
    held = _held(key)
    if "scopes" in values:
        if held.kind == KeyKind.PUBLISHABLE:
            raise Refused("scopes_fixed", "A publishable key may only search.")
        held.scopes = _ordered(values["scopes"])
    if values.keys() - {"name"}:
        _check_scopes(held.scopes, by)
    if "origins" in values:
        pages = _checked_origins(held.kind, values["origins"])
        held.origins.all().delete()
        _insert_origins(held, pages)
    if "expires_at" in values:
        _check_expiry(values["expires_at"], by)
        held.expires_at = values["expires_at"]
    if "rate_limit" in values:
        _check_rate(values["rate_limit"], by)
        held.rate_limit = values["rate_limit"]
    held.name = values.get("name", held.name)
    held.save(update_fields=["name", "scopes", "rate_limit", "expires_at"])
    return held


@transaction.atomic
def api_key_rotate(*, key: ApiKey, overlap: timedelta = OVERLAP, by: ApiKey | None = None) -> tuple[ApiKey, str]:
    """Make a new key that may do the same; the old one goes on for ``overlap``, a week at most, then it expires.

    A key that was made for some time is followed by one for as long a time; where it replaces itself, by one that ends
    when it would have, or its life would have no end. Raises ``Refused``: key_ended and key_replaced (409),
    scope_exceeded, expiry_exceeded and rate_exceeded (403).
    """
    held = _held(key)
    if held.replaced_by_id:
        raise Refused("key_replaced", "This key was replaced already: rotate the one that replaced it.", status=409)
    now = timezone.now()
    expires_at = held.expires_at and now + (held.expires_at - held.created_at)
    if by and by.pk == held.pk:
        expires_at = held.expires_at
    _check_scopes(held.scopes, by)
    _check_expiry(expires_at, by)
    _check_rate(held.rate_limit, by)
    new, token = _insert(
        [each.origin for each in held.origins.all()],
        merchant=held.merchant,
        name=held.name,
        kind=held.kind,
        scopes=held.scopes,
        expires_at=expires_at,
        rate_limit=held.rate_limit,
    )
    end = now + min(overlap, OVERLAP_LIMIT)
    held.expires_at = min(held.expires_at or end, end)
    held.replaced_by = new
    held.save(update_fields=["expires_at", "replaced_by"])
    return new, token


def api_key_revoke(*, key: ApiKey) -> ApiKey:
    """End a key at once. Revoking it twice keeps the first time."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
    key.refresh_from_db(fields=["revoked_at"])
    return key


def api_key_find(token: str) -> ApiKey | None:
    """The key with this token, with its merchant, unless it ended. Notes its use at most once a minute."""
    digest = _digest(token)
    key = keys_alive().select_related("merchant").filter(digest=digest).first()
    # The index is searched for a hash, which a guesser cannot steer; what is compared here takes the same time always.
    if key is None or not hmac.compare_digest(key.digest, digest):
        return None
    _note_use(key)
    return key


def key_guess_count(*, visitor: str) -> int:
    """A visitor may be wrong so often a minute; the seconds until the next try, 0 while there are some left.

    Keys that are good are not counted, whoever else is wrong.
    """
    return budgets_spend([Budget("guesses", f"vitrine:budget:{{guesses}}:{visitor}", load_env().visitor_guesses)]).wait


def origin_cleaned(text: str) -> str:
    """An origin as browsers send it (``https://shop.example``), or ``*``. Raises ``Refused("origin_invalid")``."""
    if text == ANY_ORIGIN:
        return text
    found = _ORIGIN.fullmatch(text)
    if found is None or len(text) > ORIGIN_LENGTH:
        raise Refused("origin_invalid", f"{text[:100]!r} is no origin: write it like https://shop.example, or *.")
    scheme, host, port = found[1].lower(), found[2].lower(), found[3]
    return f"{scheme}://{host}" if not port or (scheme, port) in _USUAL_PORTS else f"{scheme}://{host}:{int(port)}"


def _insert(origins: Iterable[str], **fields: Any) -> tuple[ApiKey, str]:
    token = PREFIXES[KeyKind(fields["kind"])] + secrets.token_urlsafe(RANDOM_BYTES)
    with transaction.atomic():
        key = ApiKey.objects.create(hint=f"{token[:10]}…{token[-4:]}", digest=_digest(token), **fields)
        _insert_origins(key, origins)
    return key, token


def _insert_origins(key: ApiKey, origins: Iterable[str]) -> None:
    KeyOrigin.objects.bulk_create(KeyOrigin(key=key, origin=origin) for origin in origins)


def _held(key: ApiKey) -> ApiKey:
    """The key's row, locked: of two rotations at the same moment one is refused."""
    held = ApiKey.objects.select_for_update(of=("self",)).select_related("merchant").get(pk=key.pk)
    if held.state in (KeyState.EXPIRED, KeyState.REVOKED):
        raise Refused("key_ended", "This key has ended: make a new one.", status=409)
    return held


def _ordered(scopes: Iterable[str]) -> list[str]:
    asked = set(scopes)
    return [scope.value for scope in Scope if scope in asked]


def _check_scopes(scopes: Sequence[str], by: ApiKey | None) -> None:
    if not scopes:
        raise Refused("scopes_missing", "Say what the key may do: `scopes`, or a `preset`.")
    if by and (more := [scope for scope in scopes if not by.may(scope)]):
        named = ", ".join(f"`{scope}`" for scope in more)
        raise Refused("scope_exceeded", f"Your own key has no {named}: it cannot hand that out.", status=403)


def _checked_origins(kind: str, origins: Sequence[str]) -> list[str]:
    if kind == KeyKind.SECRET and origins:
        raise Refused("origins_not_taken", "A secret key belongs on a server: only publishable keys have origins.")
    if kind == KeyKind.PUBLISHABLE and not origins:
        raise Refused("origins_missing", "Name the origins of the pages that will use the key, or * for any.")
    if len(origins) > ORIGINS_LIMIT:
        raise Refused("origins_too_many", f"A key has at most {ORIGINS_LIMIT} origins.")
    return list(dict.fromkeys(map(origin_cleaned, origins)))


def _check_expiry(expires_at: datetime | None, by: ApiKey | None) -> None:
    if expires_at and expires_at <= timezone.now():
        raise Refused("expiry_passed", "This expiry date has passed.")
    if by and by.expires_at and (expires_at is None or expires_at > by.expires_at):
        end = by.expires_at.isoformat(timespec="seconds")
        raise Refused("expiry_exceeded", f"Your own key ends at {end}: it cannot hand out more time.", status=403)


def _check_rate(rate_limit: int | None, by: ApiKey | None) -> None:
    """A key without a limit of its own has the installation's: what operators set is not for merchants to raise."""
    usual = load_env().key_requests
    if by and (rate_limit or usual) > (most := by.rate_limit or usual):
        told = f"Your own key has {most} requests a minute: it cannot hand out more."
        raise Refused("rate_exceeded", told, status=403)


def _note_use(key: ApiKey) -> None:
    """At most one write a minute. Where several requests find the minute over, the first locks the row and writes;
    the others skip it and do not wait.
    """
    now = timezone.now()
    if key.last_used_at and now - key.last_used_at < USED_EVERY:
        return
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - USED_EVERY)
    with transaction.atomic():
        free = ApiKey.objects.select_for_update(skip_locked=True, no_key=True).filter(stale, pk=key.pk)
        if free.values_list("pk").first():
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
