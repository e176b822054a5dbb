"""Shows photos to the model as a worker does and keeps what it said; between questions.py and guesses.py.

One pass over the files: decoding.py has the next batch ready while the device has the one before. A photo that cannot
be decoded fails alone; it is left out and named.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from recognition.photos import DecodedPhoto
from recognition.recogniser import Embeddings, Recogniser
from recognition.text import ProductText
from recognition.training.decoding import BATCH, decoded
from recognition.training.errors import DataError
from recognition.training.tables import Row

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
    steps = range(0, len(rows), BATCH)
    batches = zip(steps, decoded(recogniser, rows), strict=True)
    shown = track(
        batches, "looking at photos", len(steps), console=console, transient=True, disable=not console.is_terminal
    )
    for start, (_, answers) in shown:
        unreadable.extend(answer for answer in answers if isinstance(answer, str))
        photos = {start + at: answer for at, answer in enumerate(answers) if isinstance(answer, DecodedPhoto)}
        if not photos:
            continue
        pixels = np.stack([photo.pixels for photo in photos.values()])
        words = [texts[place] if texts else None for place in photos]
        looked = recogniser.forward(pixels, words)
        if cut:
            looked = _cut_out(recogniser, looked, [rows[place].path for place in photos], list(photos.values()), words)
        vectors.append((looked.image, looked.fused))
        odds.append(_odds(recogniser, pixels) if classify else {})
        places.extend(photos)
    if not places:
        raise DataError("\n".join(["No photo can be read.", *unreadable[:_SHOWN]]))
    image, fused = (np.concatenate(parts) for parts in zip(*vectors, strict=True))
    return Seen(places, image, fused, _joined(odds), unreadable)


def _cut_out(
    recogniser: Recogniser,
    looked: Embeddings,
    files: Sequence[Path],
    photos: Sequence[DecodedPhoto],
    words: Sequence[ProductText | None],
) -> Embeddings:
    """The same vectors, but of the main subject alone for those photos that have a small and sure one."""
    boxes = {
        at: box
        for at, photo in enumerate(photos)
        if (box := recogniser.main_subject(looked.subject[at], photo.width, photo.height)) is not None
    }
    if not boxes:
        return looked
    pixels = np.stack([recogniser.prepare(files[at].read_bytes(), box).pixels for at, box in boxes.items()])
    closer = recogniser.forward(pixels, [words[at] for at in boxes])
    image, fused = looked.image.copy(), looked.fused.copy()
    image[list(boxes)], fused[list(boxes)] = closer.image, closer.fused
    return replace(looked, image=image, fused=fused)


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
