"""How a photo lies in a Qdrant collection, the same for both engines: names, ids, payload, checks."""

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from recognition.index.types import PointPayload

ALIAS = "photos"
IMAGE, FUSED, WORDS = "image", "fused", "words"
TENANT = "merchant_id"
PAYLOAD_INDEXES: Mapping[str, str] = {
    TENANT: "keyword",
    "product_id": "keyword",
    "category": "keyword",
    "brand": "keyword",
    "price": "float",
    "currency": "keyword",
    "in_stock": "integer",  # 0 or 1: Qdrant Edge 0.9 reads a bool in a filter as a number, which no bool field matches
}
CHANGEABLE = frozenset({"category", "brand", "price", "currency", "in_stock"})
UPSERT_BATCH = 256
SCROLL_PAGE = 1000

_PHOTO_NAMESPACE = uuid.UUID("6f0d3f0e-7c0b-5f0a-9d55-0b6b6a1f6a11")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def collection_name(version: str) -> str:
    """``photos-<version>``; ValueError on a version that could not name a folder and a collection."""
    if not _VERSION.fullmatch(version):
        raise ValueError(f"not a bundle version that can name a collection: {version!r}")
    return f"{ALIAS}-{version}"


def version_of(collection: str) -> str | None:
    """The version in a collection's name, None where it is not one of ours."""
    prefix, _, version = collection.partition("-")
    return version if prefix == ALIAS and _VERSION.fullmatch(version) else None


def point_id(photo_id: str) -> str:
    """The same photo always gets the same point, so that every write may run twice."""
    return str(uuid.uuid5(_PHOTO_NAMESPACE, photo_id))


def to_payload(payload: PointPayload) -> dict[str, Any]:
    """The stored form of a payload: what is None is left out, as the engine itself does when a field is set to null."""
    return {key: value for key, value in stored_changes(vars(payload)).items() if value is not None}


def from_payload(stored: Mapping[str, Any]) -> PointPayload:
    """A payload read back from the engine."""
    return PointPayload(**{"price": None, "currency": None, **stored, "in_stock": bool(stored["in_stock"])})


def image_vectors(records: Iterable[tuple[Mapping[str, Any] | None, Any]]) -> dict[str, np.ndarray]:
    """The image vectors of retrieved points, given as payload and named vectors, by photo id."""
    return {
        payload["photo_id"]: np.asarray(vectors[IMAGE], dtype=np.float32)
        for payload, vectors in records
        if payload and vectors
    }


def checked_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The stored form of changed fields; ValueError on one that identifies a photo or does not exist."""
    wrong = sorted(set(changes) - CHANGEABLE)
    if wrong:
        raise ValueError(f"these payload fields cannot be changed: {', '.join(wrong)}")
    return stored_changes(changes)


def stored_changes(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Payload fields as they are stored: ``in_stock`` as 0 or 1."""
    return {key: int(value) if key == "in_stock" else value for key, value in fields.items()}


def checked_vector(vector: np.ndarray, dim: int, what: str) -> np.ndarray:
    """``vector`` as float32 ``[dim]``; ValueError (our bug) on another shape or on values that are not finite."""
    checked = np.ascontiguousarray(vector, dtype=np.float32)
    if checked.shape != (dim,):
        raise ValueError(f"{what} vector has shape {checked.shape}, the index stores ({dim},)")
    if not np.isfinite(checked).all():
        raise ValueError(f"{what} vector holds values that are not finite")
    return checked


def live_notes(served: str, live: str) -> tuple[str, ...]:
    """What an operator should know where the opened version is not the live one."""
    if not live:
        return ("No version is live yet: promote one.",)
    return () if live == served else (f"This process serves version {served}; the live one is {live}.",)
