"""The vector index: stores photos as points, finds products by photo, words or both.

The recogniser and the workers come in here and only here; two engines lie behind one interface, Qdrant embedded in
the process (a folder) and a Qdrant server (an address). See docs/decisions/index.md.
"""

from pathlib import Path

from recognition.index._embedded import EmbeddedIndex
from recognition.index.types import (
    AttributeFilter,
    Filters,
    IndexHealth,
    IndexQuery,
    PhotoIndex,
    PhotoPoint,
    PointPayload,
    ProductHit,
    StoredPoint,
)

__all__ = [
    "AttributeFilter",
    "Filters",
    "IndexHealth",
    "IndexQuery",
    "PhotoIndex",
    "PhotoPoint",
    "PointPayload",
    "ProductHit",
    "StoredPoint",
    "open_index",
]

DEFAULT_FOLDER = "var/index"


def open_index(
    url: str, *, version: str, dim: int = 256, image_weight: float = 0.5, api_key: str | None = None
) -> PhotoIndex:
    """The index of one bundle version, made first where it is missing.

    ``url``: a folder or ``edge:///path`` (embedded; ``""`` is ``var/index``), ``http(s)://host:6333`` (server), or
    for tests ``memory://`` (the client's in-memory mode, gone with its last user; ``memory://name`` is shared within
    the process). ``image_weight`` in [0, 1] is the photo cosine's share where a photo alone ranks. ``Unavailable``
    ("index_locked", "index_unavailable") where the engine cannot be had now, ValueError on settings that never can.
    """
    if not 0.0 <= image_weight <= 1.0:
        raise ValueError(f"image_weight is a share between 0 and 1, not {image_weight}")
    scheme, separator, rest = url.partition("://")
    if separator and scheme in {"http", "https", "memory"}:
        # Here, because its client takes a second to import: each start of a worker with an embedded index would pay it.
        from recognition.index._server import ServerIndex  # noqa: PLC0415

        return ServerIndex(url, version, dim, image_weight, api_key=api_key)
    if separator and scheme != "edge":
        raise ValueError(f"not an index address: {url!r} (a folder, edge:///path, http(s)://host:port or memory://)")
    return EmbeddedIndex(Path((rest if separator else url) or DEFAULT_FOLDER), version, dim, image_weight)
