"""Bulk uploads in the admin: handed in, watched, their bad rows told and taken back, cancelled."""

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from catalog.models import Product, Upload, UploadState
from catalog.services.upload import upload_import
from tests.drawing import jpeg
from tests.uploads import archive, manifest, row, send

pytestmark = pytest.mark.django_db

ADD = "admin:catalog_upload_add"


@pytest.fixture
def half_good(shop):
    """An imported upload with one good row and one bad."""
    files = {
        "products.csv": manifest(row("A-1", "a.jpg"), row("A-2", "b.jpg", price="-4")),
        "a.jpg": jpeg(1),
        "b.jpg": jpeg(2),
    }
    return send(shop.merchant, files, name="half good.zip")


def hand_in(admin, shop, data, name="shoes.zip", **more):
    fields = {"merchant": shop.merchant.pk, "file": SimpleUploadedFile(name, data), **more}
    return admin.post(reverse(ADD), fields)


def change(upload):
    return reverse("admin:catalog_upload_change", args=[upload.pk])


def test_page_creates_an_upload_that_imports(admin, shop):
    data = archive({"products.csv": manifest(row("A-1", "a.jpg")), "a.jpg": jpeg(1)})
    response = hand_in(admin, shop, data)
    upload = Upload.objects.get()
    assert response.headers["Location"] == change(upload)
    assert (upload.merchant, upload.name, upload.dry_run, upload.created_by) == (
        shop.merchant,
        "shoes.zip",
        False,
        "admin",
    )
    assert upload.state == UploadState.PENDING
    upload_import(upload_id=upload.pk)
    assert Product.objects.get().sku == "A-1"


def test_script_of_the_page_gets_an_address(admin, shop):
    fields = {
        "merchant": shop.merchant.pk,
        "file": SimpleUploadedFile("a.zip", archive({"a.jpg": jpeg(1)})),
        "dry_run": "on",
    }
    response = admin.post(reverse(ADD), fields, headers={"Accept": "application/json"})
    upload = Upload.objects.get()
    assert (response.status_code, response.json()) == (201, {"address": change(upload)})
    assert upload.dry_run


def test_missing_and_empty_files_are_told(admin, shop):
    response = admin.post(reverse(ADD), {"merchant": shop.merchant.pk})
    assert response.context["form"].errors["file"] == ["Choose a file to upload."]
    response = admin.post(
        reverse(ADD),
        {"merchant": shop.merchant.pk, "file": SimpleUploadedFile("a.zip", b"")},
        headers={"Accept": "application/json"},
    )
    assert (response.status_code, response.json()) == (422, {"problems": ["This file is empty."]})
    assert not Upload.objects.exists()


def test_upload_says_how_far_it_is_and_what_is_wrong(admin, half_good):
    html = admin.get(change(half_good)).content.decode()
    for words in ("Rows with problems", "A-2", "price_negative", "The price -4 is negative.", "Bad rows as CSV"):
        assert words in html
    assert "A-1" not in html
    assert "A-1" in admin.get(change(half_good), {"rows": "all"}).content.decode()
    assert 'hx-trigger="every 2s"' in html  # its photo is still owed


def test_progress_asks_again_until_the_end(admin, half_good):
    address = reverse("admin:catalog_upload_progress", args=[half_good.pk])
    running = admin.get(address)
    assert 'hx-trigger="every 2s"' in running.content.decode()
    assert "HX-Refresh" not in running.headers
    Upload.objects.filter(pk=half_good.pk).update(state=UploadState.DONE)
    ended = admin.get(address)
    assert "hx-trigger" not in ended.content.decode()
    assert ended.headers["HX-Refresh"] == "true"


def test_bad_rows_come_back_as_csv(admin, half_good):
    response = admin.get(reverse("admin:catalog_upload_bad-rows", args=[half_good.pk]))
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    assert response.headers["Content-Disposition"] == 'attachment; filename="half-good-bad-rows.csv"'
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert [line.split(",")[0] for line in text.splitlines()] == ["sku", "A-2"]
    assert "price_negative" in text


def test_cancel(admin, half_good):
    address = reverse("admin:catalog_upload_cancel", args=[half_good.pk])
    assert admin.get(address).status_code == 405
    admin.post(address)
    half_good.refresh_from_db()
    assert half_good.state == UploadState.CANCELLED
    again = admin.post(address, follow=True)
    assert "upload_finished" in again.content.decode()


def test_another_merchants_upload_is_out_of_reach(client, half_good):
    client.force_login(User.objects.create(username="ana", is_staff=True))
    for part in ("progress", "bad-rows"):
        assert client.get(reverse(f"admin:catalog_upload_{part}", args=[half_good.pk])).status_code == 404
    assert client.post(reverse("admin:catalog_upload_cancel", args=[half_good.pk])).status_code == 404


def test_upload_is_never_edited_or_deleted(admin, half_good):
    assert admin.post(change(half_good), {"name": "x"}).status_code == 403
    assert admin.post(reverse("admin:catalog_upload_delete", args=[half_good.pk]), {"post": "yes"}).status_code == 403
    half_good.refresh_from_db()
    assert half_good.name == "half good.zip"
