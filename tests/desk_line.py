"""A whole Vitrine with the sample catalogue and photos that wait for review, for the desk's tests and benchmark.

Web, coordinator, worker, Redis and the embedded index are real processes; some products are kept out of the catalogue.
"""

import csv
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests.line import ROOT, Line, running_line

SAMPLE = ROOT / "sample"
PASSWORD = "a long enough one"


def sample_rows() -> list[dict[str, str]]:
    """The manifest's rows."""
    with (SAMPLE / "products.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@contextmanager
def desk_line(folder: Path, **settings: str) -> Iterator[Line]:
    """Everything that the machine is sure of is drawn as a control sample, so that each photo waits for review."""
    (folder / "static").mkdir(parents=True, exist_ok=True)
    with running_line(folder, VITRINE_DISPATCH_SECONDS="0.3", VITRINE_CONTROL_SHARE="1", **settings) as line:
        for name in ("web", "coordinator", "worker"):
            line.start(name)
        line.wait_for(lambda: line.web_answers() and line.workers_alive(), "site and worker are up")
        yield line


def stock(line: Line, shop: str, *, without: Sequence[str] = ()) -> None:
    """The sample catalogue becomes this shop's, without some skus."""
    rows = [row for row in sample_rows() if row["sku"] not in without]
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    files = {row["images"]: (SAMPLE / "photos" / row["images"]).read_bytes() for row in rows}
    _upload(line, shop, {"products.csv": sheet.getvalue().encode(), **files}, "--create-merchant")


def recognise(line: Line, shop: str, photos: dict[str, bytes]) -> None:
    """Photos without a manifest: each becomes an item."""
    _upload(line, shop, photos)


def customer_photos(skus: Sequence[str], numbers: Sequence[int] = (1, 2, 3)) -> dict[str, bytes]:
    """The sample's photos of customers."""
    names = [f"{sku}-{number}.jpg" for sku in skus for number in numbers]
    return {name: (SAMPLE / "customer" / name).read_bytes() for name in names}


def _upload(line: Line, shop: str, files: dict[str, bytes], *options: str) -> None:
    path = line.folder / "upload.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    line.manage("upload", str(path), "--merchant", shop, *options)


def people(line: Line, shop: str, *names: str) -> None:
    """Reviewers of the shop."""
    make = (
        "from django.contrib.auth.models import User; from catalog.models import Membership, Merchant\n"
        f"shop = Merchant.objects.get(slug={shop!r})\n"
        f"for name in {names!r}:\n"
        f"    user = User.objects.create_user(name, password={PASSWORD!r}, is_staff=True)\n"
        "    Membership.objects.create(user=user, merchant=shop, role='reviewer')\n"
    )
    line.manage("shell", "-c", make)


def open_desk(browser: Browser, line: Line, name: str, query: str = "") -> Page:
    """A browser of its own for this person, with the first item shown."""
    context = browser.new_context(base_url=line.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.goto("/admin/login/?next=/admin/catalog/item/desk/" + query)
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.locator("article.item").wait_for()
    return page


def shown(page: Page) -> dict[str, Any]:
    """Which item the desk shows now: its id, its photo's name, the skus of its candidates."""
    return page.evaluate(
        """() => {
          const item = document.querySelector("article.item");
          if (!item) return { id: "", name: "", skus: [] };
          const lines = [...item.querySelectorAll(".choice .line.soft")].map((each) => each.textContent);
          const skus = lines.map((line) => line.split(" · ").at(-1));
          return { id: item.dataset.item, name: item.querySelector(".name").textContent, skus };
        }"""
    )


def settled(line: Line) -> bool:
    """Whether nothing is owed to the workers any more."""
    return set(line.photo_states()) <= {"done"}


def undashed(ident: str) -> str:
    """An id as SQLite keeps it."""
    return ident.replace("-", "")


def product_of(line: Line, item: str) -> tuple[str, str | None]:
    """State and sku of an item, as they lie in SQL."""
    (row,) = line.rows(
        "SELECT i.state, p.sku FROM catalog_item i LEFT JOIN catalog_product p ON p.id = i.product_id WHERE i.id = ?",
        undashed(item),
    )
    return row


def as_json(text: str) -> Any:
    """A JSON column."""
    return json.loads(text)
