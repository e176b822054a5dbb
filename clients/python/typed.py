"""What type checkers know of each client's calls; ``make lint`` checks it."""

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from vitrine import AsyncVitrine, Vitrine
from vitrine.models import Bulk, Product, SearchJob


def blocking(client: Vitrine) -> None:
    """Results as they are, and wrong arguments refused."""
    assert_type(client.search(words="mug", filters={"in_stock": True}), SearchJob)
    assert_type(client.products.list(q="mug"), Iterator[Product])
    client.search(wordz="mug")  # type: ignore[call-arg]
    client.search(words=1)  # type: ignore[arg-type]


async def awaited(client: AsyncVitrine) -> None:
    """Results to be awaited, and lists for ``async for``."""
    assert_type(await client.search(words="mug"), SearchJob)
    assert_type(await client.products.bulk([{"sku": "A"}]), Bulk)
    assert_type(client.products.list(), AsyncIterator[Product])
    client.search().hits  # type: ignore[attr-defined]  # noqa: B018 - what is not awaited has none
