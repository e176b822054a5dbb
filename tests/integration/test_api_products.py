"""Products and their photos: create, read, narrow, change, delete."""

import base64
import uuid
from urllib.parse import quote

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from catalog.models import LedgerState, Photo, Product, Purpose
from tests.api_support import API, faults, jpeg, problem

MUG = {
    "sku": "MUG-1",
    "title": "Blue mug",
    "brand": "Hearth",
    "category": "Kitchen/Mugs",
    "description": "Holds tea.",
    "price": "12.90",
    "currency": "EUR",
    "in_stock": False,
    "variant_group": "MUG",
    "attributes": {"volume_ml": 350, "tags": ["blue"]},
}


def skus(response):
    assert response.status_code == 200, response.json()
    return [row["sku"] for row in response.json()["results"]]


def test_create_and_read(shop):
    made = shop.client.post(f"{API}/products", MUG, format="json")
    assert made.status_code == 201
    body = made.json()
    product = Product.objects.get()
    assert body == {
        **MUG,
        "id": str(product.pk),
        "photo_url": None,
        "photos_total": 0,
        "photos_indexed": 0,
        "created_at": product.created_at.isoformat().replace("+00:00", "Z"),
        "updated_at": product.updated_at.isoformat().replace("+00:00", "Z"),
    }
    assert made.headers["Location"] == f"http://testserver{API}/products/{product.pk}"
    assert shop.client.get(made.headers["Location"]).json() == body


def test_a_sku_is_there_once(shop):
    shop.product("MUG-1")
    found = problem(shop.client.post(f"{API}/products", MUG, format="json"), 409, "sku_duplicate")
    assert faults(found) == {"sku": "sku_duplicate"}
    other = shop.product("MUG-2")
    response = shop.client.patch(f"{API}/products/{other.pk}", {"sku": "MUG-1"}, format="json")
    problem(response, 409, "sku_duplicate")


def test_a_price_needs_a_currency(shop):
    body = {**MUG, "currency": ""}
    found = problem(shop.client.post(f"{API}/products", body, format="json"), 422, "invalid")
    assert faults(found) == {"currency": "currency_missing"}


def test_change_leaves_the_rest(shop):
    product = shop.product("MUG-1", price="5", currency="EUR")
    body = shop.client.patch(f"{API}/products/{product.pk}", {"price": "4.5"}, format="json").json()
    assert (body["price"], body["currency"], body["title"]) == ("4.50", "EUR", "Mug MUG-1")


def test_a_refused_change_changes_nothing(shop):
    product = shop.product("MUG-1")
    response = shop.client.patch(f"{API}/products/{product.pk}", {"title": "New", "price": "x"}, format="json")
    problem(response, 422, "invalid")
    product.refresh_from_db()
    assert product.title == "Mug MUG-1"


@pytest.mark.parametrize("sku", ["MUG-1", "a/b c", "ü#?", "photos", "two\nlines", "two  blanks"])
def test_upsert_by_sku(shop, sku):
    """A sku is one line: what an address says with line breaks and several blanks is stored with one blank."""
    address = f"{API}/products/by-sku/" + quote(sku)
    made = shop.client.put(address, {"title": "One", "brand": "Hearth"}, format="json")
    assert (made.status_code, made.json()["sku"]) == (201, " ".join(sku.split()))
    changed = shop.client.put(address, {"title": "Two"}, format="json")
    assert (changed.status_code, changed.json()["title"], changed.json()["brand"]) == (200, "Two", "Hearth")
    assert changed.json()["id"] == made.json()["id"]


@pytest.mark.parametrize("sku", ["MUG-1", "a/b c", "ü#?", "photos", "two\nlines"])
def test_read_change_and_delete_by_sku(shop, other, sku):
    address = f"{API}/products/by-sku/" + quote(sku)
    problem(shop.client.get(address), 404, "not_found")
    problem(shop.client.patch(address, {"title": "New"}, format="json"), 404, "not_found")
    problem(shop.client.delete(address), 404, "not_found")
    assert not Product.objects.exists()
    stored = " ".join(sku.split())
    theirs, mine = other.product(stored, title="Theirs"), shop.product(stored)
    assert shop.client.get(address).json() == shop.client.get(f"{API}/products/{mine.pk}").json()
    changed = shop.client.patch(address, {"price": "9.90", "currency": "EUR"}, format="json")
    assert (changed.status_code, changed.json()["price"], changed.json()["title"]) == (200, "9.90", f"Mug {stored}")
    problem(shop.client.patch(address, {"price": "x"}, format="json"), 422, "invalid")
    taken = shop.product("TAKEN")
    problem(shop.client.patch(address, {"sku": taken.sku}, format="json"), 409, "sku_duplicate")
    assert shop.client.delete(address).status_code == 204
    problem(shop.client.get(address), 404, "not_found")
    theirs.refresh_from_db()
    assert (theirs.title, theirs.deleted_at) == ("Theirs", None)


