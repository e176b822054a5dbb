"""What training knows of a photo, and which photos are held out; after tables.py (files), before cache.py (pixels).

What is reported is measured on photos that training, calibration and every choice never saw. So each photo gets its
role here, by rules that depend on file names only:

    train       the network learns from it
    gallery     stored photo of a product that is held out whole
    calibrate   held out; used to stop early, to choose between models, to fit probabilities and thresholds
    report      held out; used for the reported figures, for nothing else
    copy        the same photo as a held-out one (leaks.py); not used at all
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from recognition.text import ProductText
from recognition.training.errors import DataError
from recognition.training.tables import Row, read_rows

Role = Literal["train", "gallery", "calibrate", "report", "copy"]

_ONE_IN = 8  # of a label's photos are held out for each purpose, where the data says nothing itself
_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class DataSet:
    """One `--data`: its name (also of its label set) and where it lies.

    `kinds`: photos with one label are not one product (ten kinds of garment, not ten garments). `whole`: some products
    are held out with all their photos, as a shop meets products that training never saw; else one view of each is.
    """

    name: str
    path: Path
    kinds: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Photo:
    """One photo of a data set.

    `product` names the thing in the photo across all sets; photos that share it are views of one thing. `label` and
    `coarse` are what the classifiers must tell (None: nothing). `words` names the text, which several things may
    share. `stored`: a shop would have it in its index. `where`: the file and line that speak of it, for errors. `name`:
    its path within the data set, wherever that lies.
    """

    path: Path
    source: str
    product: str
    role: Role
    text: ProductText
    words: str
    label: str | None = None
    coarse: str | None = None
    stored: bool = False
    where: str = ""
    name: str = ""


def read_photos(sets: Sequence[DataSet], roles: Mapping[str, Role] | None = None) -> list[Photo]:
    """All photos of the given sets, in a fixed order; `roles` says what "val" and "test" splits are used for.

    Raises DataError with every bad row it found.
    """
    names = [data.name for data in sets]
    if len(set(names)) < len(names):
        raise DataError(f"Two data sets have the same name: {', '.join(names)}. Name them: --data NAME=PATH.")
    return [photo for data in sets for photo in _read_set(data, roles or {})]


def check_trainable(photos: Sequence[Photo]) -> None:
    """Raises DataError when no photo is trained on, for a label set of one label, and for labels that no photo is
    trained on. To be asked again when photos got other roles: a label's training photos may all have become copies.
    """
    if not any(photo.role == "train" for photo in photos):
        copies = sum(photo.role == "copy" for photo in photos)
        reason = f"{copies} are copies of held-out ones" if copies else "name at least one data set that has some"
        raise DataError(f"There are no photos to train on: {reason}.")
    for source in dict.fromkeys(photo.source for photo in photos if photo.label is not None):
        known = {photo.label for photo in photos if photo.source == source and photo.role == "train"}
        if len(known - {None}) == 1:
            raise DataError(
                f"All photos of {source} have the one label {known.pop()!r}: there is nothing to tell apart."
            )
        for photo in photos:
            if photo.source == source and photo.label is not None and photo.label not in known:
                raise DataError(f"{photo.where}: no photo with the label {photo.label!r} is there to train on.")


def held_out_fold(photos: Sequence[Photo], fold: int, folds: int) -> list[Photo]:
    """The photos for one round of cross-validation: fold `fold` (from 1) of each label's training photos is reported.

    A fold is a run of photos by name, not a draw: photos taken one after the other stay together.
    """
    rows = _label_rows(photos)
    held = {
        number
        for group in rows.values()
        for number in group[len(group) * (fold - 1) // folds : len(group) * fold // folds]
    }
    return [_with_role(photo, "report") if number in held else photo for number, photo in enumerate(photos)]


def share(name: str, parts: int) -> int:
    """Which of `parts` equal parts a name falls into; the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % parts


def _read_set(data: DataSet, roles: Mapping[str, Role]) -> list[Photo]:
    rows = read_rows(data.path)
    photos = [_photo(data, row) for row in rows]
    if data.whole:
        return _left_out_products(photos)
    if all(row.label is None for row in rows):
        return _left_out_views(photos)
    if any(row.split for row in rows):
        return _held_out_by_split(photos, [split_of(row) for row in rows], roles)
    return _held_out_by_name(photos)


