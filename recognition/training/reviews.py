"""Decisions of reviewers as labelled photos: reads what `manage.py export_decisions FOLDER --photos` wrote.

Stands beside data.py, which reads data that has splits or names to split by. Decisions grow from export to export, so
here the role of a photo comes from what it is: from the hash of its content, or of what it was sent with. Photos that
were sent together, near-copies, and all items of one photo get one role, the strictest that any of them drew; so no
photo that was held out is ever trained on while decisions are added. Roles that the run of the starting bundle gave
(its photos.csv) go before the draw, and a photo that was trained on is never measured afterwards.

Accepted and corrected photos are learnt from. Rejected ones are not: they have no product, hence no text, and training
shows photos with texts. Nor is what nobody could tell, or what was split (its parts have decisions of their own).
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image, ImageOps

from recognition.text import ProductText
from recognition.training.data import Photo, Role, share
from recognition.training.errors import DataError
from recognition.training.leaks import Prints, copies, fingerprints
from recognition.training.photo_list import run_roles
from recognition.training.tables import PHOTO_SUFFIXES, Faults

DECISIONS = "decisions.jsonl"
CUTS = "cuts"  # parts of photos, beside the photos; made when they are first read

_ONE_IN = 8  # photos are held out for each purpose, as in data.py
_STRICTER: tuple[Role, ...] = ("train", "calibrate", "report")
_LEARNT = ("accepted", "corrected")
_STATES = (*_LEARNT, "rejected", "unknown", "split")

Box = tuple[float, float, float, float]  # left, top, right, bottom, 0 to 1 of the upright photo


@dataclass(frozen=True)
class Reviews:
    """One `--from-reviews`: its name (also of its label set), the file or its folder, and what a label is."""

    name: str
    path: Path
    label: Literal["product", "category"] = "product"

    @property
    def file(self) -> Path:
        """The decisions; photos lie beside it."""
        return self.path / DECISIONS if self.path.is_dir() else self.path


@dataclass(frozen=True)
class _Shown:
    """One decision that teaches something: the photo (all of its file, or the part in `box`) shows the product."""

    where: str
    file: Path
    box: Box | None
    sent_with: str
    sku: str
    category: str
    text: ProductText


def read_reviews(reviews: Reviews, before: Path | None = None) -> tuple[list[Photo], str]:
    """The photos of the decisions, by content and place, and a sentence about what was left out.

    `before`: the folder of the run that made the starting bundle, whose roles are kept. A label is left out until a
    photo of it falls to training. Raises DataError that names every bad line.
    """
    shown, left_out = _read(reviews.file)
    shown = list({(each.file, each.box, each.sku): each for each in shown}.values())  # the same bytes sent twice
    files = sorted({each.file for each in shown})
    prints = fingerprints(files)
    content = dict(zip(files, prints.content, strict=True))
    roles = _roles(shown, prints, run_roles(before) if before else {})
    shown.sort(key=lambda each: (content[each.file], each.box or (), each.sku))
    photos = [_photo(reviews, each, content[each.file], roles[each.file]) for each in shown]
    learnt = {photo.label for photo in photos if photo.role == "train"} - {None}
    told = [photo for photo in photos if photo.label in learnt]
    if gone := len(photos) - len(told):
        left_out["whose label no photo is trained on yet"] = gone
    parts = [f"{number} {what}" for what, number in left_out.items()]
    end = f"; left out: {', '.join(parts)}" if parts else ""
    return told, f"{reviews.name}: {len(told)} decided photos of {len(learnt)} labels{end}"


def _read(path: Path) -> tuple[list[_Shown], Counter[str]]:
    faults, shown, left_out = Faults(), [], Counter[str]()
    for number, text in _lines(path):
        where = f"{path}, line {number}"
        try:
            line = json.loads(text)
            state, photo = line["state"], line["photo"]
            if state not in _STATES:
                raise ValueError(f"{state!r} is no state of a decided item")
            if state not in _LEARNT:
                left_out[f"{state}"] += 1
            elif photo is None or line["product"] is None:
                left_out["whose photo or product was deleted"] += 1
            elif not (path.parent / photo["file"]).is_file():
                if photo.get("stored") is False:
                    left_out["whose photo was no longer stored"] += 1
                    continue
                raise ValueError(f"there is no photo {photo['file']} (was it exported with --photos?)")
            elif Path(photo["file"]).suffix not in PHOTO_SUFFIXES:
                left_out["of a format that training does not read"] += 1
            else:
                shown.append(_shown(where, path.parent, line))
        except json.JSONDecodeError as error:
            faults.add(f"{where}: this is no JSON ({error.msg}).")
        except KeyError as error:
            faults.add(f"{where}: {error.args[0]} is missing.")
        except (TypeError, ValueError) as error:
            faults.add(f"{where}: {error}.")
    faults.raise_any()
    if not shown:
        raise DataError(f"{path} has no decision that says which product a photo shows.")
    return shown, left_out


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error


def _shown(where: str, folder: Path, line: Mapping[str, Any]) -> _Shown:
    product, photo = line["product"], line["photo"]
    price = product["price"]
    text = ProductText(
        title=product["title"],
        brand=product["brand"],
        category=product["category"],
        description=product["description"],
        price=None if price is None else float(price),
        currency=product["currency"] or None,
    )
    file = folder / photo["file"]
    return _Shown(where, file, _box(line["compared"]), photo["sent_with"], product["sku"], product["category"], text)


def _box(given: Any) -> Box | None:
    """The part that was compared; None: all of the photo. Raises ValueError."""
    if given is None:
        return None
    try:
        left, top, right, bottom = (float(at) for at in given)
    except (TypeError, ValueError):
        raise ValueError(f"{given!r} is no box") from None
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(f"{given!r} is no box")
    return left, top, right, bottom


# Roles ---------------------------------------------------------------------------------------------------------------


def _roles(shown: Sequence[_Shown], prints: Prints, earlier: Mapping[str, Role]) -> dict[Path, Role]:
    """One role for photos that belong together; "copy" for those that the starting bundle learnt but must not now."""
    sent_with = {each.file: each.sent_with for each in shown}
    content = dict(zip(prints.paths, prints.content, strict=True))
    roles: dict[Path, Role] = {}
    for group in _groups(prints, sent_with):
        known = {path: earlier[content[path]] for path in group if content[path] in earlier}
        drawn = known.values() or [_drawn(sent_with[path] or content[path]) for path in group]
        role = max(drawn, key=_STRICTER.index)
        roles |= {path: "copy" if known.get(path, role) == "train" != role else role for path in group}
    return roles


def _drawn(name: str) -> Role:
    place = share(f"reviews/{name}", _ONE_IN)
    return "report" if place == 0 else "calibrate" if place == 1 else "train"


def _groups(prints: Prints, sent_with: Mapping[Path, str]) -> list[list[Path]]:
    """Photos that were sent together or are near-copies, over any number of steps."""
    above = {path: path for path in prints.paths}

    def first(path: Path) -> Path:
        while above[path] != path:
            above[path] = path = above[above[path]]
        return path

    by_sending: dict[str, Path] = {}
    for path in prints.paths:
        if sent_with[path]:
            above[first(path)] = first(by_sending.setdefault(sent_with[path], path))
    for pair in copies(prints, prints):
        above[first(pair.first)] = first(pair.second)
    groups: dict[Path, list[Path]] = defaultdict(list)
    for path in prints.paths:
        groups[first(path)].append(path)
    return list(groups.values())


# Photos --------------------------------------------------------------------------------------------------------------


def _photo(reviews: Reviews, shown: _Shown, content: str, role: Role) -> Photo:
    path = _whole_or_cut(shown, content)
    by_category = reviews.label == "category"
    product = f"{reviews.name}/{shown.sku}"
    return Photo(
        path=path,
        source=reviews.name,
        product=product,
        role=role,
        text=shown.text,
        words=product,
        label=(shown.category or None) if by_category else shown.sku,
        coarse=None if by_category else shown.category or None,
        stored=role == "train",
        where=shown.where,
        name=path.relative_to(reviews.file.parent).as_posix(),
    )


def _whole_or_cut(shown: _Shown, content: str) -> Path:
    """The photo's own file, or one of the part that was compared, as PNG."""
    if shown.box is None:
        return shown.file
    place = "-".join(f"{at * 10_000:05.0f}" for at in shown.box)
    cut = shown.file.parent.parent / CUTS / f"{content}-{place}.png"
    if cut.exists():
        return cut
    part = cut.with_suffix(".part")
    try:
        cut.parent.mkdir(exist_ok=True)
        with Image.open(shown.file) as image:
            _cut(ImageOps.exif_transpose(image), shown.box).save(part, "PNG")
        part.replace(cut)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{shown.where}: {shown.file.name} cannot be cut ({error}).") from error
    return cut


def _cut(upright: Image.Image, box: Box) -> Image.Image:
    """This part of a photo, of one pixel at least."""
    left, top, right, bottom = (at * side for at, side in zip(box, upright.size * 2, strict=True))
    corner = int(left), int(top)
    part = upright.crop((*corner, max(corner[0] + 1, round(right)), max(corner[1] + 1, round(bottom))))
    return part if part.mode in ("RGB", "RGBA") else part.convert("RGB")