def test_a_sku_that_no_database_takes_is_nobodys(shop):
    shop.product("MUG-1")
    assert shop.client.get(f"{API}/products/by-sku/%20MUG-1%20").status_code == 200
    for method in ("get", "delete"):
        problem(getattr(shop.client, method)(f"{API}/products/by-sku/MUG%00-1"), 404, "not_found")


def test_delete(shop):
    product = shop.product("MUG-1")
    photo = shop.photo(product)
    address = f"{API}/products/{product.pk}"
    assert shop.client.delete(address).status_code == 204
    problem(shop.client.get(address), 404, "not_found")
    problem(shop.client.delete(address), 404, "not_found")
    problem(shop.client.get(f"{API}/photos/{photo.pk}"), 404, "not_found")
    assert skus(shop.client.get(f"{API}/products")) == []
    photo.refresh_from_db()
    assert (photo.purpose, photo.state) == (Purpose.FORGET, LedgerState.PENDING)


def test_an_unknown_product(shop):
    problem(shop.client.get(f"{API}/products/{uuid.uuid4()}"), 404, "not_found")


def test_lists_are_narrowed(shop):
    shop.product("A", title="Blue mug", brand="Hearth", category="Mugs", price="5", currency="EUR")
    shop.product("B", title="Red mug", brand="Forge", category="Mugs", price="15", currency="EUR", in_stock=False)
    shop.product("C-%_", title="Blue lamp", brand="Hearth", category="Lamps", price="50", currency="USD")
    shop.product("D", title="Priceless", brand="Nobody", category="Other")

    def narrowed(**query):
        return sorted(skus(shop.client.get(f"{API}/products", query)))

    assert narrowed() == ["A", "B", "C-%_", "D"]
    assert narrowed(sku="B") == ["B"]
    assert narrowed(category="Mugs") == ["A", "B"]
    assert narrowed(brand="Hearth") == ["A", "C-%_"]
    assert narrowed(in_stock="false") == ["B"]
    assert narrowed(price_min="10") == ["B", "C-%_"]
    assert narrowed(price_min="5", price_max="15.00") == ["A", "B"]
    assert narrowed(price_max="20", currency="EUR", in_stock="true") == ["A"]
    assert narrowed(q="blue hearth") == ["A", "C-%_"]
    assert narrowed(q="%") == ["C-%_"]
    assert narrowed(q="nothing like it") == []


@pytest.mark.parametrize(
    "query", [{"price_min": "x"}, {"price_min": "NaN"}, {"price_max": "1e400"}, {"price_max": "-1"}, {"q": "a\0b"}]
)
def test_odd_filters(shop, query):
    found = problem(shop.client.get(f"{API}/products", query), 422, "invalid")
    assert list(faults(found)) == list(query)


def send_form(shop, product, data, name="front.jpg"):
    return shop.client.post(f"{API}/products/{product.pk}/photos", {"photo": SimpleUploadedFile(name, data)})


def send_json(shop, product, photo, **more):
    return shop.client.post(f"{API}/products/{product.pk}/photos", {"photo": photo, **more}, format="json")


