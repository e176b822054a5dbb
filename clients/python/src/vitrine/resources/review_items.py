"""Review items: what was recognised, and what it is."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Unpack

from vitrine._calls import Mode, call, stream
from vitrine._flows import downloaded
from vitrine._steps import Flow, Stream
from vitrine.models import Claims, Explanation, Item, Page
from vitrine.params import Options, ProductCall
from vitrine.resources._base import Calls, request, split


class ReviewItems(Calls[Mode]):
    """The queue of what a person should look at."""

    @stream
    def list(
        self,
        *,
        state: str | None = None,
        verdict: str | None = None,
        job: str | None = None,
        **options: Unpack[Options],
    ) -> Stream[Item]:
        """Every item, the newest first; ``state="open"`` waits for a decision."""
        return self._listed(Page[Item], "review-items", {"state": state, "verdict": verdict, "job": job, **options})

    @call
    def get(self, id: str, **options: Unpack[Options]) -> Flow[Item]:
        """Read an item."""
        return self._send(Item, request("GET", f"review-items/{id}", options))

    @call
    def claim(self, count: int = 20, *, skip: Sequence[str] = (), **options: Unpack[Options]) -> Flow[Claims]:
        """Have so many items that nobody else is given or decides on, until ``claimed_until``; claim again to keep
        them. ``skip``: items to give back, or not to be given now.
        """
        return self._send(
            Claims, request("POST", "review-items/claims", options, json={"count": count, "skip": [*skip]})
        )

    @call
    def accept(
        self, id: str, *, product_id: str | None = None, sku: str | None = None, **options: Unpack[Options]
    ) -> Flow[Item]:
        """The first candidate, or the product that is named, is right."""
        return self._send(Item, request("POST", f"review-items/{id}/accept", options, json=_choice(product_id, sku)))

    @call
    def correct(
        self, id: str, *, product_id: str | None = None, sku: str | None = None, **options: Unpack[Options]
    ) -> Flow[Item]:
        """It is this product."""
        return self._send(Item, request("POST", f"review-items/{id}/correct", options, json=_choice(product_id, sku)))

    @call
    def reject(self, id: str, **options: Unpack[Options]) -> Flow[Item]:
        """The photo shows no product of this merchant."""
        return self._send(Item, request("POST", f"review-items/{id}/reject", options))

    @call
    def unknown(self, id: str, **options: Unpack[Options]) -> Flow[Item]:
        """Nobody can tell from this photo."""
        return self._send(Item, request("POST", f"review-items/{id}/unknown", options))

    @call
    def new_product(self, id: str, sku: str, **facts: Unpack[ProductCall]) -> Flow[Item]:
        """It is a product that the catalogue does not have: make it. Raises ``Conflict`` where the sku is taken."""
        body, options = split(facts)
        return self._send(Item, request("POST", f"review-items/{id}/new-product", options, json={"sku": sku, **body}))

    @call
    def undo(self, id: str, **options: Unpack[Options]) -> Flow[Item]:
        """Take back the decision that stands; the item waits again."""
        return self._send(Item, request("POST", f"review-items/{id}/undo", options))

    @call
    def export(self, to: str | PathLike[str], kind: str, **options: Unpack[Options]) -> Flow[int]:
        """Every decision that stands, written to this file as ``csv``, ``jsonl`` or ``coco.json``; its bytes."""
        return downloaded(request("GET", f"review-items/export.{kind}", options), self._runner.retries, Path(to))

    @call
    def explain(
        self, id: str, product_id: str | None = None, *, seconds: float = 60, **options: Unpack[Options]
    ) -> Flow[Explanation]:
        """Why it may be this candidate; without one, the first."""
        return self._explained(f"review-items/{id}/explanation", options, seconds, product_id=product_id)


def _choice(product_id: str | None, sku: str | None) -> dict[str, Any]:
    named = {"product_id": product_id, "sku": sku}
    return {name: value for name, value in named.items() if value is not None}
