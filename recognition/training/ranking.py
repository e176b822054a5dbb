"""Finds products for held-out photos just as the service does; between the recogniser and the figures of evaluate.py.

Photos are decoded and embedded by the `Recogniser` that a worker uses, compared with every stored photo by both of
its vectors, grouped by product. Exact search stands in for the index: it finds the same neighbours.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recognition.bundle import SimilarityWeights
from recognition.decide import VOTERS, Similarity
from recognition.recogniser import Recogniser
from recognition.text import ProductText
from recognition.training.data import Photo, Role

_BATCH = 8
_CANDIDATES = 5


@dataclass(frozen=True, eq=False)
class Embedded:
    """N photos with their vectors float32 [N, D]: of the photo alone, and with the product's text."""

    photos: list[Photo]
    image: NDArray[np.float32]
    fused: NDArray[np.float32]

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


def embed(recogniser: Recogniser, photos: Sequence[Photo]) -> Embedded:
    """Vectors of photos, by the path that serves."""
    image, fused = [], []
    with ThreadPoolExecutor(2) as pool:
        for at in range(0, len(photos), _BATCH):
            batch = photos[at : at + _BATCH]
            decoded = pool.map(lambda photo: recogniser.prepare(photo.path.read_bytes()).pixels, batch)
            vectors = recogniser.forward(np.stack(list(decoded)), [photo.text for photo in batch])
            image.append(vectors.image)
            fused.append(vectors.fused)
    return Embedded(list(photos), np.concatenate(image), np.concatenate(fused))


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
        scores = weights.image * asked.image @ shop.image.T + weights.fused * asked.image @ shop.fused.T
        products = np.array([photo.product for photo in shop.photos])
        categories = {photo.product: photo.text.category for photo in shop.photos}
        for photo, row in zip(asked.photos, scores, strict=True):
            kept = products != photo.product if absent else np.ones(len(products), bool)
            candidates = group(products[kept], row[kept], categories)
            found.append(Answer(source, None if absent else photo.product, candidates))
    return found


def word_answers(recogniser: Recogniser, embedded: Embedded) -> list[Answer]:
    """Ask for every product of every shop by its title alone, against the fused vectors."""
    found = []
    for source, shop in shops(embedded):
        products = np.array([photo.product for photo in shop.photos])
        titles = {photo.product: photo.text.title for photo in shop.photos}
        vectors = recogniser.forward_text([ProductText(title=title) for title in titles.values()])
        for product, row in zip(titles, vectors @ shop.fused.T, strict=True):
            found.append(Answer(source, product, group(products, row)))
    return found


def group(
    products: NDArray[np.str_], scores: NDArray[np.float32], categories: Mapping[str, str] | None = None
) -> list[Similarity]:
    """Photos to products: a product counts by its best photo; the nearest photos vote. Best five, best first."""
    order = np.argsort(-scores, kind="stable")
    votes: dict[str, int] = {}
    for place in order[:VOTERS]:
        votes[products[place]] = votes.get(products[place], 0) + 1
    best: list[Similarity] = []
    seen: set[str] = set()
    for place in order:
        product = str(products[place])
        if product not in seen:
            seen.add(product)
            category = (categories or {}).get(product, "")
            best.append(Similarity(product, float(scores[place]), votes.get(product, 0), category))
        if len(best) == _CANDIDATES:
            break
    return best
