"""A whole Vitrine as processes (web, coordinator, worker) with a small shop from the sample catalogue, to search in."""

import csv
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.hand import hand
from tests.line import ROOT, Line, running_line

SAMPLE = ROOT / "sample"
PREFIXES = ("TEA", "BAG", "MUG")
# What the sample does not have: attributes, and two kettles that are variants of one article.
FACTS = ("colour", "volume_ml", "variant_group")
MORE = {
    "BAG-281": ("olive", "", ""), "BAG-282": ("natural", "", ""), "BAG-283": ("blue", "", ""),
    "BAG-284": ("yellow", "", ""), "MUG-101": ("green", 350, ""), "MUG-102": ("natural", 400, ""),
    "MUG-103": ("white", 450, ""), "MUG-104": ("white", 420, ""), "MUG-105": ("pink", 330, ""),
    "TEA-111": ("yellow", 1_100, ""), "TEA-112": ("steel", 1_800, "KETTLE"), "TEA-113": ("black", 900, "KETTLE"),
    "TEA-114": ("white", 800, ""),
}  # fmt: skip
OPEN = """
from catalog.models import Merchant
from catalog.services.key import api_key_create
shop = Merchant.objects.get(slug="corner")
Merchant.objects.update(public_search=True, name="Corner shop")
answer = api_key_create(merchant=shop, name="page", kind="publishable", origins=["*"])[1]
"""


@dataclass(frozen=True)
class ShopSite:
    """Where it is, and the publishable key of the shop's pages."""

    line: Line
    key: str

    @property
    def url(self) -> str:
        return self.line.url

    def customers_photo(self, sku: str) -> Path:
        """A photo of a product that was never indexed."""
        return SAMPLE / "customer" / f"{sku}-1.jpg"


@contextmanager
def running_shop(folder: Path) -> Iterator[ShopSite]:
    """Everything runs and every photo is indexed."""
    settings = {
        "VITRINE_TORCH_THREADS": "1",
        "VITRINE_VISITOR_SEARCHES": "600",  # many tests, one address
        "VITRINE_RECONCILE_SECONDS": "3",  # a search that a stalled Redis did not take is sent before its deadline
    }
    with running_line(folder, **settings) as line:
        for name in ("web", "coordinator", "worker"):
            line.start(name)
        line.manage("upload", str(_catalogue(folder)), "--merchant", "corner", "--create-merchant")
        line.wait_for(lambda: set(line.photo_states()) == {"done"}, "all photos are indexed")
        line.wait_for(line.web_answers, "the site answers")
        with hand(line) as do:
            key = do(OPEN)
        yield ShopSite(line, key)


def _catalogue(folder: Path) -> Path:
    """Teapots, bags and mugs, as a merchant uploads them."""
    with (SAMPLE / "products.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if row["sku"].startswith(PREFIXES)]
    manifest = io.StringIO()
    writer = csv.DictWriter(manifest, [*reader.fieldnames, *FACTS])
    writer.writeheader()
    writer.writerows(row | dict(zip(FACTS, MORE[row["sku"]], strict=True)) for row in rows)
    path = folder / "catalogue.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("products.csv", manifest.getvalue())
        for row in rows:
            archive.write(SAMPLE / "photos" / row["images"], row["images"])
    return path
