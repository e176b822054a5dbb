"""The demo's view of Vitrine: the public API over HTTP with a secret key, exactly as a shop's server would call it."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

FINISHED = {"done", "failed", "expired", "cancelled"}
WAIT = {"Prefer": "wait=5"}  # short, so that a process that died meanwhile is soon started again
PAUSE_SECONDS = 0.2
UPLOAD_SECONDS = 1800.0
JOB_SECONDS = 300.0


class Api:
    """A key and an address. Raises ``httpx.HTTPError`` for what the site refuses, ``TimeoutError`` for what never ends.

    ``tick`` is called again and again while something is awaited, to keep the processes behind the site alive.
    """

    def __init__(self, url: str, token: str, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._http = httpx.Client(
            base_url=f"{url}/api/v1/", headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def upload(self, archive: Path) -> Iterator[dict[str, Any]]:
        """Send a bulk upload, then give its progress again and again until it is finished."""
        with archive.open("rb") as file:
            state = self._post("uploads", files={"file": (archive.name, file, "application/zip")})
        yield from self._states(f"uploads/{state['id']}", state, UPLOAD_SECONDS)

    def problems(self, upload_id: str) -> list[dict[str, Any]]:
        """The rows of an upload that were refused."""
        return self._get(f"uploads/{upload_id}/rows", params={"verdict": "refused"})["results"]

    def search(self, *, photo: Path | None = None, words: str = "", limit: int = 5) -> dict[str, Any]:
        """Search by a photo, by words or by both, and wait for the answer."""
        if photo is None:
            job = self._post("search-jobs", json={"words": words, "limit": limit})
        else:
            files = {"photo": (photo.name, photo.read_bytes(), "image/jpeg")}
            job = self._post("search-jobs", data={"words": words, "limit": str(limit)}, files=files)
        return self._finished(f"search-jobs/{job['id']}", job)

    def recognise(self, photos: list[Path]) -> dict[str, Any]:
        """Ask what products some photos show, and wait for the answer."""
        files = [("photos", (photo.name, photo.read_bytes(), "image/jpeg")) for photo in photos]
        job = self._post("recognition-jobs", files=files)
        return self._finished(f"recognition-jobs/{job['id']}", job)

    def _finished(self, path: str, job: dict[str, Any]) -> dict[str, Any]:
        *_, answer = self._states(path, job, JOB_SECONDS, headers=WAIT)
        return answer

    def _states(self, path: str, state: dict[str, Any], seconds: float, **options: Any) -> Iterator[dict[str, Any]]:
        """What the site says again and again, from ``state`` on, until it is finished."""
        until = time.monotonic() + seconds
        while True:
            yield state
            if state["state"] in FINISHED:
                return
            if time.monotonic() > until:
                raise TimeoutError(f"{path} is still {state['state']} after {seconds:.0f} s.")
            self._tick()
            time.sleep(PAUSE_SECONDS)
            with suppress(httpx.TransportError):  # a site that died is up again soon
                state = self._get(path, **options)

    def _get(self, path: str, **options: Any) -> dict[str, Any]:
        return self._http.get(path, **options).raise_for_status().json()

    def _post(self, path: str, **options: Any) -> dict[str, Any]:
        headers = {"Idempotency-Key": str(uuid4()), **WAIT} if "search" in path else {"Idempotency-Key": str(uuid4())}
        return self._http.post(path, headers=headers, **options).raise_for_status().json()
