"""Items as the desk's page needs them: everything that is shown of one, so that no key waits for the site.

Comes after items were claimed; before the browser, which loads their photos ahead.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import PurePath
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.urls import reverse

from catalog.models import UNDECIDED, Item, Product
from catalog.selectors.lookalikes import closeness, items_alike
from catalog.selectors.product import with_main_photo
from catalog.selectors.rejections import by_merchant, items_hits
from catalog.selectors.search import Hit
from catalog.web.cards import Card, card_of
from catalog.web.money import format_price
from catalog.web.photos import photo_address
from workers.contract import Candidate

CHOICES = 9  # as many as there are digits
SHOWN = ("sku", "title", "brand", "price", "in_stock", "photo", "badge", "match", "score", "score_label", "part", "why")
TICKED = 0.9  # closeness from which a look-alike is part of a decision unless the reviewer says no
FILLED = 0.25  # probability of the first candidate from which a new product is likely of its kind


def items_shown(*, items: Sequence[Item], reviewer: User) -> list[dict[str, Any]]:
    """The items in their order. A constant number of queries for each merchant among them."""
    # One that is decided, and shown for an opinion, has none: a decision on all of them would be a real one.
    alike = items_alike(reviewer=reviewer, items=[item for item in items if item.state in UNDECIDED])
    hits: dict[UUID, list[Hit]] = {}
    for group in by_merchant(items):
        hits |= items_hits(merchant=group[0].merchant, items=group, as_waiting=True)
    taken = _skus_taken(items)
    return [_shown(item, hits[item.pk], alike.get(item.pk, []), taken) for item in items]


def products_shown(products: Any) -> list[dict[str, Any]]:
    """Products found by words, as the desk offers them."""
    return [
        {
            "product": str(row.pk),
            "sku": row.sku,
            "title": row.title,
            "brand": row.brand,
            "price": format_price(row.price, row.currency),
            "photo": photo_address(row.main_photo_id, size="thumb") if row.main_photo_id else "",
        }
        for row in with_main_photo(products)
    ]


def _shown(item: Item, hits: Sequence[Hit], alike: Sequence[Item], taken: set[tuple[UUID, str]]) -> dict[str, Any]:
    photo = item.photo
    return {
        "id": str(item.pk),
        "shop": item.merchant.name,
        "lane": item.get_lane_display() or "",
        "verdict": item.verdict,
        "reason": item.explanation,
        "calibrated": item.calibrated,
        "name": str(photo) if photo else "",
        "photo": photo_address(photo.pk, size="large") if photo else "",
        "full": photo_address(photo.pk) if photo else "",
        "width": photo.width if photo else None,
        "height": photo.height if photo else None,
        "box": item.box,
        "page": reverse("admin:catalog_item_change", args=[item.pk]),
        "heat": reverse("admin:catalog_item_desk_heat", args=[item.pk]),
        "candidates": [_choice(hit, card_of(hit, calibrated=item.calibrated)) for hit in hits[:CHOICES]],
        "alike": [
            {"id": str(each.pk), "photo": _thumb(each), "ticked": closeness(item, each) >= TICKED} for each in alike
        ],
        "form": _form(item, hits, taken),
    }


def _choice(hit: Hit, card: Card) -> dict[str, Any]:
    values = asdict(card)
    shown = {name: values[name] for name in SHOWN}
    return {"product": str(card.product_id), "because": _because(hit.candidate)} | shown


def _because(candidate: Candidate) -> str:
    """The reason on one line; ``why`` says it in full."""
    scores = candidate.scores
    parts = [
        f"photo {scores.image:.2f}" if scores.image is not None else "",
        f"with text {scores.fused:.2f}" if scores.fused is not None else "",
        f"{candidate.votes} photos near" if candidate.votes > 1 else "",
    ]
    return " · ".join(part for part in parts if part)


def _thumb(item: Item) -> str:
    return photo_address(item.photo_id, size="thumb") if item.photo_id else ""


def _form(item: Item, hits: Sequence[Hit], taken: set[tuple[UUID, str]]) -> dict[str, str]:
    """What is known of a product that the catalogue does not have yet: its file's name, and the kind of its nearest."""
    stem = PurePath(item.photo.name).stem if item.photo else ""
    near = hits[0] if hits and (hits[0].candidate.probability or 0) >= FILLED else None
    sku = _sku(stem)
    return {
        "sku": "" if (item.merchant_id, sku) in taken else sku,
        "title": " ".join(re.split(r"[\W_]+", stem)).strip().capitalize(),
        "brand": "",
        "category": near.product.category if near else "",
        "price": "",
        "currency": hits[0].product.currency if hits else "",
    }


def _sku(stem: str) -> str:
    return re.sub(r"[^\w.-]+", "-", stem).strip("-").upper()[:100]


def _skus_taken(items: Sequence[Item]) -> set[tuple[UUID, str]]:
    skus = {_sku(PurePath(item.photo.name).stem) for item in items if item.photo}
    merchants = {item.merchant_id for item in items}
    held = Product.objects.filter(merchant__in=merchants, sku__in=skus)
    return set(held.values_list("merchant", "sku"))
