"""How much of a request's body is taken in at all, judged before anything of it is read.

Comes first in a request's way, around Django's ASGI application, which writes a whole body to the disk before it asks
who sent it. Strangers may send as much as one photo as JSON, and so they may with the key of a shop's page, which
anybody can read there, and besides that the photos of a search's examples. A secret key that is good, or a session that
is somebody's, may send as much as an upload may hold. Views have narrower limits of their own.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import SimpleCookie
from importlib import import_module
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY

from catalog.api.shapes.examples import PHOTOS_LIMIT
from catalog.models import KeyKind
from catalog.services.key import api_key_find, key_guess_count
from catalog.services.visitor import visitor_at
from config.env import load_env

FORM = 1_000_000  # bytes round what is sent
TOO_LARGE = "The body is larger than what may be sent here."

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyLimit:
    """Answers 413 to a request that says, or turns out, to be larger than its sender may send."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        limit, is_guess = _stranger(), False
        length = headers.get("content-length", "")
        declared = int(length) if length.isdecimal() and len(length) < 20 else 0
        if declared > limit or "transfer-encoding" in headers:
            limit, is_guess = await sync_to_async(_allowed)(headers)
        if declared > limit:
            await _refuse(scope, headers, send, is_guess=is_guess)
            return
        counted = _Counted(receive, limit)
        await self._application(scope, counted, send)
        if counted.is_over:
            await _refuse(scope, headers, send, is_guess=is_guess)


class _Counted:
    """Reads on until the limit; past it the caller is as good as gone."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self.is_over = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        self.is_over = self._left < 0
        return {"type": "http.disconnect"} if self.is_over else message


def _stranger() -> int:
    return load_env().photo_max_bytes * 4 // 3 + FORM


def _allowed(headers: dict[str, str]) -> tuple[int, bool]:
    """How many bytes whoever shows this key or session may send, and whether the key is a wrong one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    cookie = SimpleCookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME)
    if scheme.lower() == "bearer":
        key = api_key_find(token.strip())
        if key is None:
            return _stranger(), True
        if key.kind == KeyKind.PUBLISHABLE:
            return _stranger() + PHOTOS_LIMIT * load_env().photo_max_bytes, False
        return load_env().upload_max_bytes + FORM, False
    store = import_module(settings.SESSION_ENGINE).SessionStore
    is_known = cookie is not None and SESSION_KEY in store(cookie.value).load()
    return load_env().upload_max_bytes + FORM if is_known else _stranger(), False


async def _refuse(scope: Scope, headers: dict[str, str], send: Send, *, is_guess: bool) -> None:
    """Nobody behind this looks at the key, so a wrong one is counted here."""
    if is_guess:
        peer, _ = scope.get("client") or ("", 0)
        visitor = visitor_at(peer, headers.get("x-forwarded-for", ""))
        await sync_to_async(key_guess_count)(visitor=visitor)
    body = {"type": "/api/errors#body_too_large", "title": "Body too large", "status": 413, "detail": TOO_LARGE,
            "code": "body_too_large", "errors": [], "request_id": ""}  # fmt: skip
    is_api = scope["path"].startswith("/api/")
    kind = b"application/problem+json" if is_api else b"text/plain"
    head = [(b"content-type", kind), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": head})
    await send({"type": "http.response.body", "body": json.dumps(body).encode() if is_api else TOO_LARGE.encode()})
