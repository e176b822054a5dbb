"""``verify`` without a line: what counts as a finding and what does not. With one, and repaired: tests/chaos."""

import os
import time
import uuid
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import (
    ExamplePhoto,
    Job,
    JobKind,
    JobState,
    LedgerState,
    Merchant,
    Photo,
    Product,
    Upload,
    UploadRow,
    UploadState,
)
from catalog.services.photo import BYTES_KEPT
from catalog.services.verify import verify
from tests.drawing import jpeg
from workers import client

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def product():
    merchant = Merchant.objects.create(slug="harbour", name="Harbour")
    return Product.objects.create(merchant=merchant, sku="MUG-1", title="Sea green mug")


def keep(product, number, **fields):
    """A photo with its bytes in the store."""
    stored = client.photo_store().write(jpeg(number, 32))
    facts = {"sha256": stored.sha256, "key": stored.key, "bytes": stored.bytes}
    return Photo.objects.create(merchant=product.merchant, product=product, **facts | fields)


def found(**options):
    return {code: each.count for code, each in verify(**options).found.items()}


def test_what_is_owed_or_just_under_way_is_no_finding(product):
    now = timezone.now()
    keep(product, 1)
    keep(product, 2, state=LedgerState.DISPATCHED, lease_until=now - timedelta(seconds=5))
    keep(product, 3, state=LedgerState.FAILED, error_code="photo_truncated", finished_at=now)
    client.photo_store().write(jpeg(4, 32))  # its row is about to be committed
    Job.objects.create(merchant=product.merchant, kind=JobKind.RECOGNITION, state=JobState.DISPATCHED)
    Job.objects.create(merchant=product.merchant, kind=JobKind.SEARCH, state=JobState.DISPATCHED, deadline=now)
    Upload.objects.create(merchant=product.merchant, state=UploadState.PENDING, source=f"uploads/{uuid.uuid4()}")
    seen = verify()
    assert seen.found == {}
    assert seen.owed == {"photos_pending": 1, "photos_dispatched": 1, "jobs": 2, "uploads": 1}
    assert seen.checked["files"] >= 4
    assert set(seen.unproven) == {"index"}, "no worker, no Redis: nobody can look into it"


def test_what_nobody_will_heal_is_found_and_mended(product):
    long_ago = timezone.now() - timedelta(hours=1)
    keep(product, 1, state=LedgerState.DISPATCHED, lease_until=long_ago)
    keep(product, 2, state=LedgerState.DISPATCHED, lease_until=None)
    Photo.objects.create(merchant=product.merchant, product=product, sha256="ab" * 32, key="ab/ab/" + "ab" * 32)
    keep(product, 3, bytes=7)
    upload = Upload.objects.create(merchant=product.merchant, state=UploadState.DONE, rows_total=2, rows_done=2)
    UploadRow.objects.create(upload=upload, number=2, verdict="created")
    Upload.objects.filter(pk=upload.pk).update(rows_created=2)
    expected = {"lease_stale": 2, "bytes_missing": 1, "bytes_damaged": 1, "upload_miscounted": 1}
    assert found() == expected
    mended = {code: each.mended for code, each in verify(repair=True).found.items()}
    assert mended == {"lease_stale": 2, "bytes_missing": 0, "bytes_damaged": 0, "upload_miscounted": 1}
    upload.refresh_from_db()
    assert (upload.rows_created, upload.rows_done, upload.rows_total) == (1, 1, 1)
    assert found() == {"bytes_missing": 1, "bytes_damaged": 1}


@pytest.fixture
def own_store(setting, tmp_path):
    setting("VITRINE_PHOTO_STORE", str(tmp_path / "photos"))
    client.photo_store.cache_clear()
    yield client.photo_store()
    client.photo_store.cache_clear()


def test_small_copies_of_photos_that_are_searched_with_are_no_orphans(product, own_store):
    store, old = own_store, time.time() - 2 * BYTES_KEPT.total_seconds()
    stored = [store.write(jpeg(number, 32)) for number in (1, 2, 3)]
    for each in stored:
        thumbnail = f"thumbs/{each.sha256[:2]}/{each.sha256}-list.webp"
        store.put(thumbnail, b"small")
        for key in (each.key, thumbnail):
            os.utime(f"{store.place[1]}/{key}", (old, old))
    job = Job.objects.create(merchant=product.merchant, kind=JobKind.SEARCH, state=JobState.DONE, key=stored[0].key)
    example = ExamplePhoto.objects.create(job=job, like=True, key=stored[1].key)
    assert found() == {"thumbnail_unused": 1, "bytes_unused": 1}
    example.delete()
    assert found() == {"thumbnail_unused": 2, "bytes_unused": 2}
    job.delete()
    assert found() == {"thumbnail_unused": 3, "bytes_unused": 3}, "also where no row refers to any file"
    mended = {code: each.mended for code, each in verify(repair=True).found.items()}
    assert mended == {"bytes_unused": 3}, "small copies go with their photos"
    assert found() == {}


def test_more_photos_cost_no_more_queries(product):
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            verify()
        return len(captured)

    keep(product, 1)
    few = queries()
    for number in range(2, 12):
        keep(product, number)
    assert queries() == few


def test_the_command_says_what_it_means(product, capsys):
    keep(product, 1, state=LedgerState.FAILED)
    with pytest.raises(SystemExit) as ended:
        call_command("verify")
    said = capsys.readouterr().out
    assert ended.value.code == 1
    assert "photo_unexplained" in said
    assert "Not looked at: index." in said
    assert "WRONG: 1 findings are not mended." in said
    with pytest.raises(SystemExit) as ended:
        call_command("verify", "--repair")
    assert ended.value.code == 2
    assert Photo.objects.get().state == LedgerState.PENDING
