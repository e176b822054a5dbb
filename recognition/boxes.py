"""Rectangles in photos: how much two overlap, which of many to keep, where a box of a cut-out lies in the photo.

Between the network's proposals (before) and crops, items and screens (after). numpy only. A box is left, top, right,
bottom in parts (0..1) of the upright photo, or of whatever square was shown to the network; a frame is the box of that
square in the photo, and may reach beyond it (a letterbox).
"""

import numpy as np
from numpy.typing import NDArray

from recognition.photos import Box

Boxes = NDArray[np.float32]

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


def overlaps(one: Boxes, other: Boxes) -> NDArray[np.float32]:
    """Intersection over union of each box [N, 4] with each of the others [M, 4]: [N, M], 0 for empty boxes."""
    corner = np.maximum(one[:, None, :2], other[None, :, :2])
    end = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.prod(np.clip(end - corner, 0, None), axis=-1)
    union = areas(one)[:, None] + areas(other)[None, :] - shared
    return np.where(union > 0, shared / np.where(union > 0, union, 1), 0).astype(np.float32)


def areas(boxes: Boxes) -> NDArray[np.float32]:
    """Shares of the frame that boxes [N, 4] cover: [N]."""
    return np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=-1).astype(np.float32)


def keep_best(boxes: Boxes, scores: NDArray[np.float32], *, overlap: float, limit: int) -> list[int]:
    """Greedy non-maximum suppression: places of at most `limit` boxes, the best first.

    A box goes when it overlaps a better one by more than `overlap` (intersection over union).
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order) and len(kept) < limit:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        order = order[overlaps(boxes[best : best + 1], boxes[order])[0] <= overlap]
    return kept


def middle_square(width: int, height: int, crop: float = 1.0) -> Box:
    """The frame of a photo decoded as usual: its middle square, `crop` times the short side."""
    return _square_frame(width, height, crop * min(width, height))


def letterbox(width: int, height: int) -> Box:
    """The frame of a whole photo in a square: as large as the long side, so it reaches beyond the photo."""
    return _square_frame(width, height, max(width, height))


def _square_frame(width: int, height: int, side: float) -> Box:
    """The square of `side` pixels round the middle of a photo."""
    across, down = side / width / 2, side / height / 2
    return (0.5 - across, 0.5 - down, 0.5 + across, 0.5 + down)


def to_photo(boxes: Boxes, frame: Box) -> Boxes:
    """Boxes [N, 4] in parts of a frame, as parts of the photo, cut at the photo's edges."""
    left, top, right, bottom = frame
    scale = np.array([right - left, bottom - top] * 2, np.float32)
    return np.clip(boxes * scale + np.array([left, top] * 2, np.float32), 0, 1).astype(np.float32)


def to_frame(boxes: Boxes, frame: Box) -> Boxes:
    """Boxes [N, 4] in parts of the photo, as parts of a frame, cut at the frame's edges."""
    left, top, right, bottom = frame
    scale = np.array([right - left, bottom - top] * 2, np.float32)
    return np.clip((boxes - np.array([left, top] * 2, np.float32)) / scale, 0, 1).astype(np.float32)


def square_round(box: Box, width: int, height: int, margin: float) -> Box:
    """The square (in pixels) round a box, `margin` times its long side wider all round, pushed into the photo.

    The network looks at squares: a tall box cut out as it is would lose its ends. A square that would be larger than
    the photo's short side is that short side.
    """
    left, top, right, bottom = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    side = min(max(right - left, bottom - top, 1.0) * (1 + 2 * margin), width, height)
    x = min(max((left + right - side) / 2, 0.0), width - side)
    y = min(max((top + bottom - side) / 2, 0.0), height - side)
    return (x / width, y / height, min((x + side) / width, 1.0), min((y + side) / height, 1.0))


def as_box(values: Boxes) -> Box:
    """One row as a plain tuple, rounded to a hundredth of a per cent."""
    left, top, right, bottom = (round(float(value), 4) for value in values)
    return (left, top, right, bottom)
