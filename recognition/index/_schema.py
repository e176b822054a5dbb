"""How a photo lies in a Qdrant collection, the same for both engines: names, ids, payload, checks."""

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from recognition.index.types import PhotoPoint, PointPayload, StoredPoint

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
    "group": "keyword",
    "attributes": "keyword",
    "numbers[].name": "keyword",
    "numbers[].value": "float",
}
CHANGEABLE = frozenset({"category", "brand", "price", "currency", "in_stock", "group", "attributes"})
ANSWERED = [field.name for field in fields(PointPayload) if field.name != "attributes"]  # what comes back with a point
UPSERT_BATCH = 256
SCROLL_PAGE = 1000

_TERM = "\x1f"  # between an attribute's name and its value; no text of a product holds it
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")
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
    """The stored form of a payload: what is empty is left out, as the engine does where a field is set to null."""
    return {key: value for key, value in stored_changes(vars(payload)).items() if value or value == 0}


def from_payload(stored: Mapping[str, Any]) -> PointPayload:
    """A payload read back from the engine."""
    told = {name: stored[name] for name in ANSWERED if name in stored}
    told["in_stock"] = bool(stored["in_stock"])
    return PointPayload(**{"category": "", "brand": "", "price": None, "currency": None, **told})


def stored_points(records: Iterable[tuple[Any, Mapping[str, Any] | None]]) -> list[StoredPoint]:
    """Points given as their id and payload; one without a payload is none of ours and left out."""
    points = ((str(point), from_payload(payload)) for point, payload in records if payload)
    return [StoredPoint(point, payload, point != point_id(payload.photo_id)) for point, payload in points]


def image_vectors(records: Iterable[tuple[Mapping[str, Any] | None, Any]]) -> dict[str, np.ndarray]:
    """The image vectors of retrieved points, given as payload and vector, by photo id."""
    return {payload["photo_id"]: np.asarray(vector, dtype=np.float32) for payload, vector in records if payload}


def checked_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The stored form of changed fields; ValueError on one that identifies a photo or does not exist."""
    wrong = sorted(set(changes) - CHANGEABLE)
    if wrong:
        raise ValueError(f"these payload fields cannot be changed: {', '.join(wrong)}")
    return stored_changes(changes)


def stored_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Payload fields as they are stored: ``in_stock`` as 0 or 1, attributes as terms, and as numbers where they are."""
    stored = dict(changes)
    if "in_stock" in stored:
        stored["in_stock"] = int(stored["in_stock"])
    if "attributes" in stored:
        pairs = stored.pop("attributes")
        numbers = ((name, number_of(value)) for name, value in pairs)
        stored["attributes"] = [term(name, value) for name, value in pairs]
        stored["numbers"] = [{"name": name, "value": number} for name, number in numbers if number is not None]
    return stored


def term(name: str, value: str) -> str:
    """An attribute's value as one keyword. All attributes share one field: keys are the merchants' own, and Qdrant
    wants an index made for each key before it is fast (docs/decisions/index.md)."""
    return f"{name}{_TERM}{value}"


def number_of(value: str) -> float | None:
    """The number that a value says, None where it says none."""
    return float(value) if _NUMBER.fullmatch(value) else None


def checked_vector(vector: np.ndarray, dim: int, what: str) -> np.ndarray:
    """``vector`` as float32 ``[dim]``; ValueError (our bug) on another shape or on values that are not finite."""
    return checked_vectors([vector], dim, what)[0]


def checked_vectors(vectors: Sequence[np.ndarray], dim: int, what: str) -> np.ndarray:
    """The same of many, as float32 ``[len(vectors), dim]``."""
    for vector in vectors:
        if np.shape(vector) != (dim,):
            raise ValueError(f"{what} vector has shape {np.shape(vector)}, the index stores ({dim},)")
    checked = np.array(vectors, dtype=np.float32).reshape(-1, dim)
    if not np.isfinite(checked).all():
        raise ValueError(f"{what} vector holds values that are not finite")
    return checked


def batches(points: Sequence[PhotoPoint], dim: int) -> Iterator[tuple[Sequence[PhotoPoint], np.ndarray, np.ndarray]]:
    """Points to write, ``UPSERT_BATCH`` at a time, with their image and fused vectors as float32 ``[batch, dim]``.

    All vectors are checked before the first batch is given (``checked_vectors``): beside a bad one nothing is written.
    """
    image = checked_vectors([point.image for point in points], dim, "image")
    fused = checked_vectors([point.fused for point in points], dim, "fused")
    for first in range(0, len(points), UPSERT_BATCH):
        some = slice(first, first + UPSERT_BATCH)
        yield points[some], image[some], fused[some]


def live_notes(served: str, live: str) -> tuple[str, ...]:
    """What an operator should know where the opened version is not the live one."""
    if not live:
        return ("No version is live yet: promote one.",)
    return () if live == served else (f"This process serves version {served}; the live one is {live}.",)


def check_droppable(version: str, *, opened: str, live: str) -> None:
    """ValueError where a version's photos are still needed."""
    if version in {opened, live}:
        raise ValueError(f"version {version!r} is in use and is not deleted")
