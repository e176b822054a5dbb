"""The parts of a photo that are embedded each for itself: the main subject, or each of many things.

Used by ``pipeline`` between the first look at a photo and the index, and after it, where two cuts turn out to be the
same thing. Where and why a photo is cut: docs/decisions/scenes.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from recognition.boxes import WHOLE, Boxes, overlaps
from recognition.decide import Decision
from recognition.fingerprint import fingerprint, sketch
from recognition.photos import Box
from recognition.proposals import Proposals
from workers.batching import DeviceItem, ItemVectors
from workers.contract import Candidate, FoundItem
from workers.line import Line
from workers.metrics import stage

SAME_THING = 0.3  # intersection over union from which two cuts that mean one product are one thing

Size = tuple[int, int]  # width and height of the upright photo in pixels
Found = tuple[Box, Box]  # a thing, and the square that is cut out round it


@dataclass(eq=False)
class Cut:
    """A part of a photo on its way to a verdict.

    ``box``: where the thing is; None where the whole photo counts. ``square``: what is compared round it, if more.
    """

    item: DeviceItem
    box: Box | None = None
    square: Box | None = None
    decision: Decision | None = None
    candidates: tuple[Candidate, ...] = ()

    @property
    def vectors(self) -> ItemVectors:
        """What the device made of it; waits for it, and raises what went wrong."""
        return self.item.future.result()

    def outcome(self, decision: Decision) -> FoundItem:
        """What goes back to the coordinator."""
        return FoundItem(
            box=self.box or WHOLE,
            cut=self.square,
            verdict=decision.verdict,
            reason=decision.reason,
            candidates=self.candidates,
            **self._marks(),
        )

    def _marks(self) -> dict[str, str]:
        """By which the review desk tells look-alikes."""
        pixels, vector = self.item.pixels, self.vectors.image
        return {
            "fingerprint": "" if pixels is None else fingerprint(pixels),
            "sketch": "" if vector is None else sketch(vector),
        }


def main_subject(line: Line, vectors: ItemVectors, size: Size | None) -> Box | None:
    """The square round a photo's main subject where it is small in the frame; None: the whole photo is looked at."""
    if size is None or vectors.subject is None:
        return None
    return line.recogniser.main_subject(vectors.subject, *size)


def things(line: Line, proposals: Proposals, size: Size | None, region: Box | None) -> list[Found]:
    """The things found in a whole photo; with a region, those whose middle lies in it."""
    return line.recogniser.things(proposals, *size, region) if size else []


def cut_out(line: Line, key: str, found: Sequence[Found]) -> list[Cut]:
    """Decode these parts of a photo. Its bytes are read again: to keep those of a whole chunk would cost too much."""
    if not found:
        return []
    with stage("decode"):
        parts = line.recogniser.prepare_regions(line.store.read(key), [square for _, square in found], line.limits)
    return [Cut(DeviceItem(pixels=pixels), *place) for pixels, place in zip(parts, found, strict=True)]


def without_doubles(cuts: Sequence[Cut]) -> list[Cut]:
    """One cut a thing, the likeliest first: of overlapping cuts that mean the same product only the likeliest stays."""
    kept: list[Cut] = []
    for cut in sorted(cuts, key=_probability, reverse=True):
        same = [other for other in kept if _product(other) == _product(cut)]
        if not (overlaps(_boxes([cut]), _boxes(same)) > SAME_THING).any():
            kept.append(cut)
    return kept


def _boxes(cuts: Sequence[Cut]) -> Boxes:
    return np.array([cut.box or WHOLE for cut in cuts], np.float32).reshape(-1, 4)


def _probability(cut: Cut) -> float:
    return cut.candidates[0].probability or 0.0 if cut.candidates else 0.0


def _product(cut: Cut) -> UUID | None:
    return cut.candidates[0].product_id if cut.candidates else None
