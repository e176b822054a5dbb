"""Wraps a POST: the same ``Idempotency-Key`` and body get the first answer again instead of a second action.

Comes between authentication and the view's own handler, see ``base.ApiView.initial``. Only an answer that changed
something is kept: a refused request leaves no record and may be sent again. One that crashed, or whose process died,
may have made something before: sent again, it is told the id of that (``made_by``) and goes on from there. What may be
shown once only (a new key's secret) is not kept: a replay says ``null`` there.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError, connection
from django.http import Http404
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from catalog.api.authentication import key_of
from catalog.api.held import Held
from catalog.api.waiting import seconds_asked
from catalog.models import IdempotencyRecord, KeyKind
from catalog.services.errors import Refused
from catalog.services.idempotency import (
    IN_PROGRESS,
    idempotency_begin,
    idempotency_drop,
    idempotency_finish,
    idempotency_release,
    idempotency_renew,
)
from workers.client import PhotoError

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEY_LIMIT = 255
LOOK_SECONDS = 0.25
ALIVE_SECONDS = 5.0  # between two signs of life of a request that takes long

REFUSALS = (APIException, Http404, PhotoError, Refused)  # raised before anything was made

log = logging.getLogger(__name__)

Handler = Callable[..., Response]


class ShownOnce(Response):
    """An answer of which some fields are shown once and stored nowhere."""

    def __init__(self, data: dict[str, Any], *, secrets: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self.secrets = secrets


def answer_once(request: Request, *args: Any, handler: Handler, **kwargs: Any) -> Response:
    """Run the handler, or replay what it answered the first time."""
    key = request.headers[HEADER]
    if not (0 < len(key) <= KEY_LIMIT and key.isascii() and key.isprintable()):
        raise Refused("idempotency_key_invalid", f"Use 1 to {KEY_LIMIT} printable ASCII characters.")
    record = _begin(request, key)
    if record.status is not None:
        return Response(record.body, status=record.status, headers={**record.headers, REPLAYED: "true"})
    request.made = record.made  # type: ignore[attr-defined]  # read by made_by
    return _kept(record, partial(handler, request, *args, **kwargs))


def _kept(record: IdempotencyRecord, act: Callable[[], Response]) -> Response:
    """The answer, which replays the record from now on."""
    try:
        with _alive(record):
            response = act()
    except Held as held:
        held.rest = partial(_kept, record, held.rest)
        held.beat, held.every = partial(_renew, record), ALIVE_SECONDS
        held.given_up = partial(idempotency_release, record=record)
        raise
    except REFUSALS:
        idempotency_drop(record=record)
        raise
    except BaseException:
        idempotency_release(record=record)
        raise
    _keep(record, response)
    return response


def made_by(request: Request) -> UUID | None:
    """The id of what a request makes, the same each time it is sent; ``None`` where it has no ``Idempotency-Key``."""
    return getattr(request, "made", None)


@contextmanager
def _alive(record: IdempotencyRecord) -> Iterator[None]:
    """Renew the claim while the request runs. That of a killed process is not renewed, and is free soon after."""
    ended = threading.Event()
    thread = threading.Thread(target=_renew_until, args=(record, ended), name="idempotency", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()


def _renew_until(record: IdempotencyRecord, ended: threading.Event) -> None:
    try:
        while not ended.wait(ALIVE_SECONDS):
            _renew(record)
    finally:
        connection.close()


def _renew(record: IdempotencyRecord) -> None:
    try:
        idempotency_renew(record=record)
    except DatabaseError as error:
        log.warning("the claim of a running request could not be renewed: %s", error)


def _begin(request: Request, key: str) -> IdempotencyRecord:
    """Claim the key. A caller who is ready to wait gets the answer of the first request as soon as that ended."""
    asker, print_ = key_of(request), fingerprint(request)
    # Whoever reads a publishable key in a page must not take the names that the merchant's own servers use.
    owner = str(asker.pk) if asker.kind == KeyKind.PUBLISHABLE else ""
    until = time.monotonic() + (seconds_asked(request) or 0)
    while True:
        try:
            return idempotency_begin(merchant=asker.merchant, key=key, fingerprint=print_, owner=owner)
        except Refused as refused:
            if refused.code != IN_PROGRESS or time.monotonic() >= until:
                raise
        if not connection.in_atomic_block:
            connection.close()
        time.sleep(LOOK_SECONDS)


def fingerprint(request: Request) -> str:
    """SHA-256 of method, address and body. Files are read in chunks, never whole in memory."""
    digest = hashlib.sha256()
    for part in (request.method or "", request.get_full_path()):
        _feed(digest, [part.encode()])
    if isinstance(request.data, UploadedFile):
        _feed(digest, _chunks(request.data))
    elif hasattr(request.data, "lists"):
        for name, values in sorted(request.data.lists()):
            _feed(digest, [name.encode()])
            for value in values:
                _feed(digest, _chunks(value))
    else:
        _feed(digest, [json.dumps(request.data, sort_keys=True).encode()])
    return digest.hexdigest()


def _feed(digest: Any, chunks: Iterable[bytes]) -> None:
    """One part and its length, so that two neighbouring parts cannot be mistaken for one."""
    length = 0
    for chunk in chunks:
        digest.update(chunk)
        length += len(chunk)
    digest.update(f"/{length}/".encode())


def _chunks(value: str | UploadedFile) -> Iterator[bytes]:
    if isinstance(value, UploadedFile):
        yield str(value.name).encode()
        yield from value.chunks()
        value.seek(0)
    else:
        yield value.encode()


def _keep(record: IdempotencyRecord, response: Response) -> None:
    body = json.loads(json.dumps(response.data, cls=JSONEncoder))
    if isinstance(response, ShownOnce):
        body |= dict.fromkeys(response.secrets)
    idempotency_finish(record=record, status=response.status_code, headers=dict(response.items()), body=body)
