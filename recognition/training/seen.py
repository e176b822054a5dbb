"""Shows photos to the model as a worker does and keeps what it said; between questions.py and guesses.py.

One pass over the files: two threads decode the next batch while the device has the one before. A photo that cannot be
decoded fails alone; it is left out and named.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from recognition.errors import PhotoError
from recognition.photos import Box, DecodedPhoto
from recognition.recogniser import Recogniser
from recognition.text import ProductText
from recognition.training.errors import DataError
from recognition.training.tables import Row

_BATCH = 16
_SHOWN = 10  # unreadable photos that one error names

Floats = NDArray[np.float32]
Odds = tuple[Floats, Floats | None]  # of one label set: fine [N, L], coarse [N, K]


@dataclass(frozen=True, eq=False)
class Seen:
    """What the model said to the `places` (of the rows given) that could be read, N of them.

    Unit vectors `image` and `fused` [N, D], and `odds` of every label set by its name. `unreadable`: a sentence for
    each of the others.
    """

    places: list[int]
    image: Floats
    fused: Floats
    odds: dict[str, Odds]
    unreadable: list[str]


def see(
    recogniser: Recogniser,
    rows: Sequence[Row],
    console: Console,
    *,
    texts: Sequence[ProductText] | None = None,
    classify: bool = False,
    cut: bool = False,
) -> Seen:
    """Show photos to the model, each with its text (None: photos alone).

    `classify`: by name, too. `cut`: vectors are of the main subject where it is small and sure, as a search sees it.
    Raises DataError where not one photo can be read.
    """
    places: list[int] = []
    unreadable: list[str] = []
    vectors: list[tuple[Floats, Floats]] = []
    odds: list[dict[str, Odds]] = []
    steps = range(0, len(rows), _BATCH)
    batches = zip(steps, _decoded(recogniser, rows), strict=True)
    shown = track(
        batches, "looking at photos", len(steps), console=console, transient=True, disable=not console.is_terminal
    )
    for start, decoded in shown:
        unreadable.extend(answer for answer in decoded if isinstance(answer, str))
        photos = {start + at: answer for at, answer in enumerate(decoded) if isinstance(answer, DecodedPhoto)}
        if not photos:
            continue
        pixels = np.stack([photo.pixels for photo in photos.values()])
        words = [texts[place] if texts else None for place in photos]
        looked = recogniser.forward(pixels, words)
        if cut:
            boxes = [
                recogniser.main_subject(found, photo.width, photo.height)
                for found, photo in zip(looked.subject, photos.values(), strict=True)
            ]
            looked = recogniser.forward(_cut_out(recogniser, rows, list(photos), pixels, boxes), words)
        vectors.append((looked.image, looked.fused))
        odds.append(_odds(recogniser, pixels) if classify else {})
        places.extend(photos)
    if not places:
        raise DataError("\n".join(["No photo can be read.", *unreadable[:_SHOWN]]))
    image, fused = (np.concatenate(parts) for parts in zip(*vectors, strict=True))
    return Seen(places, image, fused, _joined(odds), unreadable)


def _decoded(recogniser: Recogniser, rows: Sequence[Row]) -> Iterator[list[DecodedPhoto | str]]:
    """Batches of photos, or the sentence that says why one cannot be read; one batch is decoded ahead."""
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.map(lambda row: _open(recogniser, row), rows[:_BATCH])
        for start in range(_BATCH, len(rows) + _BATCH, _BATCH):
            ready, waiting = waiting, pool.map(lambda row: _open(recogniser, row), rows[start : start + _BATCH])
            yield list(ready)


def _open(recogniser: Recogniser, row: Row) -> DecodedPhoto | str:
    try:
        return recogniser.prepare(row.path.read_bytes())
    except PhotoError as error:
        reason = error.message
    except OSError as error:
        reason = f"It cannot be opened ({error.strerror})."
    return f"{row.path}: {reason}" if row.where == str(row.path) else f"{row.where}: {row.path}: {reason}"


def _cut_out(
    recogniser: Recogniser,
    rows: Sequence[Row],
    places: Sequence[int],
    pixels: NDArray[np.uint8],
    boxes: list[Box | None],
) -> NDArray[np.uint8]:
    """The same pixels, with the box cut out of those photos that have one."""
    if not any(boxes):
        return pixels
    cut = pixels.copy()
    for at, (place, box) in enumerate(zip(places, boxes, strict=True)):
        if box is not None:
            cut[at] = recogniser.prepare(rows[place].path.read_bytes(), box).pixels
    return cut


def _odds(recogniser: Recogniser, pixels: NDArray[np.uint8]) -> dict[str, Odds]:
    return {
        name: (odds.fine.float().cpu().numpy(), None if odds.coarse is None else odds.coarse.float().cpu().numpy())
        for name, odds in recogniser.classify(pixels).items()
    }


def _joined(batches: Sequence[dict[str, Odds]]) -> dict[str, Odds]:
    joined: dict[str, Odds] = {}
    for name in batches[0]:
        coarse = [batch[name][1] for batch in batches]
        whole = None if coarse[0] is None else np.concatenate([part for part in coarse if part is not None])
        joined[name] = (np.concatenate([batch[name][0] for batch in batches]), whole)
    return joined
