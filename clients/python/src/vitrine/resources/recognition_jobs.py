"""Recognitions: which products do these photos show?"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, Unpack

from vitrine._calls import Mode, call, stream
from vitrine._flows import HELD, followed, listed, read, waited
from vitrine._steps import Flow, Stream
from vitrine.models import Event, Item, Page, RecognitionJob
from vitrine.params import Box, Created, File, Options, RecognitionPhoto
from vitrine.resources._base import Calls, content_of, request


class RecognitionJobs(Calls[Mode]):
    """Photos to be recognised."""

    @call
    def create(
        self,
        photos: Sequence[File | RecognitionPhoto],
        *,
        items: Literal["one", "many"] = "one",
        region: Box | None = None,
        wait: float = 0,
        **options: Unpack[Options],
    ) -> Flow[RecognitionJob]:
        """Start a recognition of up to 100 photos. ``items="many"`` finds every product in a photo of a shelf.

        ``region`` is the part that counts of each photo; a ``RecognitionPhoto`` has one of its own, or an address.
        """
        if any(isinstance(each, Mapping) for each in photos):
            sending: dict[str, Any] = {"json": {"items": items, "photos": [_in_json(each, region) for each in photos]}}
        else:
            form = {"items": items} | ({"region": json.dumps(list(region))} if region else {})
            files = [("photos", content_of(each)) for each in photos if not isinstance(each, Mapping)]
            sending = {"form": form, "files": files}
        return self._send(RecognitionJob, request("POST", "recognition-jobs", options, wait=min(wait, HELD), **sending))

    @call
    def get(self, id: str, *, wait: float = 0, **options: Unpack[Options]) -> Flow[RecognitionJob]:
        """Read a recognition: how far it is, which photos failed, and the first page of its items."""
        return self._send(RecognitionJob, request("GET", f"recognition-jobs/{id}", options, wait=min(wait, HELD)))

    @call
    def wait(
        self, job: RecognitionJob | str, *, seconds: float = 60, **options: Unpack[Options]
    ) -> Flow[RecognitionJob]:
        """The recognition as soon as it is finished, however it ended. Raises ``StillRunning``."""
        id = job if isinstance(job, str) else job.id
        look = partial(RecognitionJobs.get.flow, self, id, **options)
        first = (yield from look()) if isinstance(job, str) else job
        return (yield from waited(first, look, seconds))

    @stream
    def list(self, **asked: Unpack[Created]) -> Stream[RecognitionJob]:
        """Every recognition that is kept, the newest first."""
        return self._listed(Page[RecognitionJob], "recognition-jobs", asked)

    @stream
    def items(self, id: str, **options: Unpack[Options]) -> Stream[Item]:
        """Every item found so far, the first recognised first."""
        asked = request("GET", f"recognition-jobs/{id}", options, params={"page_size": 200})
        return listed(_items, asked, self._runner.retries)

    @stream
    def events(self, id: str, **options: Unpack[Options]) -> Stream[Event[RecognitionJob | Item]]:
        """``item.found`` once for each item, ``job.progress``, and ``job.finished``."""
        asked = request("GET", f"recognition-jobs/{id}/events", options)
        kinds = {"item.found": Item}
        return followed(lambda name: kinds.get(name, RecognitionJob), asked, self._runner.retries)

    @call
    def cancel(self, id: str, **options: Unpack[Options]) -> Flow[RecognitionJob]:
        """Cancel what no worker has yet; what was recognised stays."""
        return self._send(RecognitionJob, request("POST", f"recognition-jobs/{id}/cancel", options))


def _items(body: bytes) -> Page[Item]:
    return read(RecognitionJob, body).items or Page[Item](next_cursor=None, results=[])


def _in_json(photo: File | RecognitionPhoto, region: Box | None) -> dict[str, Any]:
    asked: dict[str, Any] = {"photo": photo} if not isinstance(photo, Mapping) else dict(photo)
    if (file := asked.pop("photo", None)) is not None:
        name, content = content_of(file)
        asked = {"name": name, **asked, "photo": b64encode(content).decode("ascii")}
    return {"region": region, **asked}
