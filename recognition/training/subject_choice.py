"""Which proposals to believe: chooses the thresholds of the head; after subject.py trained it, before the bundle.

On scenes and photos of products that the head did not learn from. benchmarks/scenes.py counts in the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recognition.boxes import Boxes, areas, overlaps
from recognition.bundle import Subject
from recognition.proposals import Proposals, SubjectHead, proposals_of
from recognition.recogniser import Recogniser
from recognition.training.scenes import ProductPhotos
from recognition.training.studio import Seen, Studio, jpeg_of

SCORES = tuple(round(0.1 + 0.05 * step, 2) for step in range(15))
_SURE = SCORES[4:]
_SMALL = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


def best_score(head: SubjectHead, seen: Seen) -> tuple[float, float]:
    """The least score whose proposals have the best F1, and that F1."""
    with torch.inference_mode():
        logits, boxes = head(torch.from_numpy(seen.maps))
    found = list(proposals_of(logits, boxes, least=SCORES[0], overlap=Subject.overlap, limit=50))
    figures = [(_f1(found, seen.boxes, least), least) for least in SCORES]
    best = max(figures)
    return best[1], best[0]


def _f1(found: Sequence[Proposals], wanted: Sequence[Boxes], least: float) -> float:
    right = proposed = there = 0
    for proposals, boxes in zip(found, wanted, strict=True):
        kept = proposals.boxes[proposals.scores >= least]
        right += matches(kept, boxes)
        proposed += len(kept)
        there += len(boxes)
    return 2 * right / max(1, proposed + there)


def matches(found: Boxes, wanted: Boxes, overlap: float = 0.5) -> int:
    """How many wanted boxes [M, 4] are met by a found one [N, 4] of their own, the found ones taken in their order."""
    return sum(place is not None for place in met_by(found, wanted, overlap))


def met_by(found: Boxes, wanted: Boxes, overlap: float = 0.5) -> list[int | None]:
    """For each found box the place of the wanted box that it meets, each wanted box met once; None: a false one."""
    table = overlaps(found, wanted)
    met: list[int | None] = []
    for row in table:
        at = int(row.argmax()) if len(row) else -1
        hit = at >= 0 and row[at] >= overlap
        met.append(at if hit else None)
        if hit:
            table[:, at] = 0
    return met


def best_subject(
    recogniser: Recogniser, studio: Studio, products: Sequence[ProductPhotos], count: int
) -> tuple[float, float, float]:
    """`small`, `sure`, and the mean recall@1 that they reach, over scenes and ordinary photos.

    No ordinary photo may be cut: references are stored whole, so the very photo of one would no longer find it.
    """
    names = np.array([product.name for product in products])
    stored = _vectors(recogniser, [product.photos[0].read_bytes() for product in products])[0]
    side = 2 * recogniser.bundle.preprocessing.size
    scenes = [studio.scene(number, "subject", (side, side)) for number in range(count)]
    shown = {
        "small": [(jpeg_of(scene.image), scene.products[0]) for scene in scenes if scene.products],
        "ordinary": [(photo.read_bytes(), product.name) for product in products for photo in product.photos[1:]],
    }
    asked = {name: _both(recogniser, stored, names, group) for name, group in shown.items() if group}
    places = [(share_, sure) for share_ in _SMALL for sure in _SURE]
    if "ordinary" in asked:  # nothing is cut at a small of 0, so there is always a place left
        places = [place for place in places if not _is_cut(asked["ordinary"], *place).any()]
    recalls = {place: float(np.mean([_recall(group, *place) for group in asked.values()])) for place in places}
    share_, sure = max(recalls, key=lambda place: (recalls[place], -place[0], place[1]))
    return share_, sure, recalls[share_, sure]


@dataclass(frozen=True, eq=False)
class _Asked:
    """Photos asked: area and score of their subject [N], and whether whole and crop find the product, bool [N]."""

    area: NDArray[np.float32]
    score: NDArray[np.float32]
    whole: NDArray[np.bool_]
    crop: NDArray[np.bool_]


def _both(
    recogniser: Recogniser, stored: NDArray[np.float32], names: NDArray[np.str_], asked: Sequence[tuple[bytes, str]]
) -> _Asked:
    photos = [data for data, _ in asked]
    right = np.array([name for _, name in asked])
    whole, subject = _vectors(recogniser, photos)
    cut = _vectors(recogniser, photos, subject)[0]
    area = areas(subject[:, :4])
    hits = [names[(vectors @ stored.T).argmax(1)] == right for vectors in (whole, cut)]
    return _Asked(area, subject[:, 4], *hits)


def _recall(asked: _Asked, small: float, sure: float) -> float:
    return float(np.where(_is_cut(asked, small, sure), asked.crop, asked.whole).mean())


def _is_cut(asked: _Asked, small: float, sure: float) -> NDArray[np.bool_]:
    return (asked.area <= small) & (asked.score >= sure)


def _vectors(
    recogniser: Recogniser, photos: Sequence[bytes], subjects: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Image vectors and main subjects of photos, or of the subjects cut out of them."""
    vectors, found = [], []
    for number, data in enumerate(photos):
        pixels = recogniser.prepare(data)
        if subjects is not None:
            region = recogniser.cut_round(subjects[number], pixels.width, pixels.height)
            pixels = recogniser.prepare(data, region)
        one = recogniser.forward(pixels.pixels[None], [None])
        vectors.append(one.image[0])
        found.append(one.subject[0])
    return np.stack(vectors), np.stack(found)