def _photo(data: DataSet, row: Row) -> Photo:
    thing = row.product or row.label or ""
    name = Path(os.path.relpath(row.path, data.path if data.path.is_dir() else data.path.parent)).as_posix()
    return Photo(
        path=row.path,
        source=data.name,
        product=f"{data.name}/{name if data.kinds else thing}",
        role="train",
        text=row.text,
        words=f"{data.name}/{thing}",
        label=row.label,
        coarse=row.coarse,
        stored=not data.kinds,
        where=row.where,
        name=name,
    )


def split_of(row: Row) -> str:
    """One of "train", "val" and "test"; what names none is trained on. Raises DataError for any other word."""
    if row.split.lower() in _SPLITS:
        return _SPLITS[row.split.lower()]
    if not row.split:
        return "train"
    raise DataError(f"{row.where}: {row.split!r} is no split; train, val or test is.")


def _held_out_by_split(photos: list[Photo], splits: list[str], roles: Mapping[str, Role]) -> list[Photo]:
    """The data's own splits. "val" calibrates where there is a "test" to report, else it is reported itself."""
    val: Role = "calibrate" if "test" in splits else "report"
    meaning: dict[str, Role] = {"train": "train", "val": val, "test": "report", **roles}
    photos = [_with_role(photo, meaning[split]) for photo, split in zip(photos, splits, strict=True)]
    if roles or any(photo.role == "calibrate" for photo in photos):
        return photos  # what the caller says is all that is held out
    return _last_of_each(photos, "calibrate")


def _held_out_by_name(photos: list[Photo]) -> list[Photo]:
    """Photos without splits: of every label the last by name are reported, those before them calibrate."""
    return _last_of_each(_last_of_each(photos, "report"), "calibrate")


def _last_of_each(photos: list[Photo], role: Role) -> list[Photo]:
    """Give a role to the last eighth of each label's training photos (at least one, where four are there).

    Names often count: the last photos were taken at another visit, which is harder and closer to what comes later.
    """
    last = {
        number
        for group in _label_rows(photos).values()
        if len(group) >= 4
        for number in group[len(group) - max(1, len(group) // _ONE_IN) :]
    }
    return [_with_role(photo, role) if number in last else photo for number, photo in enumerate(photos)]


def _label_rows(photos: Sequence[Photo]) -> dict[tuple[str, str | None], list[int]]:
    """The numbers of each label's training photos, by name."""
    rows: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for number in sorted(range(len(photos)), key=lambda number: photos[number].path.as_posix()):
        if photos[number].role == "train" and photos[number].label is not None:
            rows[photos[number].source, photos[number].label].append(number)
    return rows


def _left_out_views(photos: list[Photo]) -> list[Photo]:
    """Of every product with two or more photos, one photo (by the hash of its name) is held out."""
    out = {
        min(group, key=lambda number: share(photos[number].path.name, 2**32))
        for group in _product_rows(photos).values()
        if len(group) > 1
    }
    return [
        _with_role(photo, _half(photo.path.name)) if number in out else photo for number, photo in enumerate(photos)
    ]


def _left_out_products(photos: list[Photo], *, one_in: int = 3) -> list[Photo]:
    """One in so many products is held out whole: its clean first photo is stored, the others are looked for."""
    result = []
    for product, group in _product_rows(photos).items():
        held = share(product, one_in) == 0
        for place, number in enumerate(group):
            role: Role = "train" if not held else "gallery" if place == 0 else _half(product)
            result.append(replace(photos[number], role=role, stored=place == 0))
    return result


def _with_role(photo: Photo, role: Role) -> Photo:
    return replace(photo, role=role, stored=photo.stored and role == "train")


def _product_rows(photos: Sequence[Photo]) -> dict[str, list[int]]:
    """The numbers of each product's photos; numbers, as two products may share one file."""
    rows: dict[str, list[int]] = defaultdict(list)
    for number, photo in enumerate(photos):
        rows[photo.product].append(number)
    return rows


def _half(name: str) -> Role:
    return "calibrate" if share(f"half/{name}", 2) else "report"
