"""API keys."""

from __future__ import annotations

from typing import Unpack

from vitrine._calls import Mode, call, stream
from vitrine._steps import Flow, Stream
from vitrine.models import Key, Page
from vitrine.params import KeyCall, KeyChange, Options
from vitrine.resources._base import Calls, request, split


class Keys(Calls[Mode]):
    """The merchant's keys."""

    @stream
    def list(self, *, kind: str | None = None, **options: Unpack[Options]) -> Stream[Key]:
        """Every key, the newest first, those that ended too."""
        return self._listed(Page[Key], "keys", {"kind": kind, **options})

    @call
    def get(self, id: str, **options: Unpack[Options]) -> Flow[Key]:
        """Read a key."""
        return self._send(Key, request("GET", f"keys/{id}", options))

    @call
    def create(self, name: str, **asked: Unpack[KeyCall]) -> Flow[Key]:
        """Make a key. Keep the ``secret`` of the answer: it is shown this once, not even to a retry."""
        body, options = split(asked)
        return self._send(Key, request("POST", "keys", options, json={"name": name, **body}))

    @call
    def update(self, id: str, **change: Unpack[KeyChange]) -> Flow[Key]:
        """Change what is given."""
        body, options = split(change)
        return self._send(Key, request("PATCH", f"keys/{id}", options, json=body))

    @call
    def rotate(self, id: str, *, overlap_seconds: int = 86_400, **options: Unpack[Options]) -> Flow[Key]:
        """Make a key that replaces this one; for so long both work."""
        return self._send(Key, request("POST", f"keys/{id}/rotate", options, json={"overlap_seconds": overlap_seconds}))

    @call
    def revoke(self, id: str, **options: Unpack[Options]) -> Flow[Key]:
        """End a key at once."""
        return self._send(Key, request("DELETE", f"keys/{id}", options))