def test_photos_are_added_as_form_or_json(shop):
    product = shop.product()
    first = send_form(shop, product, jpeg((1, 1, 1), side=40))
    assert first.status_code == 202
    body = first.json()
    assert body["state"] == "pending" and body["error"] is None
    assert (body["name"], body["position"], body["width"], body["height"]) == ("front.jpg", 0, 40, 40)
    assert (body["content_type"], body["product_id"]) == ("image/jpeg", str(product.pk))
    assert first.headers["Location"] == f"http://testserver{API}/photos/{body['id']}"
    second = send_json(shop, product, base64.b64encode(jpeg((2, 2, 2))).decode(), name="back.jpg")
    assert (second.status_code, second.json()["position"], second.json()["name"]) == (202, 1, "back.jpg")
    third = send_json(shop, product, "data:image/png;base64," + base64.b64encode(jpeg(kind="PNG")).decode())
    assert (third.status_code, third.json()["content_type"]) == (202, "image/png")
    listed = shop.client.get(f"{API}/products/{product.pk}/photos").json()["results"]
    assert [row["id"] for row in listed] == [body["id"], second.json()["id"], third.json()["id"]]


def test_the_same_bytes_are_no_second_photo(shop):
    product = shop.product()
    first, again = send_form(shop, product, jpeg()), send_form(shop, product, jpeg())
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    assert Photo.objects.count() == 1


def test_a_photo_is_shown_by_its_signed_address(shop, client):
    product = shop.product()
    body = send_form(shop, product, jpeg()).json()
    for name in ("url", "thumb_url"):
        shown = client.get(body[name])  # no key: the address is enough
        assert shown.status_code == 200
        assert shown.headers["Content-Type"].startswith("image/")
    assert client.get(body["url"].split("?")[0]).status_code == 403


def test_a_products_main_photo_and_counts(shop):
    product = shop.product()
    shop.photo(product, position=1, state=LedgerState.PENDING)
    main = shop.photo(product, position=0)
    shop.photo(product, position=0, purpose=Purpose.FORGET)
    body = shop.client.get(f"{API}/products/{product.pk}").json()
    assert (body["photos_total"], body["photos_indexed"]) == (2, 1)
    assert f"/photos/{main.pk}/" in body["photo_url"]


def test_delete_a_photo(shop):
    product = shop.product()
    photo = send_form(shop, product, jpeg()).json()
    assert shop.client.delete(f"{API}/photos/{photo['id']}").status_code == 204
    problem(shop.client.get(f"{API}/photos/{photo['id']}"), 404, "not_found")
    problem(shop.client.delete(f"{API}/photos/{photo['id']}"), 404, "not_found")
    assert shop.client.get(f"{API}/products/{product.pk}/photos").json()["results"] == []
    assert Photo.objects.get().purpose == Purpose.FORGET


def test_a_failed_photo_says_why(shop):
    photo = shop.photo(shop.product(), state=LedgerState.FAILED)
    Photo.objects.update(error_code="photo_truncated", error_message="Cut off.", error_trace="secret trace")
    body = shop.client.get(f"{API}/photos/{photo.pk}").json()
    assert body["error"] == {"code": "photo_truncated", "message": "Cut off."}
    assert "secret trace" not in str(body)


@pytest.mark.parametrize(
    ("photo", "status", "code"),
    [
        ("%%%", 422, "photo_base64_invalid"),
        ("A", 422, "photo_base64_invalid"),
        ("ü", 422, "photo_base64_invalid"),
        (7, 422, "photo_base64_invalid"),
        ({}, 422, "photo_base64_invalid"),
        ("", 422, "photo_empty"),
        (base64.b64encode(b"not a photo").decode(), 422, "photo_not_an_image"),
        (base64.b64encode(jpeg()[:20]).decode(), 422, "photo_unreadable"),
    ],
)
def test_photos_that_cannot_be_used(shop, photo, status, code):
    problem(send_json(shop, shop.product(), photo), status, code)
    assert not Photo.objects.exists()


@pytest.mark.parametrize("body", [{}, {"photo": None}])
def test_a_photo_must_be_there(shop, body):
    product = shop.product()
    response = shop.client.post(f"{API}/products/{product.pk}/photos", body, format="json")
    assert list(faults(problem(response, 422, "invalid"))) == ["photo"]


def test_a_line_break_in_an_address_begins_no_line_of_the_log(shop, caplog):
    with caplog.at_level("INFO", logger="catalog.api.requests"):
        shop.client.get(f"{API}/products/by-sku/two%0A2026-01-01%20INFO%20all%20is%20well")
    (line,) = (each.getMessage() for each in caplog.records if each.name == "catalog.api.requests")
    assert line.startswith(f"GET {API}/products/by-sku/two%0A2026-01-01%20INFO%20all%20is%20well 404 ")
