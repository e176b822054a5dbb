"""Many products as JSON lines: at once with a verdict a line, or, when they are many, as an upload."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import LedgerState, Photo, Product, Upload
from catalog.services.product_bulk import AT_ONCE_BYTES, AT_ONCE_LINES
from catalog.services.upload import upload_import
from tests.api_support import API, problem
from tests.drawing import jpeg
from tests.uploads import archive, codes, send, verdicts

NDJSON = "application/x-ndjson"


def lines(*rows):
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode()


def post(shop, body, **headers):
    return shop.client.generic("POST", f"{API}/products/bulk", body, content_type=NDJSON, **headers)


def told(response):
    assert response.status_code == 200, response.json()
    rows = response.json()["results"]
    return [(row["number"], row["sku"], row["verdict"], [each["code"] for each in row["problems"]]) for row in rows]


def mug(sku, **values):
    return {"sku": sku, "title": f"Mug {sku}", **values}


def test_a_bad_line_holds_up_no_other(shop):
    held = shop.product("OLD", price="5", currency="EUR", attributes={"colour": "red"})
    deep = "[" * 100_000 + "]" * 100_000
    body = lines(
        mug("NEW", price=12.9, currency="eur", in_stock=False, attributes={"ml": 350}),
        {"sku": "OLD", "price": "4.50"},
        "",
        "not json",
        {"sku": "OTHER", "price": "1"},
        '["a list"]',
        {"title": "No sku"},
        {"sku": "NEW", "title": "Again"},
        {"sku": "OLD2", "title": "x", "prize": 1, "images": 7},
        '{"sku": "N", "title": "x", "price": NaN}',
        deep,
    )
    response = post(shop, body)
    assert told(response) == [
        (1, "NEW", "created", []),
        (2, "OLD", "updated", []),
        (4, "", "refused", ["line_not_json"]),
        (5, "OTHER", "refused", ["title_missing", "currency_missing"]),
        (6, "", "refused", ["line_not_an_object"]),
        (7, "", "refused", ["sku_missing"]),
        (8, "NEW", "refused", ["sku_duplicate"]),
        (9, "OLD2", "refused", ["field_unknown", "images_not_a_list"]),
        (10, "", "refused", ["line_not_json"]),
        (11, "", "refused", ["line_not_json"]),
    ]
    counts = {name: value for name, value in response.json().items() if name != "results"}
    assert counts == {"created": 1, "updated": 1, "unchanged": 0, "refused": 8}
    held.refresh_from_db()
    assert (str(held.price), held.currency, held.title, held.attributes) == (
        "4.50",
        "EUR",
        "Mug OLD",
        {"colour": "red"},
    )
    made = Product.objects.get(sku="NEW")
    assert (str(made.price), made.currency, made.in_stock, made.attributes) == ("12.90", "EUR", False, {"ml": 350})
    assert response.json()["results"][0]["product_id"] == str(made.pk)
    assert set(Product.objects.values_list("sku", flat=True)) == {"OLD", "NEW"}


def test_the_same_lines_change_nothing_twice(shop):
    body = lines(mug("A", brand="Hearth"), mug("B"))
    post(shop, body)
    again = post(shop, b"\xef\xbb\xbf" + body + b"\r\n")
    assert [row[2] for row in told(again)] == ["unchanged", "unchanged"]


def test_attributes_are_taken_whole_and_empty_values_clear(shop):
    product = shop.product("A", description="Old", attributes={"a": 1, "b": 2})
    post(shop, lines({"sku": "A", "attributes": {"b": [3]}, "description": None}))
    product.refresh_from_db()
    assert (product.attributes, product.description, product.brand) == ({"b": [3]}, "", "Hearth")


def test_a_deleted_sku_comes_back_new(shop):
    product = shop.product("A", brand="Old")
    shop.photo(product)
    shop.client.delete(f"{API}/products/{product.pk}")
    refused = told(post(shop, lines({"sku": "A", "brand": "New"})))
    assert refused == [(1, "A", "refused", ["title_missing"])]
    assert told(post(shop, lines({"sku": "A", "title": "Back"}))) == [(1, "A", "created", [])]
    product.refresh_from_db()
    assert (product.title, product.brand, product.deleted_at) == ("Back", "", None)


def test_once_only(shop):
    body = lines(mug("A"), "oops")
    first = post(shop, body, HTTP_IDEMPOTENCY_KEY="one")
    Product.objects.all().delete()
    again = post(shop, body, HTTP_IDEMPOTENCY_KEY="one")
    assert (again.headers["Idempotent-Replayed"], again.json()) == ("true", first.json())
    assert not Product.objects.exists()
    problem(post(shop, lines(mug("B")), HTTP_IDEMPOTENCY_KEY="one"), 409, "idempotency_key_reused")


def test_another_merchants_products_stay(shop, other):
    theirs = other.product("A")
    assert told(post(shop, lines({"sku": "A", "title": "Mine"}))) == [(1, "A", "created", [])]
    theirs.refresh_from_db()
    assert theirs.title == "Mug A"


def test_statements_do_not_grow_with_lines(shop):
    post(shop, lines(mug("warm-up")))

    def statements(count, title):
        body = lines(*[{"sku": f"{count}-{n}", "title": title} for n in range(count)])
        with CaptureQueriesContext(connection) as seen:
            post(shop, body)
        return len(seen)

    assert statements(3, "a") == statements(60, "a")
    assert statements(3, "b") == statements(60, "b")


@pytest.mark.parametrize("body", [b"", None])
def test_an_empty_body(shop, body):
    problem(post(shop, body or b""), 422, "upload_empty")


def test_other_types_are_not_taken(shop):
    response = shop.client.post(f"{API}/products/bulk", mug("A"), format="json")
    problem(response, 415, "unsupported_media_type")


def test_a_publishable_key_may_not(shop):
    response = shop.public.generic("POST", f"{API}/products/bulk", lines(mug("A")), content_type=NDJSON)
    problem(response, 403, "permission_denied")


@pytest.mark.parametrize(
    "body",
    [
        lines(*[mug(f"S-{n}") for n in range(AT_ONCE_LINES)], "", "bad"),
        lines(mug("S-0"), mug("LONG", description="x" * AT_ONCE_BYTES)),
    ],
    ids=["lines", "bytes"],
)
def test_many_lines_become_an_upload(shop, body):
    response = post(shop, body)
    assert response.status_code == 202, response.json()
    upload = Upload.objects.get()
    assert response.headers["Location"] == f"http://testserver{API}/uploads/{upload.pk}"
    assert not Product.objects.exists()
    upload_import(upload_id=upload.pk)
    upload.refresh_from_db()
    assert (upload.state, upload.rows_refused, upload.columns) == ("done", 1, ["line"])
    assert Product.objects.count() == upload.rows_created == upload.rows_total - 1
    bad = shop.client.get(f"{API}/uploads/{upload.pk}/bad-rows.csv").content.decode("utf-8-sig").splitlines()
    assert bad[0] == "line,problems"


def test_a_line_that_is_too_long_is_passed_over(shop):
    body = b'{"sku": "A", "title": "' + b"x" * 2_500_000 + b'"}\n' + lines(mug("B")) + b"\n\xff\xfe\n"
    upload = Upload.objects.get(pk=post(shop, body).json()["id"])
    upload_import(upload_id=upload.pk)
    assert verdicts(upload) == {1: "refused", 2: "created", 3: "refused"}
    assert codes(upload) == {1: ["line_too_long"], 3: ["line_not_text"]}


def test_images_are_not_taken_and_every_line_says_so(shop):
    body = lines(
        mug("A", images=["a.jpg"]), mug("B", images=[]), {"sku": "C", "images": ["c.jpg"]}, mug("D", images=None)
    )
    response = post(shop, body)
    assert told(response) == [
        (1, "A", "created", ["images_not_taken"]),
        (2, "B", "created", ["images_not_taken"]),
        (3, "C", "refused", ["images_not_taken", "title_missing"]),
        (4, "D", "created", []),
    ]
    assert response.json()["results"][0]["problems"][0]["field"] == "images"
    assert not Photo.objects.exists()


def test_an_archive_may_have_json_lines_for_a_manifest(shop):
    rows = [
        {"sku": "A", "title": "One", "images": ["a.jpg", "b.jpg"]},
        {"sku": "B", "title": "Two", "images": ["c.jpg"]},
    ]
    files = {"a.jpg": jpeg(1), "b.jpg": jpeg(2), "products.jsonl": lines(*rows)}
    upload = send(shop.merchant, files)
    assert verdicts(upload) == {1: "created", 2: "created"}
    assert codes(upload) == {2: ["photo_missing_in_archive"]}
    assert list(Photo.objects.order_by("position").values_list("name", flat=True)) == ["a.jpg", "b.jpg"]
    Photo.objects.update(state=LedgerState.DONE)
    send(shop.merchant, lines({"sku": "A", "images": ["b.jpg"]}), name="products.jsonl")
    assert Photo.objects.count() == 2  # a manifest alone says nothing about photos
    send(shop.merchant, archive({"m.jsonl": lines({"sku": "A", "images": ["b.jpg"]})}))
    assert dict(Photo.objects.values_list("name", "purpose")) == {"a.jpg": "forget", "b.jpg": "index"}


def test_an_empty_file_of_lines_is_an_upload_that_failed(shop):
    upload = send(shop.merchant, b"\n \n", name="products.jsonl")
    assert (upload.state, upload.error_code) == ("failed", "manifest_empty")
