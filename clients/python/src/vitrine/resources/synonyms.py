"""Synonyms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from vitrine._calls import Mode, call, stream
from vitrine._steps import Flow, Stream
from vitrine.models import Page, Synonyms
from vitrine.params import Options
from vitrine.resources._base import Calls, request


class SynonymSets(Calls[Mode]):
    """Sets of words that mean the same."""

    @stream
    def list(self, **options: Unpack[Options]) -> Stream[Synonyms]:
        """Every set."""
        return self._listed(Page[Synonyms], "synonyms", options)

    @call
    def get(self, id: str, **options: Unpack[Options]) -> Flow[Synonyms]:
        """Read a set."""
        return self._send(Synonyms, request("GET", f"synonyms/{id}", options))

    @call
    def create(self, words: Sequence[str], **options: Unpack[Options]) -> Flow[Synonyms]:
        """A search for one of these words looks for all."""
        return self._send(Synonyms, request("POST", "synonyms", options, json={"words": words}))

    @call
    def update(self, id: str, words: Sequence[str], **options: Unpack[Options]) -> Flow[Synonyms]:
        """Put these words in place of the set's."""
        return self._send(Synonyms, request("PUT", f"synonyms/{id}", options, json={"words": words}))

    @call
    def delete(self, id: str, **options: Unpack[Options]) -> Flow[None]:
        """Delete a set."""
        return self._done(request("DELETE", f"synonyms/{id}", options))
