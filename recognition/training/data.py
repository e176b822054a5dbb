"""Reads data sets into one list of photos with roles; the first step of training and of evaluation.

What is reported is measured on photos that training, calibration and every choice never saw. So each photo gets its
role here, by rules that depend on file names only:

    train       the network learns from it
    gallery     stored photo of a product that is held out whole
    calibrate   held out; used to choose between models, to fit probabilities and thresholds
    report      held out; used for the reported figures, for nothing else
"""

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from recognition.text import ProductText

Role = Literal["train", "gallery", "calibrate", "report"]

_PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


class DataError(Exception):
    """A data set that cannot be read; the message says which file and line is wrong."""


@dataclass(frozen=True)
class Sources:
    """Where the data sets lie; None leaves one out. `photos` is one's own: a folder a product, photos inside.

    `renders` and `unseen` have the same form; of the second nothing is trained on.
    """

    grocery: Path | None = None
    clothing: Path | None = None
    catalogues: Path | None = None
    renders: Path | None = None
    unseen: Path | None = None
    photos: Path | None = None


@dataclass(frozen=True)
class Photo:
    """One photo of a data set.

    `product` names the thing in the photo across all sets; photos that share it are views of one thing. `label` is
    the class that the vector must tell (None: none), `kind` the coarser class that only the features must tell.
    `words` names the text, which several things may share. `stored`: a shop would have it in its index.
    """

    path: Path
    source: str
    product: str
    role: Role
    text: ProductText
    words: str
    label: str | None = None
    kind: str | None = None
    stored: bool = False


def read_photos(sources: Sources) -> list[Photo]:
    """All photos of the given sets, in a fixed order. Raises DataError, also when there is nothing to train on."""
    photos: list[Photo] = []
    if sources.grocery:
        photos += _grocery(sources.grocery)
    if sources.clothing:
        photos += _clothing(sources.clothing)
    if sources.catalogues:
        for shop in sorted(sources.catalogues.glob("*/products.csv")):
            photos += _left_out_views(_shop(shop, sources.catalogues, "catalogue", prefix=f"{shop.parent.name}/"))
    if sources.renders:
        photos += _left_out_products(_shop(sources.renders / "products.csv", sources.renders, "renders"), one_in=3)
    if sources.unseen:
        photos += _left_out_products(_shop(sources.unseen / "products.csv", sources.unseen, "unseen"), one_in=1)
    if sources.photos:
        photos += _left_out_views(_folders(sources.photos))
    if not any(photo.role == "train" for photo in photos):
        raise DataError("There are no photos to train on: name at least one data set that has some.")
    return photos


def share(name: str, parts: int) -> int:
    """Which of `parts` equal parts a name falls into; the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % parts


def _rows(path: Path, columns: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Lines of a CSV file with their numbers. Raises DataError where the file or a column is missing."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = set(columns) - set(reader.fieldnames or ())
            if missing:
                raise DataError(f"{path} has no column {', '.join(sorted(missing))}.")
            yield from ((reader.line_num, row) for row in reader)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _existing(path: Path, csv_path: Path, line: int) -> Path:
    if not path.is_file():
        raise DataError(f"{csv_path}, line {line}: there is no photo {path}.")
    return path


def _grocery(folder: Path) -> list[Photo]:
    """Grocery Store Dataset: the last eighth of each class's training photos (a later shop visit) calibrates."""
    products: dict[str, Photo] = {}
    for line, row in _rows(folder / "products.csv", ("sku", "title", "category", "description", "images")):
        path = _existing(folder / row["images"], folder / "products.csv", line)
        text = ProductText(row["title"], category=row["category"], description=row["description"])
        name = f"grocery/{row['sku']}"
        products[row["sku"]] = Photo(
            path, "grocery", name, "train", text, name, label=row["sku"], kind=row["category"], stored=True
        )
    classes: dict[str, list[Photo]] = defaultdict(list)
    for line, row in _rows(folder / "photos.csv", ("path", "split", "fine_id", "coarse")):
        path = _existing(folder / row["path"], folder / "photos.csv", line)
        if row["fine_id"] not in products:
            raise DataError(f"{folder / 'photos.csv'}, line {line}: unknown class {row['fine_id']}.")
        role: Role = "train" if row["split"] == "train" else "report"
        photo = replace(products[row["fine_id"]], path=path, role=role, kind=row["coarse"], stored=role == "train")
        classes[f"{row['split']}/{row['fine_id']}"].append(photo)
    photos = []
    for name in sorted(classes):
        group = sorted(classes[name], key=lambda photo: photo.path.name)
        keep = len(group) - len(group) // 8 if name.startswith("train/") else len(group)
        photos += group[:keep]
        photos += [replace(photo, role="calibrate", stored=False) for photo in group[keep:]]
    icons = [replace(icon, kind=_kind_of(icon, photos)) for icon in products.values()]
    return icons + photos


