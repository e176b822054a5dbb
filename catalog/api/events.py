"""Server-sent events: one job or upload followed until it is finished, on no thread of its own.

Comes after a view let the request in; ``services.listen`` says when to look, the view's ``look`` reads SQL. There is
no log of events: what an event stands for is a place in the ledger, so a stream resumes after any crash, of Redis too.
See docs/decisions/events.md.
"""

import asyncio
import hashlib
import json
import re
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID
from weakref import WeakKeyDictionary, WeakValueDictionary

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import get_language
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder

from catalog.api.authentication import key_of
from catalog.api.lookers import looked
from catalog.models import Item, KeyKind
from catalog.services.listen import Listener, listening
from catalog.services.streams import Share, stream_begin
from catalog.services.visitor import visitor_of
from config.env import load_env

HEADER = "Last-Event-ID"
MEDIA_TYPE = "text/event-stream"
BEAT_SECONDS = 15.0  # the HTML standard's advice for proxies that close what is silent
SPACING_SECONDS = 0.05  # between two looks of one stream: a flood of announcements is one
STREAM_SECONDS = 600.0  # then the client comes again, with a key that must still be good
RETRY_MS = 2_000
ITEMS_AT_ONCE = 50
BEAT = b": still here\n\n"
END = "end"
# OpenAPI 3.1 has no schema for a stream: this is one event, as OpenAPI 3.2 and the tools that test streams take it.
EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "Send it as `Last-Event-ID` to go on after this event."},
        "event": {"type": "string", "description": "What is told."},
        "data": {"type": "string", "contentMediaType": "application/json", "description": "The row, on one line."},
    },
    "required": ["id", "event", "data"],
}

_PLACE = re.compile(r"(?:(\d{1,16})\.([0-9a-f]{32})|0)-([0-9a-f]{12}|0)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Place:
    """How far a client is: the last item that it has, and which progress it was told last. The id of an event."""

    created_at: datetime | None = None
    item_id: UUID | None = None
    progress: str = "0"

    def __str__(self) -> str:
        if self.created_at is None or self.item_id is None:
            return f"0-{self.progress}"
        return f"{(self.created_at - _EPOCH) // timedelta(microseconds=1)}.{self.item_id.hex}-{self.progress}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """The place that an event's id names. One that we did not give is the start: nothing is missed by that."""
        found = _PLACE.fullmatch(text)
        if not found:
            return cls()
        micros, item, progress = found.groups()
        if not micros:
            return cls(progress=progress)
        return cls(_EPOCH + timedelta(microseconds=int(micros)), UUID(item), progress)


@dataclass(frozen=True)
class Seen:
    """What one look found: the row's body, whether it is finished, and the items after the client's place.

    ``more``: there are further items, so that this look says nothing about progress or the end.
    """

    body: dict[str, Any]
    finished: bool
    items: Sequence[tuple[Item, dict[str, Any]]] = ()
    more: bool = False


Look = Callable[[Place], Seen | None]
FreshLook = Callable[[Place], Awaitable[Seen | None]]
Asked: TypeAlias = tuple[str, ...]  # who asks, for what, in which language


class Looks:
    """The looks of one event loop. Streams that ask the same and are equally far share one: when a job with many
    followers comes further, the first one looks, and all others share the next look.
    """

    def __init__(self) -> None:
        self._next: dict[tuple[Asked, Place], asyncio.Task[Seen | None]] = {}  # asked for, but not begun
        self._turns: WeakValueDictionary[tuple[Asked, Place], asyncio.Lock] = WeakValueDictionary()

    async def at(self, look: Look, asked: Asked, place: Place) -> Seen | None:
        """What a look finds that begins from now on, since whoever asks was told of something after the last began.

        A follower that hangs up meanwhile takes the look from nobody else.
        """
        key = (asked, place)
        if key not in self._next:
            self._next[key] = asyncio.create_task(self._begin(look, key))
        return await asyncio.shield(self._next[key])

    async def _begin(self, look: Look, key: tuple[Asked, Place]) -> Seen | None:
        async with self._turns.setdefault(key, asyncio.Lock()):
            del self._next[key]
            return await looked(partial(look, key[1]))


_looks: WeakKeyDictionary[asyncio.AbstractEventLoop, Looks] = WeakKeyDictionary()


def events_parameters() -> list[OpenApiParameter]:
    """The header of a client that comes again."""
    told = "The id of the last event that arrived: the stream goes on after it. Browsers send it by themselves."
    return [OpenApiParameter(HEADER, str, OpenApiParameter.HEADER, description=told)]


def events_responses(told: str) -> dict[Any, Any]:
    """The good answers of a stream in the OpenAPI document."""
    return {
        (200, MEDIA_TYPE): OpenApiResponse(EVENT, told),
        204: OpenApiResponse(description="The client has everything: the last event that it names was the last."),
    }


def event_stream(
    request: Request | HttpRequest, *, topic: str, channel: str, look: Look, every: float = BEAT_SECONDS
) -> HttpResponseBase:
    """The response that follows a row: ``topic`` begins the names of its events, ``look`` reads it from SQL.

    ``look`` runs in another thread than the request, and answers ``None`` when the row is gone. It looks when a change
    is announced, and ``every`` so many seconds anyhow. Raises ``Refused`` (429) where too many streams are open.
    """
    last = request.headers.get(HEADER, "")
    if last == END:
        return HttpResponse(status=204)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the latter: nginx passes it on at once
    if request.method == "HEAD":
        return HttpResponse(content_type=MEDIA_TYPE, headers=headers)
    shares = _shares(request)
    give_back = stream_begin(shares)
    # Whoever asks with the same key, or on the same page in the same language, at the same address is told the same.
    asked = (shares[1].account, request.build_absolute_uri(), get_language() or "")
    stream = _stream(topic, channel, partial(_shared, look, asked), Place.parse(last), every)
    return EventResponse(stream, give_back, headers)


class EventResponse(StreamingHttpResponse):
    """An open stream. Its place is given back when its last byte was sent or could not be sent, when it is closed, or
    when it is forgotten: after a client that hangs up nobody closes the response, and before the first byte nobody has
    begun to read it either.
    """

    def __init__(self, stream: AsyncIterator[bytes], give_back: Callable[[], None], headers: dict[str, str]) -> None:
        super().__init__(stream, content_type=MEDIA_TYPE, headers=headers)
        self._give_back = weakref.finalize(self, give_back)  # at most once

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in super().__aiter__():
                yield part
        finally:
            self._give_back()

    def close(self) -> None:
        """The request is over, however it ended."""
        self._give_back()
        super().close()


def _shares(request: Request | HttpRequest) -> list[Share]:
    """Whose places a stream takes: the process's, the key's, and the visitor's where anybody may ask (by a key that
    lies open in a page, or on our own search page, which has none).
    """
    env = load_env()
    server = Share("server", "server", env.server_streams)
    if not isinstance(request, Request):
        return [server, Share("visitor", f"page:{visitor_of(request)}", env.visitor_streams)]
    key = key_of(request)
    shares = [server, Share("key", f"key:{key.pk}", env.key_streams)]
    if key.kind == KeyKind.PUBLISHABLE:
        visitor = visitor_of(request._request)
        shares.append(Share("visitor", f"key:{key.pk}:{visitor}", env.visitor_streams))
    return shares


async def _stream(topic: str, channel: str, look: FreshLook, place: Place, every: float) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY_MS}\n\n".encode()
    with listening(channel) as listener:
        async with aclosing(_events(topic, listener, look, place, every)) as events:
            async for event in events:
                yield event


