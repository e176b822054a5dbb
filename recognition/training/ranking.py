"""Finds products for held-out photos just as the service does; between the recogniser and the figures of evaluate.py.

Photos are decoded and embedded by the `Recogniser` that a worker uses, compared with every stored photo by both of
its vectors, grouped by product. Exact search stands in for the index: it finds the same neighbours.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recognition.bundle import SimilarityWeights
from recognition.decide import VOTERS, Similarity
from recognition.recogniser import Recogniser
from recognition.text import ProductText
from recognition.training.data import Photo, Role
from recognition.training.decoding import pixel_batches

_CANDIDATES = 5
_ROWS = 256  # photos compared with all stored ones at once

Vectors = NDArray[np.float32]


class HasVectors(Protocol):
    """N photos with their unit vectors float32 [N, D]: of the photo alone, and with the product's text."""

    @property
    def image(self) -> Vectors: ...

    @property
    def fused(self) -> Vectors: ...


@dataclass(frozen=True, eq=False)
class Embedded:
    """N photos with their vectors float32 [N, D]: of the photo alone, and with the product's text."""

    photos: list[Photo]
    image: Vectors
    fused: Vectors

    def where(self, chosen: Sequence[bool]) -> "Embedded":
        """The photos for which `chosen` is true."""
        rows = np.flatnonzero(chosen)
        return replace(self, photos=[self.photos[row] for row in rows], image=self.image[rows], fused=self.fused[rows])


@dataclass(frozen=True)
class Answer:
    """The best candidates for one query, best first, and the product that it really shows (None: none of them)."""

    source: str
    truth: str | None
    candidates: list[Similarity]

    @property
    def rank(self) -> int | None:
        """Place of the true product among the candidates, from 0."""
        ids = [candidate.product_id for candidate in self.candidates]
        return ids.index(self.truth) if self.truth in ids else None


class Products:
    """The products of M stored photos: `names`, each once, and `numbers` int [M], where in them each photo's name is.

    A number is compared much faster than a name.
    """

    def __init__(self, products: Sequence[str], categories: Mapping[str, str] | None = None) -> None:
        self.names, self.numbers = np.unique(np.array(products, dtype=np.str_), return_inverse=True)
        self._categories = categories or {}

    def best(self, scores: Vectors, kept: NDArray[np.bool_] | None = None) -> list[Similarity]:
        """The best five, best first: a product counts by its best photo; the nearest photos vote.

        `scores` of all stored photos [M]; `kept` [M]: those that take part (None: all).
        """
        rows = np.arange(len(scores)) if kept is None else np.flatnonzero(kept)
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        numbers = self.numbers[rows]
        votes = np.bincount(numbers[:VOTERS], minlength=len(self.names))
        first = np.full(len(self.names), len(rows))  # place of each product's best photo; of two writes the last counts
        first[numbers[::-1]] = np.arange(len(rows))[::-1]
        found = []
        for place in np.sort(first[first < len(rows)])[:_CANDIDATES]:
            name = str(self.names[numbers[place]])
            category = self._categories.get(name, "")
            found.append(Similarity(name, float(scores[rows[place]]), int(votes[numbers[place]]), category))
        return found


def embed(recogniser: Recogniser, photos: Sequence[Photo]) -> Embedded:
    """Vectors of photos, by the path that serves. Raises DataError naming a photo that cannot be read."""
    none = np.zeros((0, recogniser.bundle.dim), np.float32)
    image, fused = [none], [none]
    for batch, pixels in pixel_batches(recogniser, photos):
        vectors = recogniser.forward(pixels, [photo.text for photo in batch])
        image.append(vectors.image)
        fused.append(vectors.fused)
    return Embedded(list(photos), np.concatenate(image), np.concatenate(fused))


def similarities(weights: SimilarityWeights, asked: Vectors, shop: HasVectors) -> Iterator[Vectors]:
    """For each asked photo [D] its similarity with all stored ones [M], both comparisons weighed as the bundle says."""
    for start in range(0, len(asked), _ROWS):
        part = asked[start : start + _ROWS]
        yield from weights.image * part @ shop.image.T + weights.fused * part @ shop.fused.T


def shops(embedded: Embedded) -> Iterator[tuple[str, Embedded]]:
    """The stored photos of each data set that has any: one data set plays one merchant."""
    sources = dict.fromkeys(photo.source for photo in embedded.photos if photo.stored)
    for source in sources:
        yield source, embedded.where([photo.stored and photo.source == source for photo in embedded.photos])


def answers(embedded: Embedded, weights: SimilarityWeights, role: Role, *, absent: bool) -> list[Answer]:
    """Ask for every held-out photo of a role. `absent`: its product is taken out of the shop first (an unknown)."""
    found = []
    for source, shop in shops(embedded):
        asked = embedded.where([photo.source == source and photo.role == role for photo in embedded.photos])
        products = _products(shop)
        places = {name: place for place, name in enumerate(products.names)}
        for photo, scores in zip(asked.photos, similarities(weights, asked.image, shop), strict=True):
            kept = products.numbers != places.get(photo.product, -1) if absent else None
            found.append(Answer(source, None if absent else photo.product, products.best(scores, kept)))
    return found


def word_answers(recogniser: Recogniser, embedded: Embedded) -> list[Answer]:
    """Ask for every product of every shop by its title alone, against the fused vectors."""
    found = []
    for source, shop in shops(embedded):
        products = _products(shop)
        titles = {photo.product: photo.text.title for photo in shop.photos}
        vectors = recogniser.forward_text([ProductText(title=title) for title in titles.values()])
        for product, vector in zip(titles, vectors, strict=True):
            found.append(Answer(source, product, products.best(shop.fused @ vector)))
    return found


def _products(shop: Embedded) -> Products:
    categories = {photo.product: photo.text.category for photo in shop.photos}
    return Products([photo.product for photo in shop.photos], categories)
