"""A catalogue taken home and read back: the same products, texts, prices and photos, wherever it is read back."""

import io
import zipfile

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from PIL import Image

from catalog.models import Merchant, Photo, PhotoOrigin, Product, Purpose
from catalog.selectors.export import CatalogueExport
from catalog.services.photo import photo_add
from catalog.services.product import product_create, product_delete
from tests.api_support import API, Shop
from tests.drawing import draw, jpeg
from tests.loops import ran
from tests.uploads import codes, saved, send, verdicts
from workers import client

ODD = {
    "sku": "a/b c|ü#?",
    "title": "=SUM(1)",
    "brand": "'Hearth'",
    "category": "Küche/Becher",
    "description": 'Zwei\nZeilen, mit "Zeichen"; 蓝色茶杯\t\'=x',
    "price": "1234.50",
    "currency": "EUR",
    "in_stock": False,
    "variant_group": "=Group, one",
    "attributes": {"ml": 350, "tags": ["blue", "=x"], "title": "of its own", "deep": {"a": None}, "Colour": "red"},
}
PLAIN = {"sku": "B-1", "title": "Plain", "attributes": {}}


def add(product, data, name, **values):
    photo, _ = photo_add(
        merchant=product.merchant, product=product, data=data, name=name, origin=PhotoOrigin.API, **values
    )
    return photo


@pytest.fixture
def full(db):
    """A merchant whose catalogue has everything that may go wrong on the way out."""
    shop = Shop("full")
    odd = product_create(merchant=shop.merchant, values=ODD)
    plain = product_create(merchant=shop.merchant, values=PLAIN)
    add(odd, jpeg(1), "mug.jpg", position=1)
    add(odd, saved(draw(2), "PNG"), "=back.PNG", position=0)
    add(odd, jpeg(3), "no suffix", position=2)
    add(plain, jpeg(4), "MUG.jpg")
    add(plain, jpeg(1), "mug.jpg", position=1)
    add(plain, jpeg(5), "../../etc/x|y.jpg", position=2)
    add(plain, jpeg(6), "deleted.jpg", position=3)
    Photo.objects.filter(name="deleted.jpg").update(purpose=Purpose.FORGET)
    product_delete(product=shop.product("GONE"))
    return shop


def content(merchant):
    """All that a merchant sells, down to the bytes of the photos."""
    facts = Product.objects.filter(merchant=merchant, deleted_at=None).order_by("sku")
    values = list(facts.values(*ODD))
    photos = Photo.objects.filter(product__merchant=merchant, purpose=Purpose.INDEX)
    order = photos.order_by("product__sku", "position").values_list("product__sku", "position", "sha256", "key")
    return values, [(sku, place, sha, client.photo_store().read(key)) for sku, place, sha, key in order]


def test_everything_comes_back(full, tmp_path, capsys):
    call_command("export", str(tmp_path / "full.zip"), "--merchant", "full")
    said = capsys.readouterr().out
    assert said.startswith("2 products and 6 photos: ")
    archive = (tmp_path / "full.zip").read_bytes()
    empty = Merchant.objects.create(slug="empty", name="Empty")
    upload = send(empty, archive)
    assert (codes(upload), verdicts(upload)) == ({}, {2: "created", 3: "created"})
    assert content(empty) == content(full.merchant)
    names = Photo.objects.filter(merchant=empty).order_by("product__sku", "position").values_list("name", flat=True)
    kept = [name for name in names if not name.startswith("photos/")]
    assert kept == ["MUG.jpg", "=back.PNG"]  # the others mean two photos, or cannot stand in an archive
    again = send(empty, archive)
    assert set(verdicts(again).values()) == {"unchanged"}
    assert {path.name for path in tmp_path.iterdir()} == {"full.zip"}


def test_over_the_api_as_any_server_sends_it(full):
    response = full.client.get(f"{API}/products/export.zip")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/zip")
    assert response.headers["Content-Disposition"] == 'attachment; filename="full.zip"'
    sent = b"".join(response.streaming_content)
    with zipfile.ZipFile(io.BytesIO(sent)) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[-1] == "manifest.csv"


@pytest.mark.django_db(transaction=True)
def test_over_asgi_it_is_sent_while_it_is_made(full):
    async def read():
        headers = {"Authorization": f"Bearer {full.token}"}
        response = await AsyncClient().get(f"{API}/products/export.zip", headers=headers)
        return [block async for block in response.streaming_content]

    blocks = ran(read())
    assert len(blocks) >= 6
    with zipfile.ZipFile(io.BytesIO(b"".join(blocks))) as archive:
        assert len(archive.namelist()) == 6  # one of six photos is that of two products


