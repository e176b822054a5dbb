"""The sample catalogue's products: texts, prices and model parameters, read from products.toml.

render.py walks over `load()`; `write_manifest` writes the CSV that a merchant would upload.
"""

import csv
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labels import Art

HEADER = ["sku", "title", "brand", "category", "price", "currency", "description", "images"]
TEXTS = HEADER[:-1]
ON_BODY = {"mug", "teapot", "bottle", "vase", "tin"}  # printed straight on the body, not on a label


@dataclass(frozen=True)
class Product:
    """What a shop says about a product, and how to model it."""

    sku: str
    title: str
    brand: str
    category: str
    price: str
    currency: str
    description: str
    family: str
    params: dict[str, Any]
    art: Art


def load() -> list[Product]:
    """All products, one of each family in turn, so that a stopped run still shows every family."""
    families: dict[str, list[Product]] = {}
    for row in tomllib.loads(Path(__file__).with_name("products.toml").read_text("utf-8"))["product"]:
        families.setdefault(row["family"], []).append(_product(row))
    longest = max(map(len, families.values()))
    return [group[i] for i in range(longest) for group in families.values() if i < len(group)]


def _product(row: dict[str, Any]) -> Product:
    printed = dict(row.get("art", {}))
    printed["pattern_inks"] = tuple(printed.get("pattern_inks", ()))
    printed.setdefault("brand", row["brand"])
    if row["family"] in ON_BODY and "body" in row["params"]:
        printed.setdefault("paper", row["params"]["body"])
    texts = {name: row[name] for name in TEXTS if name != "currency"}
    return Product(
        **texts, currency=row.get("currency", "EUR"), family=row["family"], params=row["params"], art=Art(**printed)
    )


def row(product: Product, images: Iterable[str]) -> list[str]:
    """A line of the manifest."""
    return [*(getattr(product, name) for name in TEXTS), "|".join(images)]


def write_manifest(products: Iterable[Product], path: Path) -> None:
    """The manifest of the clean photos, sorted by SKU."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(row(p, [f"{p.sku}.jpg"]) for p in sorted(products, key=lambda p: p.sku))
