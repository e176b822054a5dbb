"""Checks that a webhook was sent by Vitrine (Standard Webhooks 1.0), before anything of it is believed."""

from __future__ import annotations

import binascii
import hmac
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha256

from pydantic import ValidationError

from vitrine.errors import SignatureInvalid
from vitrine.models import WebhookEvent

TOLERANCE = 300.0


def verify(secret: str, headers: Mapping[str, str], body: bytes, *, tolerance: float = TOLERANCE) -> WebhookEvent:
    """The event of a request to your endpoint. ``body``: the bytes as they came, before anything parsed them.

    Names of ``headers`` in any case. Raises ``SignatureInvalid`` when the signature is not of this endpoint's
    ``secret`` (``whsec_…``), or was made more than ``tolerance`` seconds from now.
    """
    named = {name.lower(): value for name, value in headers.items()}
    message, sent_at = named.get("webhook-id", ""), named.get("webhook-timestamp", "")
    if not (sent_at.isascii() and sent_at.isdigit()) or abs(time.time() - int(sent_at)) > tolerance:
        raise SignatureInvalid("sent too long ago, or no time named")
    try:
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise SignatureInvalid("the secret is none of an endpoint's") from error
    signed = b".".join((message.encode(), sent_at.encode(), body))
    expected = b"v1," + b64encode(hmac.digest(key, signed, sha256))
    given = named.get("webhook-signature", "").encode().split(b" ")
    if not any(hmac.compare_digest(expected, each) for each in given):
        raise SignatureInvalid("signed with another secret")
    try:
        return WebhookEvent.model_validate_json(body).model_copy(update={"id": message})
    except ValidationError as error:
        raise SignatureInvalid("signed, but no event") from error
