"""Decisions as files: CSV for spreadsheets, JSON lines for training and for programs, COCO for tools that draw boxes.

Comes after ``decisions``; sent by the API and the admin, written by ``manage.py export_decisions``. Memory is flat: a
page of items at a time (COCO also keeps a number for each product that was decided on, and its boxes wait in a
temporary file until the last photo is named).
"""

import json
from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any

from django.utils import timezone

from catalog.models import DecisionAction, Item, ItemState, Lane, Merchant, Photo, Product
from catalog.selectors.decisions import Decided, decided, decided_by_photo
from catalog.selectors.export import BLOCK, name_by_hash
from catalog.selectors.upload import BOM, csv_line

COLUMNS = (
    "item", "state", "action", "sku", "title", "category", "photo", "file", "left", "top", "right", "bottom",
    "suggested_sku", "probability", "verdict", "bundle_version", "why", "control", "reviewer", "seconds", "decided_at",
    "decisions",
)  # fmt: skip
COCO_LICENCE = 1


@dataclass(frozen=True)
class DecisionFile:
    """One form of the export: its media type, and the blocks of the file."""

    content_type: str
    blocks: Callable[[Merchant], Generator[bytes, None, None]]


def csv_blocks(merchant: Merchant) -> Generator[bytes, None, None]:
    """A line for each decided item; cells that a spreadsheet would take for a formula are defused."""
    yield from _gathered(_csv_lines(merchant))


def json_blocks(merchant: Merchant, gone: Collection[str] = ()) -> Generator[bytes, None, None]:
    """A JSON object a line for each decided item, with its history; what training reads.

    ``gone``: files that could not be copied beside it, as their bytes are no longer stored; their lines say so.
    """
    for_folder = (decision_line(each, gone=gone) for each in decided(merchant=merchant))
    yield from _gathered(f"{_json(line)}\n" for line in for_folder)


def coco_blocks(merchant: Merchant) -> Generator[bytes, None, None]:
    """COCO's detection format (Lin et al., 2014): boxes in pixels of the upright photo, a category a product.

    A photo that shows none of the shop's products has no box; what nobody could tell, and photos that were split, say
    nothing by themselves and are left out. Each file is named once, however many items it has.
    """
    yield from _gathered(_coco_parts(merchant))


FILES = {
    "csv": DecisionFile("text/csv; charset=utf-8", csv_blocks),
    "jsonl": DecisionFile("application/x-ndjson", json_blocks),
    "coco.json": DecisionFile("application/json", coco_blocks),
}


def decision_line(each: Decided, *, gone: Collection[str] = ()) -> dict[str, Any]:
    """One decided item as JSON lines have it. Boxes are left, top, right, bottom from 0 to 1 of the upright photo."""
    item, decision = each.item, each.decision
    return {
        "item": str(item.pk),
        "state": item.state,
        "action": decision.action,
        "product": _product(item.product) if item.product else None,
        "photo": _photo(item.photo, gone) if item.photo else None,
        "box": item.box,
        "compared": item.compared,
        "suggested_sku": item.best_product.sku if item.best_product else None,
        "probability": item.probability,
        "calibrated": item.calibrated,
        "verdict": item.verdict,
        "bundle_version": item.bundle_version,
        "why": _why(decision.lane),
        "control": item.control,
        "reviewer": decision.reviewer_name,
        "seconds": decision.seconds,
        "decided_at": decision.created_at.isoformat(),
        "history": [
            {
                "action": past.action,
                "sku": past.product.sku if past.product else None,
                "reviewer": past.reviewer_name,
                "seconds": past.seconds,
                "at": past.created_at.isoformat(),
                "undone": past.pk in each.undone,
            }
            for past in each.history
        ],
    }


def _product(product: Product) -> dict[str, Any]:
    return {
        "sku": product.sku,
        "title": product.title,
        "brand": product.brand,
        "category": product.category,
        "description": product.description,
        "price": None if product.price is None else f"{product.price:.2f}",
        "currency": product.currency,
    }


def _photo(photo: Photo, gone: Collection[str]) -> dict[str, Any]:
    file = name_by_hash(photo)
    return {
        "id": str(photo.pk),
        "name": photo.name,
        "file": file,
        "sha256": photo.sha256,
        "width": photo.width,
        "height": photo.height,
        "sent_with": _sent_with(photo),
        **({"stored": False} if file in gone else {}),
    }


