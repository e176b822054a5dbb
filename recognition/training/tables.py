"""Reads labelled photos from a folder or a CSV file into rows; the first step of training and of evaluation.

    folder          a folder a label (folders inside each other: the inner one is the label, the outer one its coarse
                    label); folders named train, val and test on top are splits
    photo table     a CSV with `path` and `labels` (coarse to fine, separated by a bar; or `label`, or `fine` and
                    `coarse`); also title, brand, category, price, currency, description, split, and `product`, where
                    photos of one label show different products
    product table   a CSV with `sku` and `images` (separated by a bar), title, brand, …: the shop's own spreadsheet

A folder with a photos.csv or a products.csv in it is read by that; one whose folders have a products.csv is several
shops. Beside a photos.csv, a products.csv gives each label (by its `sku`) a text and one clean photo more.
"""

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recognition.text import ProductText
from recognition.training.errors import DataError

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
SPLIT_NAMES = frozenset({"train", "training", "val", "valid", "validation", "test"})

_LABEL_COLUMNS = ("labels", "label", "fine")
_TEXT_COLUMNS = ("title", "brand", "category", "description")
_SHOWN = 10  # bad rows that one error names
_NOTHING_SAID = ProductText()


@dataclass(frozen=True)
class Row:
    """One photo as its file speaks of it. `label` is None in a product table, where only `product` is known."""

    path: Path
    where: str
    label: str | None = None
    coarse: str | None = None
    product: str | None = None
    split: str = ""
    text: ProductText = _NOTHING_SAID


def read_rows(path: Path, *, unlabelled: bool = False) -> list[Row]:
    """The rows of a folder or CSV file, in a fixed order. Raises DataError that names every bad file and line.

    `unlabelled`: photos that nothing is said of are rows too, with `label` None (lines without a label, photos that
    lie loose in the folder): nothing can be learned from them, but they can be asked.
    """
    if path.is_file():
        return _table(path, unlabelled)
    if not path.is_dir():
        raise DataError(f"There is no folder or CSV file {path}.")
    if (path / "photos.csv").is_file():
        rows = _table(path / "photos.csv", unlabelled)
        return _with_products(rows, path / "products.csv") if (path / "products.csv").is_file() else rows
    if (path / "products.csv").is_file():
        return _table(path / "products.csv")
    shops = sorted(path.glob("*/products.csv"))
    if shops:
        return [replace(row, product=f"{shop.parent.name}/{row.product}") for shop in shops for row in _table(shop)]
    return _folders(path, unlabelled)


class Faults:
    """Collects what is wrong, so that one run names all of it."""

    def __init__(self) -> None:
        self._sentences: list[str] = []

    def add(self, sentence: str) -> None:
        self._sentences.append(sentence)

    def raise_any(self) -> None:
        """Raises DataError with the first few sentences, if there are any."""
        if self._sentences:
            more = len(self._sentences) - _SHOWN
            tail = [f"and {more} more"] if more > 0 else []
            raise DataError("\n".join([*self._sentences[:_SHOWN], *tail]))


def _table(path: Path, unlabelled: bool = False) -> list[Row]:
    lines = _lines(path)
    columns = set(lines[0][1]) if lines else set()
    if "images" in columns:
        return _product_table(path, lines)
    if "path" in columns and (unlabelled or columns & set(_LABEL_COLUMNS)):
        return _photo_table(path, lines, unlabelled)
    if not lines:
        raise DataError(f"{path} has no rows.")
    raise DataError(
        f"{path} has neither the columns path and label (or labels, or fine) nor the column images; "
        f"it has {', '.join(sorted(columns))}."
    )


