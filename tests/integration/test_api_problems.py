"""Every error, whatever its kind, is a complete problem (RFC 9457) that names its request."""

import base64
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from rest_framework.test import APIClient

from catalog.api.problems import PROBLEMS
from catalog.models import Product, Upload
from catalog.services.errors import Refused
from config.env import load_env
from tests.api_support import API, Shop, faults, jpeg, problem
from workers.client import Unavailable


@pytest.mark.parametrize(
    "path",
    [
        f"{API}/nothing",
        f"{API}/products/%0A/photos",
        f"{API}/products/12",
        f"{API}/products/",
        "/api",
        "/api/v2/products",
    ],
)
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_an_unknown_address(db, path, method):
    problem(getattr(APIClient(), method)(path if path != "/api" else "/api/"), 404, "not_found")


def test_a_method_that_an_address_does_not_take(shop):
    response = shop.client.put(f"{API}/products", {}, format="json")
    problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "GET, POST, HEAD, OPTIONS"


@pytest.mark.parametrize("body", ["{", "[1,", '{"title": NaN}', "\xff", ""])
def test_a_body_that_is_no_json(shop, body):
    response = shop.client.post(f"{API}/products", body.encode("latin-1"), content_type="application/json")
    if body:
        problem(response, 400, "malformed")
    else:
        problem(response, 422, "invalid")


@pytest.mark.parametrize("body", ["[" * 100_000, '{"a":' * 5_000 + "1" + "}" * 5_000])
def test_a_body_nested_without_end(shop, body):
    problem(shop.client.post(f"{API}/products", body, content_type="application/json"), 400, "malformed")
    problem(shop.client.post(f"{API}/search-jobs", body, content_type="application/json"), 400, "malformed")


@pytest.mark.parametrize("body", ["[]", '"x"', "7", "null"])
def test_a_body_that_is_no_object(shop, body):
    response = shop.client.post(f"{API}/products", body, content_type="application/json")
    problem(response, 400, "malformed")
    response = shop.client.post(f"{API}/search-jobs", body, content_type="application/json")
    problem(response, 422, "invalid")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_content_type_that_is_not_taken(shop, kind):
    problem(shop.client.post(f"{API}/products", b"a=b", content_type=kind), 415, "unsupported_media_type")


def test_a_form_that_cannot_be_read(shop):
    response = shop.client.post(f"{API}/search-jobs", b"--y", content_type="multipart/form-data; boundary=")
    problem(response, 400, "malformed")


def test_fields_are_named_with_their_place(shop):
    body = {"words": "x" * 501, "limit": 0, "filters": {"brands": ["a", {}], "price_min": "-1", "in_stock": "maybe"}}
    found = problem(shop.client.post(f"{API}/search-jobs", body, format="json"), 422, "invalid")
    assert faults(found) == {
        "words": "max_length",
        "limit": "min_value",
        "filters.brands.1": "invalid",
        "filters.price_min": "min_value",
        "filters.in_stock": "invalid",
    }


def test_the_services_own_problems(shop):
    body = {"title": "", "price": "-1", "currency": "XXX", "colour": "red"}
    found = problem(shop.client.post(f"{API}/products", body, format="json"), 422, "invalid")
    assert faults(found) == {
        "title": "title_missing",
        "price": "price_negative",
        "currency": "currency_unknown",
        "colour": "field_unknown",
        "sku": "sku_missing",
    }
    assert not Product.objects.exists()


def test_a_body_over_the_limit_is_refused_unread(shop):
    response = shop.client.post(f"{API}/products", b"{" + b" " * 1_000_001, content_type="application/json")
    problem(response, 413, "body_too_large")


def test_a_photo_over_the_limit(shop, monkeypatch):
    monkeypatch.setattr(load_env(), "__dict__", load_env().__dict__ | {"photo_max_bytes": 1000})
    photo = base64.b64encode(b"x" * 1001).decode()
    problem(shop.client.post(f"{API}/search-jobs", {"photo": photo}, format="json"), 413, "photo_too_large")
    long = base64.b64encode(b"x" * 3000).decode()
    problem(shop.client.post(f"{API}/search-jobs", {"photo": long}, format="json"), 413, "photo_too_large")
    unread = shop.client.post(f"{API}/search-jobs", b" " * 1_100_000, content_type="application/json")
    problem(unread, 413, "photo_too_large")


@pytest.mark.parametrize("path", ["products?in_stock=maybe", "uploads/{0}/rows?problems=null"])
def test_a_filter_that_says_nothing_is_refused(shop, path):
    upload = Upload.objects.create(merchant=shop.merchant, name="a.zip", source="spool/a")
    found = problem(shop.client.get(f"{API}/{path.format(upload.pk)}"), 422, "invalid")
    assert set(faults(found)) == {path.partition("?")[2].partition("=")[0]}
    assert shop.client.get(f"{API}/products?in_stock=true").status_code == 200


def test_a_body_without_a_length(shop):
    response = shop.client.post(f"{API}/products", HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH="")
    problem(response, 411, "length_required")


def test_too_many_files(shop):
    response = shop.client.post(
        f"{API}/recognition-jobs", {"photos": [SimpleUploadedFile(f"{number}.jpg", jpeg()) for number in range(101)]}
    )
    problem(response, 413, "too_many_files")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RuntimeError("boom"), 500, "internal_error"),
        (Unavailable("storage_unavailable", "s3 at 10.0.0.7 is away"), 503, "storage_unavailable"),
        (OperationalError("database is locked"), 503, "unavailable"),
        (Refused("of_its_own", "A new code.", status=409), 409, "of_its_own"),
    ],
)
def test_what_fails_inside(shop, monkeypatch, error, status, code):
    def fail(**_):
        raise error

    monkeypatch.setattr("catalog.api.views.products.product_create", fail)
    response = shop.client.post(f"{API}/products", {"sku": "A", "title": "A"}, format="json")
    body = problem(response, status, code)
    assert ("Retry-After" in response.headers) == (status == 503)
    if status >= 500:
        assert str(error) not in body["detail"]


def test_a_fault_of_ours_is_logged_with_its_request(shop, monkeypatch, caplog):
    monkeypatch.setattr("catalog.api.views.products.product_create", lambda **_: 1 / 0)
    response = shop.client.post(f"{API}/products", {"sku": "A"}, format="json", HTTP_X_REQUEST_ID="order-77")
    assert problem(response, 500, "internal_error")["request_id"] == "order-77"
    (record,) = [each for each in caplog.records if each.name == "catalog.api.errors"]
    assert "order-77" in record.getMessage() and record.exc_info[0] is ZeroDivisionError


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "ü", "<script>"])
def test_an_odd_request_id_is_replaced(shop, given):
    response = shop.client.get(f"{API}/products", HTTP_X_REQUEST_ID=given)
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])


def test_whatever_is_accepted_the_answer_is_json(shop):
    for accept in ("text/html", "application/problem+json", "image/png"):
        response = shop.client.get(f"{API}/products?format=xml", HTTP_ACCEPT=accept)
        assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")


def test_a_problems_type_leads_to_its_explanation(db):
    page = APIClient().get("/api/errors")
    assert page.status_code == 200
    for code, (status, title, _) in PROBLEMS.items():
        assert f'<dt id="{code}">{code} ({status})</dt>' in page.content.decode()
        assert title


def test_errors_do_not_leak_from_one_shop_to_another(shop, other):
    assert isinstance(other, Shop)
    product = shop.product("SECRET-SKU")
    body = problem(other.client.get(f"{API}/products/{product.pk}"), 404, "not_found")
    assert "SECRET" not in str(body)
