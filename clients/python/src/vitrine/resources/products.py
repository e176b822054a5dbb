"""Products and their photos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, Unpack

from pydantic_core import to_json

from vitrine._calls import Mode, Runner, call, stream
from vitrine._flows import downloaded
from vitrine._steps import Flow, Stream
from vitrine.models import Bulk, Page, Photo, Product
from vitrine.params import File, Options, ProductCall, ProductChange, ProductLine, ProductQuery
from vitrine.resources._base import Calls, content_of, part, request, split

LINES_AT_ONCE, BYTES_AT_ONCE = 1_000, 1_000_000  # what Vitrine writes while it is waited for


class ProductPhotos(Calls[Mode]):
    """The photos of products."""

    @call
    def add(
        self,
        product_id: str,
        photo: File | None = None,
        *,
        photo_url: str = "",
        name: str = "",
        **options: Unpack[Options],
    ) -> Flow[Photo]:
        """Add a photo, itself or by its address. The same bytes again are no second photo."""
        if photo is None:
            sending: dict[str, Any] = {"json": {"photo_url": photo_url, "name": name}}
        else:
            sending = {"form": {"name": name} if name else {}, "files": [("photo", content_of(photo))]}
        return self._send(Photo, request("POST", f"products/{product_id}/photos", options, **sending))

    @stream
    def list(self, product_id: str, **options: Unpack[Options]) -> Stream[Photo]:
        """The photos of a product, the main one first."""
        return self._listed(Page[Photo], f"products/{product_id}/photos", options)

    @call
    def get(self, id: str, **options: Unpack[Options]) -> Flow[Photo]:
        """Read a photo."""
        return self._send(Photo, request("GET", f"photos/{id}", options))

    @call
    def delete(self, id: str, **options: Unpack[Options]) -> Flow[None]:
        """Delete a photo."""
        return self._done(request("DELETE", f"photos/{id}", options))


class Products(Calls[Mode]):
    """What the merchant sells."""

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner)
        self.photos: ProductPhotos[Mode] = ProductPhotos(runner)

    @stream
    def list(self, **asked: Unpack[ProductQuery]) -> Stream[Product]:
        """Every product, the newest first."""
        return self._listed(Page[Product], "products", asked)

    @call
    def get(self, id: str, **options: Unpack[Options]) -> Flow[Product]:
        """Read a product."""
        return self._send(Product, request("GET", f"products/{id}", options))

    @call
    def get_by_sku(self, sku: str, **options: Unpack[Options]) -> Flow[Product]:
        """Read the product with this sku."""
        return self._send(Product, request("GET", f"products/by-sku/{part(sku)}", options))

    @call
    def create(self, sku: str, **facts: Unpack[ProductCall]) -> Flow[Product]:
        """Create a product. Raises ``Conflict`` (``sku_duplicate``) where the sku is taken."""
        body, options = split(facts)
        return self._send(Product, request("POST", "products", options, json={"sku": sku, **body}))

    @call
    def upsert(self, sku: str, **facts: Unpack[ProductCall]) -> Flow[Product]:
        """Create the product with this sku, or change what is given."""
        body, options = split(facts)
        return self._send(Product, request("PUT", f"products/by-sku/{part(sku)}", options, json=body))

    @call
    def update(self, id: str, **change: Unpack[ProductChange]) -> Flow[Product]:
        """Change what is given; the rest stays."""
        body, options = split(change)
        return self._send(Product, request("PATCH", f"products/{id}", options, json=body))

    @call
    def delete(self, id: str, **options: Unpack[Options]) -> Flow[None]:
        """Delete a product and its photos."""
        return self._done(request("DELETE", f"products/{id}", options))

    @call
    def update_by_sku(self, current: str, **change: Unpack[ProductChange]) -> Flow[Product]:
        """Change what is given of the product whose sku this is; nothing is created. ``sku=`` gives it another one."""
        body, options = split(change)
        return self._send(Product, request("PATCH", f"products/by-sku/{part(current)}", options, json=body))

    @call
    def delete_by_sku(self, sku: str, **options: Unpack[Options]) -> Flow[None]:
        """Delete the product with this sku and its photos."""
        return self._done(request("DELETE", f"products/by-sku/{part(sku)}", options))

    @call
    def bulk(self, products: Iterable[ProductLine], **options: Unpack[Options]) -> Flow[Bulk]:
        """Create or change many products, a thousand at a time; a bad one holds up no other.

        Look at ``refused``: nothing is raised for a product that was not taken. After an exception call it again with
        all of them, the same lines change nothing twice. For a catalogue with photos use ``uploads``.
        """
        done = Bulk()
        for number, lines in enumerate(_batches(products)):
            own = options.get("idempotency_key")
            each = {**options, "idempotency_key": f"{own}-{number}"} if own else options
            headers = {"Content-Type": "application/x-ndjson"}
            batch = yield from self._send(
                Bulk, request("POST", "products/bulk", each, headers=headers, content=b"".join(lines))
            )
            done = _sum(done, batch)
        return done

    @call
    def export(self, to: str | PathLike[str], **options: Unpack[Options]) -> Flow[int]:
        """Everything as a ZIP that ``uploads`` reads back, written to this file; its bytes."""
        return downloaded(request("GET", "products/export.zip", options), self._runner.retries, Path(to))


def _batches(products: Iterable[ProductLine]) -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    size = 0
    for product in products:
        line = to_json(product) + b"\n"
        if len(line) > BYTES_AT_ONCE:
            raise ValueError(f"the product {product.get('sku')!r} has more than {BYTES_AT_ONCE} bytes")
        if lines and (len(lines) == LINES_AT_ONCE or size + len(line) > BYTES_AT_ONCE):
            yield lines
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield lines


def _sum(done: Bulk, batch: Bulk) -> Bulk:
    """Both together, the lines counted on."""
    before = len(done.results)
    later = [line.model_copy(update={"number": before + line.number}) for line in batch.results]
    return Bulk(
        created=done.created + batch.created,
        updated=done.updated + batch.updated,
        unchanged=done.unchanged + batch.unchanged,
        refused=done.refused + batch.refused,
        results=[*done.results, *later],
    )
