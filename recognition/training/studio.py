"""Scenes by number, and how the backbone sees them; between scenes.py and the training of the head in subject.py.

A studio composes the same scene for the same number again. What is seen of it is kept as feature maps: the backbone is
frozen, so each scene goes through it once, however many rounds the head learns.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from recognition.boxes import Boxes, letterbox, middle_square, to_frame
from recognition.proposals import points
from recognition.recogniser import Recogniser
from recognition.training.errors import DataError
from recognition.training.scenes import Layout, ProductPhotos, Scene, Thing, compose, read_rgb, read_thing

Layouts = Sequence[tuple[Layout, float]]

NEAR: Layouts = (("subject", 0.5), ("filled", 0.3), ("room", 0.1), ("empty", 0.1))
WIDE: Layouts = (("room", 0.45), ("shelf", 0.35), ("subject", 0.1), ("empty", 0.1))

_SHAPES = ((448, 336), (336, 448), (448, 448), (448, 300))
_PHOTO_BACKGROUND = 0.75  # share of scenes in front of a photo
_MOST_BACKGROUNDS = 600


class Studio:
    """Composes scenes out of products and backgrounds; each number makes the same scene again."""

    def __init__(self, products: Sequence[ProductPhotos], backgrounds: Sequence[Path], seed: int) -> None:
        """Reads every photo of the products. Raises DataError where there are none."""
        if not products:
            raise DataError("There are no products to compose scenes of.")
        self._seed = seed
        read = [read_thing(photo, product.name) for product in products for photo in product.photos]
        self.cut_outs = [thing for thing in read if thing.cut_out] or read
        self.things: list[Thing] = read
        chosen = Random(seed).sample(list(backgrounds), min(len(backgrounds), _MOST_BACKGROUNDS))
        self._backgrounds = [read_rgb(path, 288) for path in chosen]

    def scene(self, number: int, layout: Layout, size: tuple[int, int]) -> Scene:
        """Scene `number` of this layout and size; mostly cut-outs, on shelves and filled photos also whole photos."""
        dice = Random(f"{self._seed}/{number}/{layout}")
        things = self.things if layout in ("shelf", "filled") else self.cut_outs
        some = [dice.choice(things) for _ in range(12)]
        behind = dice.choice(self._backgrounds) if self._backgrounds and dice.random() < _PHOTO_BACKGROUND else None
        return compose(dice.getrandbits(32), layout, some, behind, size)


@dataclass(frozen=True, eq=False)
class Seen:
    """Scenes as the backbone saw them, all at one size.

    `maps` float16 [S, C, h, w]; `kinds` int8 [S, h*w]: 1 where a thing's middle part is, 0 elsewhere, -1 where it is
    better not asked; `wanted` float32 [S, h*w, 4]: the box of that thing. `boxes`: S arrays of all boxes [N, 4].
    """

    maps: NDArray[np.float16]
    kinds: NDArray[np.int8]
    wanted: Boxes
    boxes: list[Boxes]


def see_scenes(
    recogniser: Recogniser,
    studio: Studio,
    layouts: Layouts,
    count: int,
    *,
    near: bool,
    console: Console,
) -> Seen:
    """Compose scenes and run them through the backbone: `near` at the served size, else as whole photos."""
    side = recogniser.bundle.preprocessing.size
    maps, boxes, started = [], [], time.perf_counter()
    for number in range(count):
        dice = Random(number)
        (layout,) = dice.choices([name for name, _ in layouts], [weight for _, weight in layouts])
        scene = studio.scene(number, layout, (2 * side, 2 * side) if near else dice.choice(_SHAPES))
        pixels, framed = as_seen(recogniser, scene, near=near)
        with torch.inference_mode():
            _, seen = recogniser.model.image.see(recogniser.pixels_to_input(pixels[None]))
        maps.append(seen[0].float().contiguous().numpy().astype(np.float16))
        boxes.append(framed)
        if (number + 1) % 200 == 0 or number + 1 == count:
            rate = (number + 1) / (time.perf_counter() - started)
            console.print(f"{number + 1} of {count} {'near' if near else 'wide'} scenes, {rate:.0f} a second")
    height, width = maps[0].shape[-2:]
    targets = [targets_of(each, height, width) for each in boxes]
    return Seen(np.stack(maps), np.stack([kind for kind, _ in targets]), np.stack([box for _, box in targets]), boxes)


def as_seen(recogniser: Recogniser, scene: Scene, *, near: bool) -> tuple[NDArray[np.uint8], Boxes]:
    """A scene as photos come in (JPEG, decoded, resized), and its boxes in parts of the pixels."""
    data = jpeg_of(scene.image)
    width, height = scene.image.size
    if near:
        frame = middle_square(width, height, recogniser.bundle.preprocessing.crop)
        return recogniser.prepare(data).pixels, to_frame(scene.boxes, frame)
    return recogniser.prepare_whole(data).pixels, to_frame(scene.boxes, letterbox(width, height))


def jpeg_of(image: Image.Image) -> bytes:
    """A picture as the bytes of a photo."""
    file = BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def targets_of(boxes: Boxes, height: int, width: int) -> tuple[NDArray[np.int8], Boxes]:
    """What the head should say at each point of a map: kinds [h*w] and boxes [h*w, 4] (see Seen).

    The middle half of a thing is where it is found, and always the cell of its very middle; on the rest of it the head
    may say what it likes. Where things lie over each other, the smaller one is meant.
    """
    middles = points(height, width, torch.device("cpu")).numpy()
    kinds = np.zeros(len(middles), np.int8)
    wanted = np.zeros((len(middles), 4), np.float32)
    sizes = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for box in boxes[np.argsort(-sizes)]:
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
        away = np.abs(middles - middle)
        inner = (away <= half / 2).all(1)
        column, row = np.minimum((middle * [width, height]).astype(int), [width - 1, height - 1])
        inner[row * width + column] = True
        kinds[(away <= half).all(1) & ~inner] = -1
        kinds[inner], wanted[inner] = 1, box
    return kinds, wanted
