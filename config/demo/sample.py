"""The sample catalogue as it lies in the repository: a manifest, clean photos to index, customers' photos to search by.

The first step of the demo. The customers' photos are never indexed and no bundle was trained on them.
"""

import csv
import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from config.env import ROOT

SAMPLE = ROOT / "sample"


@dataclass(frozen=True)
class Customer:
    """A photo as a customer would take it, and the sku of the product that it shows."""

    photo: Path
    sku: str

    @property
    def sha256(self) -> str:
        """The hash under which Vitrine keeps the photo."""
        return hashlib.sha256(self.photo.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Wording:
    """Words that a shopper may type, and the sku that they should lead to."""

    words: str
    sku: str


def customers() -> list[Customer]:
    """Every customers' photo with its answer, as ``sample/customer.csv`` lists them."""
    with (SAMPLE / "customer.csv").open(newline="", encoding="utf-8") as file:
        return [Customer(SAMPLE / "customer" / row["photo"], row["sku"]) for row in csv.DictReader(file)]


def wordings(count: int) -> list[Wording]:
    """Words for ``count`` products spread over the catalogue: each one's brand and the first words of its title."""
    with (SAMPLE / "products.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    step = max(1, len(rows) // count)
    return [Wording(f"{row['brand']} {row['title'].split(',')[0]}".lower(), row["sku"]) for row in rows[::step]][:count]


def pack(folder: Path) -> Path:
    """The bulk upload, a ZIP of the manifest and the catalogue photos. Returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "sample.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        target.write(SAMPLE / "products.csv", "products.csv")
        for photo in sorted((SAMPLE / "photos").iterdir()):
            target.write(photo, photo.name)
    return archive
