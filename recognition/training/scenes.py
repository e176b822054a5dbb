"""Photos as people take them, composed from a shop's own: before subject.py, which trains and measures on them.

Nobody has drawn boxes into the photos that products come with. So products are cut out of studio photos (cut, paste
and learn: Dwibedi et al., 2017) and put in front of something else, in any place and size, turned a little, one before
the other, each with its shadow; photos without a plain background are hung up as they are. Where each thing lies is
then known. A scene is made of a seed alone, so it can be made again.
"""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from recognition.boxes import Boxes
from recognition.training.cache import studio_mask
from recognition.training.data import share
from recognition.training.errors import DataError

Layout = Literal["subject", "filled", "room", "shelf", "empty"]

_SIDE = 320  # pixels of a thing's long side as it is kept: no scene shows it larger
_PARTS = 3  # one product in so many is held out: never in a scene that the head learns from
_COVERED = (0.04, 0.9)  # share of a studio photo that a product covers; outside of it the mask is not to be trusted
_VISIBLE = 0.35  # a thing of which less is to be seen is not asked for
_GRAIN = np.random.default_rng(0).normal(0, 30, (1024, 1024)).astype(np.float32)  # a part of it is a photo's noise
_PHOTO_TYPES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class ProductPhotos:
    """A product by name and its photos, the clean one first; `held_out`: the head must not learn from it."""

    name: str
    photos: tuple[Path, ...]
    held_out: bool


@dataclass(frozen=True, eq=False)
class Thing:
    """What is put into scenes: RGBA, cut close to the product, or a whole photo where there is no plain background."""

    image: Image.Image
    product: str
    cut_out: bool


@dataclass(frozen=True, eq=False)
class Scene:
    """`image` RGB; `boxes` float32 [N, 4] of what is visible, in parts of the image; `products` their N names."""

    image: Image.Image
    boxes: Boxes
    products: tuple[str, ...]


def read_products(folder: Path) -> list[ProductPhotos]:
    """The products of `folder/products.csv` or `folder/*/products.csv` (columns sku and images, joined by a bar).

    Paths are relative to `folder`, or to a folder `photos` in it. Held out is one product in three, by the hash of its
    name; training/data.py holds the same third of rendered products back. Raises DataError.
    """
    products = []
    tables = sorted([*folder.glob("products.csv"), *folder.glob("*/products.csv")])
    for table in tables:
        inner = "" if table.parent == folder else f"{table.parent.name}/"
        with table.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                name = f"{folder.name}/{inner}{row['sku']}"
                photos = tuple(_existing(folder, photo) for photo in row["images"].split("|") if photo)
                products.append(ProductPhotos(name, photos, share(name, _PARTS) == 0))
    if not products:
        raise DataError(f"{folder} has no products.csv with products in it.")
    return products


def read_backgrounds(folders: Iterable[Path]) -> list[Path]:
    """Every photo below these folders, in a fixed order."""
    return sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in _PHOTO_TYPES)