def _sent_with(photo: Photo) -> str:
    """The same for photos that one row of an upload listed, or that came in one request: likely of one thing."""
    if photo.upload_row_id:
        return f"row-{photo.upload_row_id}"
    return f"job-{photo.job_id}" if photo.job_id and not photo.upload_id else ""


def _why(lane: int | None) -> str:
    return "" if lane is None else Lane(lane).name.lower()


def _csv_lines(merchant: Merchant) -> Iterator[str]:
    yield BOM + csv_line(COLUMNS)
    for each in decided(merchant=merchant):
        yield csv_line(["" if cell is None else str(cell) for cell in _cells(each)])


def _cells(each: Decided) -> list[Any]:
    line = decision_line(each)
    product, photo = line["product"] or {}, line["photo"] or {}
    past = [one for one in each.history if one.action != DecisionAction.UNDO]
    return [
        *(line[name] for name in ("item", "state", "action")),
        *(product.get(name) for name in ("sku", "title", "category")),
        *(photo.get(name) for name in ("name", "file")),
        *(line["box"] or (None,) * 4),
        *(line[name] for name in ("suggested_sku", "probability", "verdict", "bundle_version", "why")),
        "yes" if line["control"] else "no",
        *(line[name] for name in ("reviewer", "seconds", "decided_at")),
        len(past),
    ]


def _coco_parts(merchant: Merchant) -> Iterator[str]:
    now = timezone.now()
    info = {
        "description": f"Decisions of reviewers, {merchant.name}",
        "url": "",
        "version": now.date().isoformat(),
        "year": now.year,
        "contributor": merchant.name,
        "date_created": now.isoformat(timespec="seconds"),
    }
    licence = {"id": COCO_LICENCE, "name": f"Photos of {merchant.name}", "url": ""}
    yield f'{{"info": {_json(info)}, "licenses": [{_json(licence)}], "images": ['
    categories: dict[str, dict[str, Any]] = {}
    with TemporaryFile("w+", encoding="utf-8") as boxes:
        images = annotations = 0
        for same in decided_by_photo(merchant=merchant):
            shown = [each.item for each in same if _says_what_is_there(each.item)]
            if not shown:
                continue
            images += 1
            yield f"{', ' if images > 1 else ''}{_json(_image(images, shown[0].photo))}"
            for item in shown:
                if item.product:
                    annotations += 1
                    box = _annotation(annotations, images, item, _category(categories, item.product))
                    boxes.write(f"{', ' if annotations > 1 else ''}{_json(box)}")
        yield '], "annotations": ['
        boxes.seek(0)
        while part := boxes.read(BLOCK):
            yield part
    yield f'], "categories": {_json(list(categories.values()))}}}\n'


def _says_what_is_there(item: Item) -> bool:
    """Whether the decision says what the photo shows, of a photo whose size is known."""
    return item.state not in (ItemState.UNKNOWN, ItemState.SPLIT) and bool(item.photo and item.photo.width)


def _image(number: int, photo: Photo | None) -> dict[str, Any]:
    assert photo is not None  # asked before: ``_says_what_is_there``
    return {
        "id": number,
        "file_name": name_by_hash(photo),
        "width": photo.width,
        "height": photo.height,
        "license": COCO_LICENCE,
        "date_captured": photo.created_at.isoformat(timespec="seconds"),
    }


def _category(known: dict[str, dict[str, Any]], product: Product) -> int:
    """The number of a product's category, from 1 in the order of their coming."""
    category = {"id": len(known) + 1, "name": product.sku, "supercategory": product.category, "title": product.title}
    return int(known.setdefault(product.sku, category)["id"])


def _annotation(number: int, image: int, item: Item, category: int) -> dict[str, Any]:
    photo, box = item.photo, item.box or (0.0, 0.0, 1.0, 1.0)
    width, height = (photo.width or 0, photo.height or 0) if photo else (0, 0)
    left, top, right, bottom = (round(at * side, 2) for at, side in zip(box, (width, height) * 2, strict=True))
    across, down = round(right - left, 2), round(bottom - top, 2)
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [left, top, across, down],
        "area": round(across * down, 2),
        "segmentation": [],
        "iscrowd": 0,
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _gathered(parts: Iterator[str]) -> Generator[bytes, None, None]:
    """The same text in blocks that are worth sending."""
    held = bytearray()
    for part in parts:
        held += part.encode()
        if len(held) >= BLOCK:
            yield bytes(held)
            held.clear()
    yield bytes(held)