def test_only_ones_own(full, other):
    other.product("A")
    sent = b"".join(other.client.get(f"{API}/products/export.zip").streaming_content)
    with zipfile.ZipFile(io.BytesIO(sent)) as archive:
        assert archive.namelist() == ["manifest.csv"]
        assert archive.read("manifest.csv").decode("utf-8-sig").splitlines()[1].startswith("A,Mug A,")
    assert full.public.get(f"{API}/products/export.zip").status_code == 403


def test_a_photo_whose_bytes_are_gone_is_left_out(full, tmp_path, capsys):
    client.photo_store().delete(Photo.objects.get(name="MUG.jpg").key)
    call_command("export", str(tmp_path / "full.zip"), "--merchant", "full")
    told = capsys.readouterr()
    assert told.out.startswith("2 products and 5 photos: ")
    assert told.err == "1 photos are left out: their bytes are gone or damaged.\n"
    upload = send(Merchant.objects.create(slug="empty", name="Empty"), (tmp_path / "full.zip").read_bytes())
    assert codes(upload) == {}


def shelf():
    """Red on the left, blue on the right; on its side, as a telephone stores it."""
    upright = Image.new("RGB", (80, 40), (200, 30, 30))
    upright.paste((30, 30, 200), (40, 0, 80, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    file = io.BytesIO()
    upright.rotate(90, expand=True).save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


def test_a_part_of_a_shelf_comes_back_as_that_part(shop, mug, cup):
    add(mug, shelf(), "shelf.jpg", region=[0.0, 0.0, 0.5, 1.0])
    add(cup, shelf(), "shelf.jpg", region=[0.5, 0.25, 1.0, 0.75])
    add(cup, jpeg(1), "whole.jpg", region=[0.0, 0.0, 1.0, 1.0], position=1)
    home = Merchant.objects.create(slug="empty", name="Empty")
    upload = send(home, b"".join(CatalogueExport(shop.merchant).blocks()))
    assert (codes(upload), set(verdicts(upload).values())) == ({}, {"created"})
    photos = Photo.objects.filter(merchant=home)
    assert list(photos.values_list("region", flat=True)) == [None, None, None]
    (left,) = photos.filter(product__sku="MUG-1")
    right, whole = photos.filter(product__sku="CUP-1").order_by("position")
    assert [(each.width, each.height, each.content_type) for each in (left, right)] == [
        (40, 40, "image/jpeg"), (40, 20, "image/jpeg"),
    ]  # fmt: skip
    for photo, colour in ((left, (200, 30, 30)), (right, (30, 30, 200))):
        with Image.open(io.BytesIO(client.photo_store().read(photo.key))) as image:
            assert all(abs(seen - meant) < 12 for seen, meant in zip(image.getpixel((5, 5)), colour, strict=True))
    assert client.photo_store().read(whole.key) == jpeg(1)
    again = send(home, b"".join(CatalogueExport(shop.merchant).blocks()))
    assert set(verdicts(again).values()) == {"unchanged"}


def test_a_part_of_a_photo_that_cannot_be_decoded_is_left_out(shop, mug):
    data = jpeg(1)
    add(mug, data[: len(data) // 2], "cut.jpg", region=[0.0, 0.0, 0.5, 0.5])
    export = CatalogueExport(shop.merchant)
    with zipfile.ZipFile(io.BytesIO(b"".join(export.blocks()))) as archive:
        assert archive.namelist() == ["manifest.csv"]
    assert (export.photos, export.missing) == (0, 1)


def test_what_cannot_be_written_leaves_nothing(full, tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        call_command("export", str(tmp_path / "none" / "full.zip"), "--merchant", "full")
    with pytest.raises(CommandError, match="no merchant 'nobody'"):
        call_command("export", str(tmp_path / "full.zip"), "--merchant", "nobody")
    assert list(tmp_path.iterdir()) == []


def test_statements_and_memory_grow_with_pages_only(db):
    shop = Shop("many")
    for number in range(3):
        shop.product(f"P-{number}")

    def statements():
        with CaptureQueriesContext(connection) as seen:
            list(CatalogueExport(shop.merchant).blocks())
        return len(seen)

    few = statements()
    for number in range(3, 60):
        shop.product(f"P-{number}")
    assert statements() == few == 3


def test_a_head_packs_nothing(full, monkeypatch):
    monkeypatch.setattr(CatalogueExport, "blocks", lambda self: pytest.fail("the archive was made"))
    response = full.client.head(f"{API}/products/export.zip")
    assert (response.status_code, response.headers["Content-Type"], response.content) == (200, "application/zip", b"")
    assert response.headers["Content-Disposition"] == 'attachment; filename="full.zip"'
