"""Uploads in time: after three months their rows are gone and they answer 410; products, photos and jobs stay."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from catalog.models import Job, LedgerState, Photo, Product, Upload, UploadRow
from catalog.services import upload as service
from catalog.services.job import recognition_job_finish
from catalog.services.upload import row_problem_add, upload_cancel, upload_finish_if_done, uploads_forget
from catalog.services.verifying.ledger import ledger_check
from tests.api_support import API, jpeg, problem
from tests.uploads import manifest, row, send

KEPT = timedelta(days=90)


def finish(upload, *, ago=KEPT):
    """As if the workers had done its photos, so long ago."""
    upload.photos.update(state=LedgerState.DONE, bundle_version="test-1", finished_at=timezone.now() - ago)
    upload_finish_if_done(upload_id=upload.pk)
    Upload.objects.filter(pk=upload.pk).update(finished_at=timezone.now() - ago)
    return upload


@pytest.fixture
def old_upload(shop):
    """A manifest of two good rows and a bad one, read three months ago."""
    rows = manifest(row("A", "a.jpg"), row("B", "b.jpg"), row("C", price="-3"))
    files = {"m.csv": rows, "a.jpg": jpeg((1, 2, 3)), "b.jpg": jpeg((4, 5, 6))}
    return finish(send(shop.merchant, files))


def all_gone(shop, upload):
    address = f"{API}/uploads/{upload.pk}"
    for part in ("", "/rows", "/bad-rows.csv", "/events"):
        problem(shop.client.get(f"{address}{part}"), 410, "upload_expired")
    problem(shop.client.post(f"{address}/cancel"), 410, "upload_expired")
    assert shop.client.get(f"{API}/uploads").json()["results"] == []


def test_an_upload_expires_and_what_came_of_it_stays(shop, other, old_upload):
    all_gone(shop, old_upload)
    problem(other.client.get(f"{API}/uploads/{old_upload.pk}"), 404, "not_found")
    products, photos = Product.objects.count(), set(Photo.objects.values_list("pk", "sha256", "upload_id"))
    assert (UploadRow.objects.count(), products, len(photos)) == (3, 2, 2)
    now = timezone.now()
    assert (uploads_forget(now=now), uploads_forget(now=now)) == (1, 0)
    old_upload.refresh_from_db()
    assert (old_upload.forgotten_at, old_upload.columns, old_upload.rows_done) == (now, [], 3)
    assert (UploadRow.objects.count(), Product.objects.count()) == (0, products)
    assert set(Photo.objects.values_list("pk", "sha256", "upload_id")) == photos
    all_gone(shop, old_upload)
    assert len(shop.client.get(f"{API}/products").json()["results"]) == 2


def test_what_a_forgotten_upload_counted_is_no_fault(old_upload):
    uploads_forget(now=timezone.now())
    assert [each.code for batch in ledger_check() for each in batch] == []


def test_a_photo_of_a_forgotten_row_still_fails_and_succeeds(old_upload):
    row_id = Photo.objects.first().upload_row_id
    uploads_forget(now=timezone.now())
    assert set(Photo.objects.values_list("upload_row_id", flat=True)) == {None}
    row_problem_add(row_id=row_id, problem={"code": "x", "message": "x", "field": "images", "photo": "a.jpg"})
    assert UploadRow.objects.count() == 0


def test_a_recognition_outlives_the_upload_that_it_came_from(shop, setting):
    setting("VITRINE_JOBS_KEPT_DAYS", "365")
    upload = finish(send(shop.merchant, {"a.jpg": jpeg((1, 2, 3)), "b.jpg": jpeg((4, 5, 6))}))
    recognition_job_finish(job_id=upload.job_id)
    shop.item(shop.product(), job=upload.job)
    assert uploads_forget(now=timezone.now()) == 1
    all_gone(shop, upload)
    found = shop.client.get(f"{API}/recognition-jobs/{upload.job_id}").json()
    assert (found["state"], found["progress"]["states"]["done"], len(found["items"]["results"])) == ("done", 3, 1)
    assert Job.objects.get(pk=upload.job_id).upload == upload
    assert len(shop.client.get(f"{API}/review-items").json()["results"]) == 1


def test_how_long_is_a_setting_and_counted_from_the_end(shop, old_upload, setting):
    setting("VITRINE_UPLOADS_KEPT_DAYS", "100")
    assert shop.client.get(f"{API}/uploads/{old_upload.pk}/rows").status_code == 200
    setting("VITRINE_UPLOADS_KEPT_DAYS", "1")
    waiting = send(shop.merchant, {"m.csv": manifest(row("D", "d.jpg")), "d.jpg": jpeg((7, 8, 9))})
    Upload.objects.filter(pk=waiting.pk).update(created_at=timezone.now() - KEPT)
    assert uploads_forget(now=timezone.now()) == 1
    assert shop.client.get(f"{API}/uploads/{waiting.pk}/rows").status_code == 200
    assert upload_cancel(upload=waiting).state == "cancelled"
    assert UploadRow.objects.get().sku == "D"


def test_a_large_upload_is_forgotten_some_rows_at_a_time(shop, old_upload, monkeypatch):
    monkeypatch.setattr(service, "ROWS_FORGOTTEN_AT_ONCE", 2)
    assert (uploads_forget(now=timezone.now()), UploadRow.objects.count()) == (0, 1)
    all_gone(shop, old_upload)
    assert (uploads_forget(now=timezone.now()), UploadRow.objects.count()) == (1, 0)


def test_forgetting_takes_the_same_statements_for_one_and_for_thirty(shop, django_assert_num_queries):
    for count in (1, 30):
        uploads = Upload.objects.bulk_create(
            Upload(merchant=shop.merchant, name="a.zip", state="done", finished_at=timezone.now() - KEPT)
            for _ in range(count)
        )
        UploadRow.objects.bulk_create(
            UploadRow(upload=each, number=number, verdict="created") for each in uploads for number in range(3)
        )
        with django_assert_num_queries(5):  # read; rows, let their photos go, delete them; note
            assert uploads_forget(now=timezone.now()) == count


def test_the_admin_says_why_there_are_no_rows(client, old_upload):
    uploads_forget(now=timezone.now())
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    page = client.get(reverse("admin:catalog_upload_change", args=[old_upload.pk])).content.decode()
    assert "Its rows are not kept any more." in page
