"""Bulk uploads."""

from __future__ import annotations

from functools import partial
from typing import Unpack

from vitrine._calls import Mode, call, stream
from vitrine._flows import HELD, followed, sent, waited
from vitrine._steps import Flow, Stream
from vitrine.models import Event, Page, Upload, UploadRow
from vitrine.params import Created, File, Options
from vitrine.resources._base import Calls, opened, request


class Uploads(Calls[Mode]):
    """Whole catalogues, or photos alone."""

    @call
    def create(
        self, file: File, *, name: str = "", dry_run: bool = False, wait: float = 0, **options: Unpack[Options]
    ) -> Flow[Upload]:
        """Send a ZIP of photos with a manifest, a ZIP of photos alone, or a manifest. ``dry_run`` changes nothing."""
        with opened(file) as (own_name, content):
            asked = request(
                "POST",
                "uploads",
                options,
                wait=min(wait, HELD),
                form={"dry_run": str(dry_run).lower()},
                files=[("file", (name or own_name, content))],
            )
            return (yield from self._send(Upload, asked))

    @call
    def get(self, id: str, *, wait: float = 0, **options: Unpack[Options]) -> Flow[Upload]:
        """Read an upload and how far it is."""
        return self._send(Upload, request("GET", f"uploads/{id}", options, wait=min(wait, HELD)))

    @call
    def wait(self, upload: Upload | str, *, seconds: float = 600, **options: Unpack[Options]) -> Flow[Upload]:
        """The upload as soon as every photo of it is indexed or failed. Raises ``StillRunning``."""
        id = upload if isinstance(upload, str) else upload.id
        look = partial(Uploads.get.flow, self, id, **options)
        first = (yield from look()) if isinstance(upload, str) else upload
        return (yield from waited(first, look, seconds))

    @stream
    def list(self, *, kind: str | None = None, **asked: Unpack[Created]) -> Stream[Upload]:
        """Every upload, the newest first."""
        return self._listed(Page[Upload], "uploads", {"kind": kind, **asked})

    @stream
    def rows(
        self, id: str, *, problems: bool | None = None, verdict: str | None = None, **options: Unpack[Options]
    ) -> Stream[UploadRow]:
        """Every row with its verdict, in the order of the manifest; ``problems=True``: only rows that have some."""
        return self._listed(
            Page[UploadRow], f"uploads/{id}/rows", {"problems": problems, "verdict": verdict, **options}
        )

    @stream
    def events(self, id: str, **options: Unpack[Options]) -> Stream[Event[Upload]]:
        """``upload.progress`` whenever it came further, and ``upload.finished``."""
        return followed(lambda name: Upload, request("GET", f"uploads/{id}/events", options), self._runner.retries)

    @call
    def bad_rows(self, id: str, **options: Unpack[Options]) -> Flow[str]:
        """The rows with problems as a CSV, to be corrected and uploaded again."""
        answer = yield from sent(request("GET", f"uploads/{id}/bad-rows.csv", options), self._runner.retries)
        return answer.body.decode()

    @call
    def cancel(self, id: str, **options: Unpack[Options]) -> Flow[Upload]:
        """Read no more rows; what was imported stays."""
        return self._send(Upload, request("POST", f"uploads/{id}/cancel", options))
