"""Secrets and signatures as Standard Webhooks 1.0 has them (https://www.standardwebhooks.com), scheme ``v1``.

Comes last before a delivery is sent. A receiver verifies with the code in docs/webhooks.md, or with any library of that
specification.
"""

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256

PREFIX = "whsec_"
SECRET_BYTES = 32  # the specification asks for 24 to 64


def secret_new() -> str:
    """A secret of its own for one endpoint."""
    return PREFIX + b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def signed_headers(*, keys: Iterable[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of one sending at ``timestamp`` (Unix seconds), with one signature for each secret."""
    content = b".".join((message_id.encode("ascii"), str(timestamp).encode("ascii"), body))
    signatures = [f"v1,{_sign(key, content)}" for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def _sign(secret: str, content: bytes) -> str:
    key = b64decode(secret.removeprefix(PREFIX))
    return b64encode(hmac.digest(key, content, sha256)).decode("ascii")