async def _events(
    topic: str, listener: Listener, look: FreshLook, place: Place, every: float
) -> AsyncGenerator[bytes, None]:
    sent = started = time.monotonic()
    await listener.hear(SPACING_SECONDS)  # the subscription begins before the first look
    while (now := time.monotonic()) - started < STREAM_SECONDS:
        seen = await look(place)
        if seen is None:
            return
        for item, body in seen.items:
            place = replace(place, created_at=item.created_at, item_id=item.pk)
            yield _event("item.found", place, body)
        if seen.more:
            continue
        if seen.finished:
            yield _event(f"{topic}.finished", END, seen.body)
            return
        told = _digest(seen.body)
        if told != place.progress:
            place, sent = replace(place, progress=told), now
            yield _event(f"{topic}.progress", place, seen.body)
        elif now - sent >= BEAT_SECONDS:
            sent = now
            yield BEAT
        # As long as the look took, at least: when many streams look at once, each sees more in fewer looks.
        await asyncio.sleep(max(SPACING_SECONDS, time.monotonic() - now))
        await listener.hear(every)


async def _shared(look: Look, asked: Asked, place: Place) -> Seen | None:
    return await _looks.setdefault(asyncio.get_running_loop(), Looks()).at(look, asked, place)


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(_json(body).encode()).hexdigest()[:12]


def _event(name: str, place: Place | str, body: dict[str, Any]) -> bytes:
    return f"id: {place}\nevent: {name}\ndata: {_json(body)}\n\n".encode()


def _json(body: dict[str, Any]) -> str:
    """On one line: JSON escapes the line breaks of its texts."""
    return json.dumps(body, cls=JSONEncoder, ensure_ascii=False)