def _kind_of(icon: Photo, photos: list[Photo]) -> str | None:
    """The photos' own name of an icon's coarse class (the two files spell it differently)."""
    return next((photo.kind for photo in photos if photo.product == icon.product), None)


def _clothing(folder: Path) -> list[Photo]:
    """Every garment is its own thing; its label is a kind, and the word by which it can be found."""
    photos = []
    for line, row in _rows(folder / "photos.csv", ("path", "split", "label")):
        path = _existing(folder / row["path"], folder / "photos.csv", line)
        role: Role = "train" if row["split"] == "train" else "report"
        text = ProductText(category=row["label"])
        photos.append(
            Photo(path, "clothing", f"clothing/{path.stem}", role, text, f"clothing/{row['label']}", kind=row["label"])
        )
    return photos


def _shop(path: Path, root: Path, source: str, prefix: str = "") -> list[Photo]:
    """A products.csv of the sample format; photo paths are relative to `root`; the first photo is the clean one."""
    photos = []
    for line, row in _rows(path, ("sku", "title", "brand", "category", "price", "currency", "description", "images")):
        text = ProductText(
            row["title"], row["brand"], row["category"], row["description"], _price(row, path, line), row["currency"]
        )
        name = f"{source}/{prefix}{row['sku']}"
        for image in row["images"].split("|"):
            photo = _existing(root / image, path, line)
            photos.append(Photo(photo, source, name, "train", text, name, label=prefix + row["sku"], stored=True))
    return photos


def _price(row: dict[str, str], path: Path, line: int) -> float | None:
    try:
        return float(row["price"]) if row["price"] else None
    except ValueError as error:
        raise DataError(f"{path}, line {line}: {row['price']!r} is no price.") from error


def _folders(root: Path) -> list[Photo]:
    """One's own photos: a folder a product, its name is the product's title."""
    photos = []
    for folder in sorted(child for child in root.iterdir() if child.is_dir()):
        text = ProductText(folder.name.replace("_", " "))
        name = f"photos/{folder.name}"
        for path in sorted(child for child in folder.iterdir() if child.suffix.lower() in _PHOTO_SUFFIXES):
            photos.append(Photo(path, "photos", name, "train", text, name, label=folder.name, stored=True))
    return photos


def _by_product(photos: list[Photo]) -> dict[str, list[Photo]]:
    groups: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        groups[photo.product].append(photo)
    return groups


def _half(name: str) -> Role:
    return "calibrate" if share(f"half/{name}", 2) else "report"


def _left_out_views(photos: list[Photo]) -> list[Photo]:
    """Of every product with two or more photos, one photo (by the hash of its name) is held out."""
    result = []
    for group in _by_product(photos).values():
        out = min(group, key=lambda photo: share(photo.path.name, 2**32)) if len(group) > 1 else None
        result += [
            replace(photo, role=_half(photo.path.name), stored=False) if photo is out else photo for photo in group
        ]
    return result


def _left_out_products(photos: list[Photo], *, one_in: int) -> list[Photo]:
    """One in so many products is held out whole: its clean first photo is stored, the others are looked for."""
    result = []
    for product, group in _by_product(photos).items():
        held = share(product, one_in) == 0
        for place, photo in enumerate(group):
            role: Role = "train" if not held else "gallery" if place == 0 else _half(product)
            result.append(replace(photo, role=role, stored=place == 0))
    return result
