"""Decodes many photos as a worker does, a batch ahead of the network; for ranking.py, label_calibration.py, seen.py."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recognition.errors import PhotoError
from recognition.photos import DecodedPhoto
from recognition.recogniser import Recogniser
from recognition.training.data import Photo
from recognition.training.errors import DataError
from recognition.training.tables import Row

BATCH = 16

Named = TypeVar("Named", Photo, Row)
Batch = tuple[Sequence[Named], list[DecodedPhoto | str]]


def decoded(recogniser: Recogniser, photos: Sequence[Named]) -> Iterator[Batch[Named]]:
    """Batches of photos as the network wants them, each with a sentence where one cannot be read.

    Two threads decode the next batch while the caller uses one.
    """
    with ThreadPoolExecutor(2) as pool:

        def begin(start: int) -> tuple[Sequence[Named], Iterator[DecodedPhoto | str]]:
            batch = photos[start : start + BATCH]
            return batch, pool.map(lambda photo: _open(recogniser, photo), batch)

        waiting = begin(0)
        for start in range(BATCH, len(photos) + BATCH, BATCH):
            (batch, found), waiting = waiting, begin(start)
            yield batch, list(found)


def pixel_batches(
    recogniser: Recogniser, photos: Sequence[Photo]
) -> Iterator[tuple[Sequence[Photo], NDArray[np.uint8]]]:
    """Batches of photos and their pixels uint8 [N, S, S, 3]. Raises DataError naming one that cannot be read."""
    for batch, found in decoded(recogniser, photos):
        if broken := [each for each in found if isinstance(each, str)]:
            raise DataError("\n".join(broken))
        yield batch, np.stack([each.pixels for each in found if isinstance(each, DecodedPhoto)])


def _open(recogniser: Recogniser, photo: Photo | Row) -> DecodedPhoto | str:
    """A photo, or the sentence that says why there is none."""
    try:
        return recogniser.prepare(photo.path.read_bytes())
    except PhotoError as error:
        reason = error.message
    except OSError as error:
        reason = f"It cannot be opened ({error.strerror})."
    return f"{photo.path}: {reason}" if photo.where == str(photo.path) else f"{photo.where}: {photo.path}: {reason}"
