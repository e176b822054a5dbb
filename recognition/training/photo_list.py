"""The photos of a run and what each is used for, kept in the run's folder; after data.py, for loop.py and export.py.

A run goes on only with the photos it began with. Its bundle is calibrated and reported on photos that it held out,
whatever a later command line says of them.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast

from recognition.training.data import Photo, Role
from recognition.training.errors import DataError

PHOTOS = "photos.csv"
_CONTENT = re.compile(r"[0-9a-f]{64}")
_FACTS = 5  # columns that say what the photo is; the others say what the run does with it


class Line(NamedTuple):
    """One photo of a run, as its file has it: `photo` is the path within the data set, `bytes` the size of the file.

    Paths within a data set stay true when its folder is moved or named from elsewhere; the size tells a photo that was
    replaced, and costs no reading.
    """

    data: str
    photo: str
    bytes: str
    label: str
    coarse: str
    role: str
    product: str
    stored: str

    @property
    def name(self) -> str:
        """What an error calls the photo."""
        return f"{self.data}/{self.photo}"


def write_photos(photos: Sequence[Photo], folder: Path) -> None:
    """Keep the photos of a run, in their order."""
    with (folder / PHOTOS).open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file).writerows([Line._fields, *map(_line, photos)])


def check_photos(photos: Sequence[Photo], folder: Path) -> None:
    """Raises DataError that names the first photo in which these are not the photos, roles and labels of the run."""
    for photo, was in zip(photos, as_in_run(photos, folder), strict=True):
        if _line(photo) != _line(was):
            raise _other_photos(folder, _difference(_line(was), _line(photo)))


def as_in_run(photos: Sequence[Photo], folder: Path) -> list[Photo]:
    """The photos in the order of the run, with the roles and products that it gave them.

    Raises DataError that names the first photo which the run did not have, or which has changed since.
    """
    lines = [_line(photo) for photo in photos]
    given: dict[tuple[str, ...], list[Photo]] = defaultdict(list)
    for line, photo in zip(lines, photos, strict=True):
        given[line[:_FACTS]].append(photo)
    found = []
    for was in _read(folder):
        same = given[was[:_FACTS]]
        if not same:
            now = next((line for line in lines if line[:2] == was[:2] and line[:_FACTS] != was[:_FACTS]), None)
            raise _other_photos(folder, _difference(was, now) if now else f"{was.name} is no longer there")
        role = cast(Role, was.role)
        found.append(replace(same.pop(0), role=role, product=was.product, stored=was.stored == "yes"))
    for line in lines:
        if given[line[:_FACTS]]:
            raise _other_photos(folder, f"{line.name} was not there")
    return found


def run_roles(folder: Path) -> dict[str, Role]:
    """The roles that a run gave to photos whose files are named by their content: SHA-256 in hex to role.

    Copies, which were not used, are left out. Raises DataError where the folder has no list.
    """
    named = ((_CONTENT.match(Path(line.photo).name), line.role) for line in _read(folder))
    return {found[0]: cast(Role, role) for found, role in named if found and role != "copy"}


def _line(photo: Photo) -> Line:
    return Line(
        data=photo.source,
        photo=photo.name,
        bytes=str(photo.path.stat().st_size),
        label=photo.label or "",
        coarse=photo.coarse or "",
        role=photo.role,
        product=photo.product,
        stored="yes" if photo.stored else "no",
    )


def _read(folder: Path) -> list[Line]:
    try:
        with (folder / PHOTOS).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return [Line(*cells) for cells in csv.reader(file)][1:]
    except FileNotFoundError as error:
        raise DataError(f"{folder} does not say which photos its run used: it has no {PHOTOS}.") from error


def _difference(was: Line, now: Line) -> str:
    if was.name != now.name:
        return f"{now.name} is at another place"
    column = next(name for name in Line._fields if getattr(was, name) != getattr(now, name))
    return f"the {column} of {now.name} is {getattr(now, column)!r} and was {getattr(was, column)!r}"


def _other_photos(folder: Path, difference: str) -> DataError:
    return DataError(f"{folder} holds a run with other photos: {difference}. Choose those, or another folder.")