def read_thing(path: Path, product: str) -> Thing:
    """Cut a product out of its studio photo; a photo with any other background is taken whole. Raises DataError."""
    rgb = read_rgb(path, _SIDE)
    # The flood that finds the background takes four times as long at twice the side, and sees no more.
    mask, plain = studio_mask(np.asarray(rgb.resize((rgb.width // 2, rgb.height // 2), Image.Resampling.BOX)))
    covered = float((mask > 0).mean())
    if not plain or not _COVERED[0] < covered < _COVERED[1]:
        return Thing(rgb.convert("RGBA"), product, cut_out=False)
    # The rim mixes product and background: one pixel is taken off, the next is half transparent.
    alpha = Image.fromarray(mask).resize(rgb.size, Image.Resampling.BILINEAR)
    alpha = alpha.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.BoxBlur(1))
    image = rgb.convert("RGBA")
    image.putalpha(alpha)
    return Thing(image.crop(alpha.point(lambda value: 255 * (value > 127)).getbbox()), product, cut_out=True)


def read_rgb(path: Path, side: int) -> Image.Image:
    """A photo upright, its long side `side` pixels at most. Raises DataError where it cannot be decoded."""
    try:
        with Image.open(path) as image:
            image.draft("RGB", (side, side))
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except OSError as error:
        raise DataError(f"{path} cannot be decoded: {error}.") from error
    upright.thumbnail((side, side), Image.Resampling.BILINEAR)
    return upright


def compose(
    seed: int, layout: Layout, things: Sequence[Thing], background: Image.Image | None, size: tuple[int, int]
) -> Scene:
    """One scene of `size` (width, height) with some of these things in it.

    subject: one thing, small. filled: one thing, as large as the scene. room: one to six, anywhere. shelf: rows of
    them, side by side. empty: nothing. `background` is a photo to take a part of; None makes a colour or a gradient.
    """
    dice = Random(seed)
    canvas = _background(dice, background, size)
    painter = _Painter(dice, canvas)
    _LAYOUTS[layout](dice, painter, things)
    boxes, products = painter.visible()
    return Scene(_as_taken(dice, painter.canvas), boxes, products)


class _Painter:
    """Puts things on a canvas and knows which pixels of each are still to be seen."""

    def __init__(self, dice: Random, canvas: Image.Image) -> None:
        self.dice, self.canvas = dice, canvas
        self._owner = np.zeros((canvas.height, canvas.width), np.uint8)  # 0: nothing, else the thing's number from 1
        self._areas: list[int] = []
        self._products: list[str] = []

    @property
    def short(self) -> int:
        """The canvas's short side in pixels."""
        return min(self.canvas.size)

    def put(self, thing: Thing, side: float, middle: tuple[float, float], *, turn: float = 0.0) -> None:
        """Paste a thing, its long side `side` pixels, its middle there; `turn` in degrees."""
        scale = side / max(thing.image.size)
        across, down = (max(2, round(at * scale)) for at in thing.image.size)
        small = thing.image.resize((across, down), Image.Resampling.BILINEAR)
        small = self._lit(small).rotate(turn, Image.Resampling.BILINEAR, expand=True)
        left, top = round(middle[0] - small.width / 2), round(middle[1] - small.height / 2)
        alpha = small.getchannel("A")
        self._shadow(alpha, left, top)
        self.canvas.paste(small, (left, top), alpha)
        self._own(alpha, left, top, thing.product)

    def visible(self) -> tuple[Boxes, tuple[str, ...]]:
        """Boxes of what can be seen of each thing, and the products; things that are hidden too far are left out."""
        height, width = self._owner.shape
        boxes, products = [], []
        for number, (area, product) in enumerate(zip(self._areas, self._products, strict=True), start=1):
            rows, columns = np.nonzero(self._owner == number)
            if len(rows) < max(16, _VISIBLE * area):
                continue
            boxes.append((columns.min() / width, rows.min() / height, (columns.max() + 1) / width,
                          (rows.max() + 1) / height))  # fmt: skip
            products.append(product)
        return np.array(boxes, np.float32).reshape(-1, 4), tuple(products)

    def _lit(self, image: Image.Image) -> Image.Image:
        rgb = ImageEnhance.Brightness(image.convert("RGB")).enhance(self.dice.uniform(0.75, 1.15))
        rgb = ImageEnhance.Contrast(rgb).enhance(self.dice.uniform(0.8, 1.15))
        rgb.putalpha(image.getchannel("A"))
        return rgb

    def _shadow(self, alpha: Image.Image, left: int, top: int) -> None:
        """Darken the canvas a little beside and below a thing, softly."""
        strength = self.dice.uniform(0.0, 0.5)
        soft = max(2, round(0.06 * max(alpha.size)))
        aside, below = self.dice.randint(-soft, soft), self.dice.randint(0, 2 * soft)
        room = Image.new("L", (alpha.width + 4 * soft, alpha.height + 4 * soft))
        room.paste(alpha.point(lambda value: round(value * strength)), (2 * soft, 2 * soft))
        dark = room.filter(ImageFilter.BoxBlur(soft))
        self.canvas.paste((0, 0, 0), (left - 2 * soft + aside, top - 2 * soft + below), dark)

    def _own(self, alpha: Image.Image, left: int, top: int, product: str) -> None:
        solid = np.asarray(alpha) > 127
        self._areas.append(int(solid.sum()))
        self._products.append(product)
        height, width = self._owner.shape
        rows, columns = slice(max(0, -top), max(0, height - top)), slice(max(0, -left), max(0, width - left))
        shown = solid[rows, columns]
        here = self._owner[max(0, top) :, max(0, left) :][: shown.shape[0], : shown.shape[1]]
        here[shown] = len(self._areas)


def _subject(dice: Random, painter: _Painter, things: Sequence[Thing]) -> None:
    side = painter.short * dice.uniform(0.18, 0.6)
    painter.put(dice.choice(things), side, _somewhere(dice, painter, side), turn=dice.gauss(0, 10))


def _filled(dice: Random, painter: _Painter, things: Sequence[Thing]) -> None:
    thing = dice.choice(things)
    width, height = painter.canvas.size
    grown = dice.uniform(0.75, 1.0) if thing.cut_out else 1.02 * max(max(width, height) / min(thing.image.size), 1)
    side = grown * painter.short if thing.cut_out else grown * max(thing.image.size)
    painter.put(thing, side, (width / 2, height / 2), turn=dice.gauss(0, 6) if thing.cut_out else 0.0)


def _room(dice: Random, painter: _Painter, things: Sequence[Thing]) -> None:
    taken: list[tuple[float, float, float]] = []
    for _ in range(dice.randint(1, 6)):
        side = painter.short * dice.uniform(0.15, 0.55)
        middle = _apart(dice, painter, side, taken)
        if middle:
            taken.append((*middle, side))
            painter.put(dice.choice(things), side, middle, turn=dice.gauss(0, 12))


def _shelf(dice: Random, painter: _Painter, things: Sequence[Thing]) -> None:
    width, height = painter.canvas.size
    rows = dice.randint(1, 3)
    row_height = height / rows
    board = Image.new("RGB", (width, max(2, round(0.04 * row_height))), tuple(dice.randint(30, 230) for _ in range(3)))
    for row in range(rows):
        floor = (row + 1) * row_height - board.height
        painter.canvas.paste(board, (0, round(floor)))
        left = dice.uniform(0, 0.1) * width
        while left < 0.9 * width:
            thing = dice.choice(things)
            tall = row_height * dice.uniform(0.55, 0.85)
            scale = min(tall / thing.image.height, 0.45 * width / thing.image.width)
            across, tall = thing.image.width * scale, thing.image.height * scale
            if left + across > width:
                break
            painter.put(thing, max(across, tall), (left + across / 2, floor - tall / 2), turn=dice.gauss(0, 2))
            left += across * dice.uniform(0.9, 1.6)


def _empty(dice: Random, painter: _Painter, things: Sequence[Thing]) -> None:
    """Only the background."""


_LAYOUTS: dict[Layout, Callable[[Random, _Painter, Sequence[Thing]], None]] = {
    "subject": _subject,
    "filled": _filled,
    "room": _room,
    "shelf": _shelf,
    "empty": _empty,
}


def _somewhere(dice: Random, painter: _Painter, side: float) -> tuple[float, float]:
    """A middle at which a thing of this side lies within the canvas."""
    width, height = painter.canvas.size
    return dice.uniform(side / 2, width - side / 2), dice.uniform(side / 2, height - side / 2)


def _apart(
    dice: Random, painter: _Painter, side: float, taken: Sequence[tuple[float, float, float]]
) -> tuple[float, float] | None:
    """A middle that hides little of what is there already; None where none was found soon."""
    for _ in range(12):
        x, y = _somewhere(dice, painter, side)
        if all(max(abs(x - left), abs(y - top)) > 0.4 * (side + other) for left, top, other in taken):
            return x, y
    return None


def _background(dice: Random, photo: Image.Image | None, size: tuple[int, int]) -> Image.Image:
    """A part of a photo, often out of focus; or a gradient between two colours, from top to bottom or to the side."""
    if photo is not None:
        share_kept = dice.uniform(0.4, 1.0)
        width, height = (max(8, round(side * share_kept)) for side in photo.size)
        left, top = dice.randint(0, photo.width - width), dice.randint(0, photo.height - height)
        part = photo.resize(size, Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
        return part.filter(ImageFilter.BoxBlur(dice.choice((0, 2, 5, 9))))
    first, second = (np.array([dice.randint(0, 255) for _ in range(3)], np.float32) for _ in range(2))
    second = first + (second - first) * dice.choice((0.0, 0.3, 1.0))
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[:, None, None].repeat(64, 1)
    colours = first + (second - first) * (ramp if dice.random() < 0.7 else ramp.transpose(1, 0, 2))
    return Image.fromarray(colours.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)


def _as_taken(dice: Random, image: Image.Image) -> Image.Image:
    """The light of the room and the noise of the phone."""
    image = ImageEnhance.Brightness(image).enhance(dice.uniform(0.7, 1.2))
    image = ImageEnhance.Color(image).enhance(dice.uniform(0.7, 1.2))
    left, top = (dice.randrange(_GRAIN.shape[0] - side) for side in (image.width, image.height))
    grain = _GRAIN[top : top + image.height, left : left + image.width, None] * dice.uniform(0, 0.2)
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))


def _existing(folder: Path, photo: str) -> Path:
    for path in (folder / photo, folder / "photos" / photo):
        if path.is_file():
            return path
    raise DataError(f"{folder / photo} is named in a products.csv, but there is no such photo.")
