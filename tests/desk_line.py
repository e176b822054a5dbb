"""A whole Vitrine with the sample catalogue and photos that wait for review, for the desk's tests and benchmark.

Web, coordinator, worker, Redis and the embedded index are real processes; some products are kept out of the catalogue.
"""

import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from PIL import Image, ImageEnhance
from playwright.sync_api import Browser, Page

from tests.hand import hand
from tests.line import ROOT, Line, running_line

SAMPLE = ROOT / "sample"
IMPORTS = """
from django.contrib.auth.models import User
from catalog.models import *
from catalog.services.key import api_key_create
from catalog.services.upload import upload_create
"""
KEY = "_, answer = api_key_create(merchant=shop, name='test', kind='secret')"
PASSWORD = "a long enough one"


def sample_rows() -> list[dict[str, str]]:
    """The manifest's rows."""
    with (SAMPLE / "products.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@contextmanager
def desk_line(folder: Path, **settings: str) -> Iterator[tuple[Line, Callable[[str], Any]]]:
    """The line, and a hand in it. What the machine is sure of is all drawn for control, so each photo waits."""
    (folder / "static").mkdir(parents=True, exist_ok=True)
    with running_line(folder, VITRINE_DISPATCH_SECONDS="0.3", VITRINE_CONTROL_SHARE="1", **settings) as line:
        for name in ("web", "coordinator", "worker"):
            line.start(name)
        with hand(line) as do:
            do(IMPORTS)
            line.wait_for(lambda: line.web_answers() and line.workers_alive(), "site and worker are up", 300)
            yield line, do


def stock(line: Line, do: Callable[[str], Any], shop: str, skus: Sequence[str]) -> str:
    """These products of the sample become the catalogue of a new shop; returns an API key of it."""
    rows = [row for row in sample_rows() if row["sku"] in skus]
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    token = do(f"shop = Merchant.objects.create(slug={shop!r}, name={shop.title()!r})\n{KEY}")
    files = {row["images"]: (SAMPLE / "photos" / row["images"]).read_bytes() for row in rows}
    upload(line, do, shop, {"products.csv": sheet.getvalue().encode(), **files})
    return token


def upload(line: Line, do: Callable[[str], Any], shop: str, files: Mapping[str, bytes]) -> None:
    """A bulk upload, done to its end; photos without a manifest become items."""
    path = line.folder / "upload.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    do(f"shop = Merchant.objects.get(slug={shop!r})")
    do(f"upload = upload_create(merchant=shop, name='a.zip', stream=open({str(path)!r}, 'rb'))")
    line.wait_for(lambda: do("upload.refresh_from_db(); answer = upload.state") == "done", "the upload is done", 300)


def people(do: Callable[[str], Any], shop: str, *names: str) -> None:
    """Reviewers of the shop."""
    for name in names:
        do(
            f"user = User.objects.create_user({name!r}, password={PASSWORD!r}, is_staff=True)\n"
            f"Membership.objects.create(user=user, merchant=Merchant.objects.get(slug={shop!r}), role='reviewer')"
        )


def customer_photos(skus: Sequence[str], numbers: Sequence[int] = (1, 2, 3)) -> dict[str, bytes]:
    """The sample's photos of customers."""
    names = [f"{sku}-{number}.jpg" for sku in skus for number in numbers]
    return {name: (SAMPLE / "customer" / name).read_bytes() for name in names}


def six_photos(sku: str) -> list[tuple[str, bytes]]:
    """Six photos of a product of the sample: the catalogue's, two of customers, nearer cuts of these, and a third
    customer's, whom nobody saw before."""
    one, two, three = customer_photos([sku]).values()
    photos = [(SAMPLE / "photos" / f"{sku}.jpg").read_bytes(), one, two, nearer(one), nearer(two), three]
    return [(f"{sku}-n{number}.jpg", data) for number, data in enumerate(photos)]


def nearer(data: bytes) -> bytes:
    """The same photo, nearer and darker: what a person sends who took two."""
    with Image.open(io.BytesIO(data)) as opened:
        photo = opened.convert("RGB")
    width, height = photo.size
    cut = photo.crop((width // 10, height // 12, width - width // 14, height - height // 10))
    out = io.BytesIO()
    ImageEnhance.Brightness(cut).enhance(0.9).save(out, "JPEG", quality=85)
    return out.getvalue()


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


def items_in_sql(line: Line, shop: str) -> dict[str, tuple[str, str | None, str]]:
    """State, sku and photo's name of each of a shop's items, by id, as they lie in SQL."""
    rows = line.rows(
        "SELECT i.id, i.state, p.sku, f.name FROM catalog_item i JOIN catalog_photo f ON f.id = i.photo_id "
        "LEFT JOIN catalog_product p ON p.id = i.product_id JOIN catalog_merchant m ON m.id = i.merchant_id "
        "WHERE m.slug = ?",
        shop,
    )
    return {str(UUID(ident)): (state, sku, name) for ident, state, sku, name in rows}