def _lines(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Lines with their numbers; missing cells are empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", restkey="")
            return [
                (reader.line_num, {name: (value or "").strip() for name, value in row.items() if name})
                for row in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error


def _photo_table(path: Path, lines: Sequence[tuple[int, dict[str, str]]], unlabelled: bool) -> list[Row]:
    faults, rows = Faults(), []
    for number, cells in lines:
        where = f"{path}, line {number}"
        label, coarse = _labels(cells)
        if not label and not unlabelled:
            faults.add(f"{where}: the photo {cells['path']} has no label.")
        rows.append(
            Row(
                path=_existing(cells["path"], path, where, faults),
                where=where,
                label=label or None,
                coarse=coarse,
                product=cells.get("product") or cells.get("sku") or cells.get("fine_id") or None,
                split=cells.get("split", ""),
                text=_text(cells, where, faults, title=label.replace("_", " ").replace("-", " ")),
            )
        )
    faults.raise_any()
    return rows


def _labels(cells: Mapping[str, str]) -> tuple[str, str | None]:
    """Fine label ("" where there is none) and coarse one."""
    name = next((name for name in _LABEL_COLUMNS if name in cells), "label")
    parts = [part.strip() for part in cells[name].split("|")] if name == "labels" else [cells.get(name, "")]
    return parts[-1], cells.get("coarse") or (parts[-2] if len(parts) > 1 else None) or None


def _product_table(path: Path, lines: Sequence[tuple[int, dict[str, str]]]) -> list[Row]:
    faults, rows = Faults(), []
    for number, cells in lines:
        where = f"{path}, line {number}"
        if not cells.get("sku"):
            faults.add(f"{where}: the product has no sku.")
        text = _text(cells, where, faults)
        for image in filter(None, (part.strip() for part in cells["images"].split("|"))):
            photo = _existing(image, path, where, faults)
            rows.append(Row(path=photo, where=where, product=cells.get("sku", ""), text=text))
    faults.raise_any()
    return rows


def _with_products(rows: list[Row], path: Path) -> list[Row]:
    """Texts from the product table beside a photo table, and its clean photos as more training photos."""
    texts = {row.product: row for row in reversed(_table(path))}
    labels = {row.product: row for row in rows}
    known = [replace(row, text=texts[row.product].text) if row.product in texts else row for row in rows]
    clean = [
        replace(row, label=labels[row.product].label, coarse=labels[row.product].coarse, split="train")
        for row in _table(path)
        if row.product in labels
    ]
    return clean + known


def _folders(root: Path, unlabelled: bool) -> list[Row]:
    faults = Faults()
    loose = [Row(path=photo, where=str(photo)) for photo in _photos(root)] if unlabelled else []
    found = [(folder, _photos(folder)) for folder in _inner_folders(root)]
    for folder, photos in found:
        if not photos and not unlabelled:
            faults.add(f"The folder {folder} has no photos: a label needs some.")
    faults.raise_any()
    if not loose and not any(photos for _, photos in found):
        raise DataError(f"There are no photos in {root}: put them into a folder a label.")
    names = {folder: _parts(folder, root) for folder, _ in found}
    twice = Counter(parts[-1] for parts in {tuple(parts) for _, parts in names.values()})
    rows = loose
    for folder, photos in found:
        split, parts = names[folder]
        label = parts[-1] if twice[parts[-1]] == 1 else "/".join(parts)
        text = ProductText(title=parts[-1].replace("_", " ").replace("-", " "))
        rows += [
            Row(path=photo, where=str(photo), label=label, coarse=_coarse(parts), split=split, text=text)
            for photo in photos
        ]
    return rows


def _inner_folders(root: Path) -> Iterator[Path]:
    """The folders that are labels: those without folders inside."""
    for child in sorted(root.iterdir()):
        if child.is_dir() and not child.name.startswith("."):
            inner = list(_inner_folders(child))
            yield from inner or [child]
            if inner and _photos(child):
                yield child


def _photos(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.suffix.lower() in PHOTO_SUFFIXES and child.is_file())


def _parts(folder: Path, root: Path) -> tuple[str, list[str]]:
    """A folder's split ("" where none is named) and its names below that."""
    parts = list(folder.relative_to(root).parts)
    if parts[0].lower() in SPLIT_NAMES and len(parts) > 1:
        return parts[0], parts[1:]
    return "", parts


def _coarse(parts: Sequence[str]) -> str | None:
    return parts[-2] if len(parts) > 1 else None


def _existing(name: str, table: Path, where: str, faults: Faults) -> Path:
    """A photo beside the table, or beside the table's folder (as exports of whole shops have it)."""
    for base in (table.parent, table.parent.parent):
        if name and (base / name).is_file():
            return base / name
    faults.add(f"{where}: there is no photo {name or 'named'}.")
    return table.parent / name


def _text(cells: Mapping[str, str], where: str, faults: Faults, title: str = "") -> ProductText:
    price: float | None = None
    if cells.get("price"):
        try:
            price = float(cells["price"])
        except ValueError:
            price = math.nan
        if not math.isfinite(price) or price < 0:
            faults.add(f"{where}: {cells['price']!r} is no price.")
            price = None
    values = {name: cells.get(name, "") for name in _TEXT_COLUMNS}
    if not any(values.values()):
        values["title"] = title
    return ProductText(**values, price=price, currency=cells.get("currency") or None)
