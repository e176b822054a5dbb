"""Bulk uploads through the API: send, follow, read rows, take the bad ones home, cancel."""

import io
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from catalog.models import Product, Upload, UploadRow, UploadState
from catalog.services.upload import upload_import
from config.env import load_env
from tests.api_support import API, faults, jpeg, problem

HEADER = "sku,title,brand,category,price,currency,description,images"


def archive(*lines):
    """A ZIP with a manifest of these lines and the photo a.jpg."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("products.csv", "\n".join([HEADER, *lines]))
        file.writestr("a.jpg", jpeg())
    return out.getvalue()


def send(shop, data, name="mugs.zip", **more):
    return shop.client.post(f"{API}/uploads", {"file": SimpleUploadedFile(name, data), **more})


def test_an_upload_from_sending_to_its_rows(shop):
    sent = send(shop, archive("A,Mug,Hearth,Mugs,5,EUR,,a.jpg", "B,,Hearth,Mugs,-1,EUR,,a.jpg"))
    assert sent.status_code == 202
    body = sent.json()
    assert (body["state"], body["name"], body["dry_run"]) == ("pending", "mugs.zip", False)
    assert body["progress"]["percent"] == 0.0
    assert sent.headers["Location"] == f"http://testserver{API}/uploads/{body['id']}"
    assert Upload.objects.get().created_by == "API key server"

    upload_import(upload_id=body["id"])
    body = shop.client.get(sent.headers["Location"]).json()
    assert (body["kind"], body["state"]) == ("catalogue", "processing")
    assert (body["rows_total"], body["rows_created"], body["rows_refused"]) == (2, 1, 1)
    assert (body["progress"]["photos_total"], body["progress"]["photos_pending"]) == (1, 1)

    rows = shop.client.get(f"{sent.headers['Location']}/rows").json()["results"]
    assert [(row["number"], row["sku"], row["verdict"]) for row in rows] == [(2, "A", "created"), (3, "B", "refused")]
    assert rows[0]["product_id"] == str(Product.objects.get().pk)
    assert {each["code"] for each in rows[1]["problems"]} == {"title_missing", "price_negative"}
    assert set(rows[1]["problems"][0]) == {"code", "message", "field", "photo"}

    bad = shop.client.get(f"{sent.headers['Location']}/bad-rows.csv", HTTP_ACCEPT="text/csv")
    assert bad.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in bad.headers["Content-Disposition"]
    assert "price_negative" in bad.content.decode() and "\nA," not in bad.content.decode()


def test_rows_are_narrowed(shop):
    upload = Upload.objects.create(merchant=shop.merchant, name="a.zip", source="spool/a")
    trouble = [{"code": "photo_missing", "message": "Gone.", "field": "images", "photo": "a.jpg"}]
    for number, (verdict, problems) in enumerate([("created", []), ("created", trouble), ("refused", trouble)]):
        UploadRow.objects.create(upload=upload, number=number + 2, verdict=verdict, problems=problems)

    def numbers(query):
        return [row["number"] for row in shop.client.get(f"{API}/uploads/{upload.pk}/rows{query}").json()["results"]]

    assert numbers("") == [2, 3, 4]
    assert numbers("?verdict=created") == [2, 3]
    assert numbers("?verdict=refused") == [4]
    assert numbers("?problems=true") == [3, 4]
    assert numbers("?problems=false") == [2]
    found = problem(shop.client.get(f"{API}/uploads/{upload.pk}/rows?verdict=maybe"), 422, "invalid")
    assert faults(found) == {"verdict": "invalid_choice"}


def test_a_dry_run_changes_nothing(shop):
    body = send(shop, archive("A,Mug,Hearth,Mugs,5,EUR,,a.jpg"), dry_run="true").json()
    assert body["dry_run"] is True
    upload_import(upload_id=body["id"])
    assert not Product.objects.exists()
    assert shop.client.get(f"{API}/uploads/{body['id']}").json()["state"] == "done"


def test_uploads_are_listed_by_state(shop):
    sent = send(shop, archive("A,Mug,Hearth,Mugs,5,EUR,,a.jpg")).json()
    done = Upload.objects.create(merchant=shop.merchant, name="b", source="b", state=UploadState.DONE)

    def ids(query):
        return [row["id"] for row in shop.client.get(f"{API}/uploads{query}").json()["results"]]

    assert ids("") == [str(done.pk), sent["id"]]
    assert ids("?state=done") == [str(done.pk)]


def test_cancel(shop):
    address = f"{API}/uploads/{send(shop, archive()).json()['id']}"
    assert shop.client.post(f"{address}/cancel").json()["state"] == "cancelled"
    problem(shop.client.post(f"{address}/cancel"), 409, "upload_finished")


def test_a_file_must_be_there(shop):
    found = problem(shop.client.post(f"{API}/uploads", {"dry_run": "true"}), 422, "invalid")
    assert faults(found) == {"file": "required"}
    problem(send(shop, b""), 422, "upload_empty")
    problem(shop.client.post(f"{API}/uploads", {}, format="json"), 415, "unsupported_media_type")
    assert not Upload.objects.exists()


@pytest.mark.parametrize("extra", [0, 1_100_000])
def test_an_upload_over_the_limit(shop, monkeypatch, extra):
    monkeypatch.setattr(load_env(), "__dict__", load_env().__dict__ | {"upload_max_bytes": 1000})
    problem(send(shop, b"x" * (1001 + extra)), 413, "upload_too_large")
    assert not Upload.objects.exists()


def test_an_upload_that_failed_says_why(shop):
    upload = Upload.objects.create(
        merchant=shop.merchant, name="a", source="a", state="failed", error_code="zip_damaged", error_message="Damaged."
    )
    body = shop.client.get(f"{API}/uploads/{upload.pk}").json()
    assert body["error"] == {"code": "zip_damaged", "message": "Damaged."}
