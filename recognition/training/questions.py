"""What an evaluation asks and what the right answers are; after tables.py (files), before the model sees a photo.

Nothing here knows the model. Which split is asked, which label set its labels belong to, which photos the shop stores
and which of its products a photo shows: all follow from names (names.py) and bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recognition.bundle import LabelSet, file_sha256
from recognition.training.data import split_of
from recognition.training.errors import DataError
from recognition.training.names import Names, name_key
from recognition.training.tables import Row, read_rows

SPLITS = ("train", "val", "test", "all")


@dataclass(frozen=True)
class Question:
    """One photo that is asked. `data`: the name of its `--data`; `shows`: what it shows there, spelling aside.

    Photos that share `data` and `shows` show the same thing; None: nobody said what.
    """

    data: str
    row: Row
    shows: str | None


@dataclass(frozen=True)
class Truth:
    """Places of the true labels in a label set; None where it is not told or not in the set.

    `unknown`: the photo shows nothing of the set, as far as its fine labels go. A photo whose label is a coarse one of
    the set is neither known nor unknown.
    """

    fine: int | None
    coarse: int | None
    unknown: bool


@dataclass(frozen=True)
class Stored:
    """One photo of the gallery: `product` is the key of its product, `name` what a person calls it."""

    row: Row
    product: str
    name: str
    sha256: str


@dataclass(frozen=True)
class Asked:
    """What is asked in one evaluation; `splits`: the split of each data set; `notes`: what a reader must know."""

    questions: list[Question]
    splits: dict[str, str]
    notes: list[str]


def read_questions(sets: Sequence[tuple[str, Path]], split: str | None) -> Asked:
    """The photos of the chosen split of each data set (name, path); a set without splits is asked whole.

    `split` None: "test" where there is one, else "val", else all there is. Raises DataError.
    """
    names = [name for name, _ in sets]
    if len(set(names)) < len(names):
        raise DataError(f"Two data sets have the same name: {', '.join(names)}. Name them: --data NAME=PATH.")
    asked = Asked([], {}, [])
    for name, path in sets:
        rows = read_rows(path, unlabelled=True)
        chosen = _choose_split(name, rows, split, asked.notes)
        asked.splits[name] = chosen
        taken = [row for row in rows if chosen == "all" or split_of(row) == chosen]
        asked.questions.extend(_questions(name, taken))
    return asked


def choose_label_sets(asked: Asked, sets: Mapping[str, LabelSet], forced: str | None) -> dict[str, str]:
    """The label set for each data set; empty where no label of any data set is in one of them.

    The set with the data's own name, if it knows a label of it, else the set that knows most of its labels. Data whose
    labels no set knows is asked about the set of the others: its photos are unknown. Raises DataError for a forced set
    that the bundle does not have, or that knows no label.
    """
    if forced is not None and forced not in sets:
        raise DataError(f"The bundle has no label set {forced}; {_there_are(sets)}.")
    chosen: dict[str, str] = {}
    for data in asked.splits:
        labels = {question.row.label for question in asked.questions if question.data == data} - {None}
        known = {name: _known_labels(labels, labelled) for name, labelled in sets.items()}
        namesake = next((name for name in sets if name_key(name) == name_key(data) and known[name]), None)
        best = forced or namesake or max(known, key=lambda name: known[name], default=None)
        if best is not None and known[best]:
            chosen[data] = best
            if known[best] < len(labels):
                asked.notes.append(f"{known[best]} of {len(labels)} labels of {data} are in the label set {best}.")
    if forced is not None and not chosen:
        raise DataError(f"No label of {', '.join(asked.splits)} is in the label set {forced}.")
    if chosen:
        rest = next(iter(chosen.values()))
        for data in asked.splits.keys() - chosen.keys():
            asked.notes.append(f"No label of {data} is in a label set of the bundle: its photos are unknown to {rest}.")
            chosen[data] = rest
    return {data: chosen[data] for data in asked.splits if data in chosen}


def truth_in(question: Question, known: LabelSet, fine: Names, coarse: Names) -> Truth:
    """The true labels of one photo, looked up in a label set (`fine`, `coarse`: its names).

    The coarse label is the data's own where the set knows it, else the one that the set gives to the fine label.
    """
    place = fine.find(question.row.label)
    above = coarse.find(question.row.coarse)
    if above is None and place is not None and known.parents:
        above = known.parents[place]
    only_coarse = None if place is not None else coarse.find(question.row.label)
    return Truth(place, above if only_coarse is None else only_coarse, place is None and only_coarse is None)


def read_gallery(path: Path, asked: Asked) -> list[Stored]:
    """The photos that the shop stores, with their texts.

    Of a gallery with splits those are taken that are not asked (all, where nothing would be left). Raises DataError.
    """
    rows = read_rows(path)
    if any(row.split for row in rows):
        others = [row for row in rows if split_of(row) not in asked.splits.values()]
        rows = others or rows
    return [
        Stored(row, name_key(thing), row.label or row.text.title or thing, file_sha256(row.path))
        for row in rows
        for thing in [row.product or row.label or ""]
    ]


def products_shown(questions: Sequence[Question], stored: Sequence[Stored]) -> list[str | None]:
    """For each photo the key of the stored product that it shows; None: of none.

    Names are compared in this order: product with product (or SKU), label with label, label with product, label with
    the product's title.
    """
    by_product = _first_of([(photo.row.product, photo.product) for photo in stored])
    by_label = _first_of([(photo.row.label, photo.product) for photo in stored])
    by_title = _first_of([(photo.row.text.title, photo.product) for photo in stored])
    found = []
    for question in questions:
        product, label = question.row.product, question.row.label
        places = [(by_product, product), (by_label, label), (by_product, label), (by_title, label)]
        keys = (index[key] for index, name in places for key in _keys(name) if key in index)
        found.append(next(keys, None))
    return found


def _choose_split(name: str, rows: Sequence[Row], wanted: str | None, notes: list[str]) -> str:
    there = {split_of(row) for row in rows} if any(row.split for row in rows) else set()
    if not there:
        return "all"
    chosen = wanted or next((split for split in ("test", "val") if split in there), "train")
    if chosen != "all" and chosen not in there:
        raise DataError(f"{name} has no photos in the split {chosen}; it has {', '.join(sorted(there))}.")
    if chosen == "train" or (chosen == "all" and "train" in there):
        notes.append(f"Training photos of {name} are asked: a bundle that was trained on them looks better than it is.")
    return chosen


def _questions(data: str, rows: Sequence[Row]) -> list[Question]:
    """What each photo shows is its product, where any product has two photos in this data, else its label."""
    products = [row.product for row in rows if row.product]
    by_product = len(set(products)) < len(products)
    found = []
    for row in rows:
        thing = (row.product if by_product else None) or row.label or row.product
        found.append(Question(data, row, name_key(thing) if thing else None))
    return found


def _known_labels(labels: set[str | None], known: LabelSet) -> int:
    fine, coarse = Names(known.fine), Names(known.coarse)
    return sum(fine.find(label) is not None or coarse.find(label) is not None for label in labels)


def _first_of(pairs: Sequence[tuple[str | None, str]]) -> dict[str, str]:
    """The key of each name to the first product of that name."""
    return {name_key(name): product for name, product in reversed(pairs) if name}


def _keys(name: str | None) -> list[str]:
    """A name, then its last part."""
    return [name_key(part) for part in (name, name.rpartition("/")[2]) if part] if name else []


def _there_are(sets: Mapping[str, LabelSet]) -> str:
    return f"it has {', '.join(sets)}" if sets else "it has none"
