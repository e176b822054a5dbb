"""What ``manage.py verify`` finds when something is wrong, and that ``--repair`` leaves it right."""

import os
import time
import uuid

import pytest

from tests.chaos.rig import PARTS, running_rig, send_upload, small_catalogue

pytestmark = pytest.mark.slow
PHOTOS = 12

# Everything that can be wrong, done to a sound installation behind the back of the line.
DAMAGE = """
import uuid
from datetime import timedelta
from django.utils import timezone
from catalog.models import *
from workers import client
from workers.contract import Chunk, PhotoWork

photos = list(Photo.objects.order_by("name"))
now = timezone.now()
long_ago = now - timedelta(hours=3)
forgotten, lost, stale, unexplained, other = photos[0], photos[1], photos[2], photos[3], photos[4]
merchant = forgotten.merchant
works = (PhotoWork(photo_id=forgotten.pk, key=""),)
client.send_chunk(Chunk(chunk_id=uuid.uuid4(), merchant_id=merchant.pk, purpose="forget", photos=works))
Photo.objects.filter(pk=lost.pk).delete()
Product.objects.filter(pk=stale.product_id).update(price="77.00")
Photo.objects.filter(pk=unexplained.pk).update(state="failed", error_code="")
Photo.objects.filter(pk=other.pk).update(bundle_version="older")
Upload.objects.update(rows_created=99)
search = Job.objects.create(merchant=merchant, kind="search", state="dispatched", deadline=long_ago)
job = Job.objects.create(merchant=merchant, kind="recognition", state="dispatched")
Job.objects.filter(pk=job.pk).update(created_at=long_ago)
store = client.photo_store()
store.delete(photos[5].key)
store.put("thumbs/ab/" + "ab" * 32 + "-thumb.webp", b"no photo has this one")
store.put(f"uploads/{uuid.uuid4()}", b"nobody committed this one")
store.put("ab/cd/.half.part", b"killed while it was writ")
print(photos[5].key, lost.key)
"""
MENDABLE = {
    "archive_unused",
    "bytes_unused",
    "job_endless",
    "part_unused",
    "photo_unexplained",
    "point_missing",
    "point_of_other_bundle",
    "point_outdated",
    "point_unowned",
    "search_overdue",
    "thumbnail_unused",
    "upload_miscounted",
}


@pytest.fixture
def rig(tmp_path):
    with running_rig(tmp_path / "var") as rig:
        rig.launch(*PARTS)
        rig.wait_for(rig.is_up, "the line is up")
        yield rig


def test_everything_that_is_wrong_is_found_and_mended(rig, tmp_path):
    send_upload(rig.api, small_catalogue(tmp_path / "photos.zip", 0, PHOTOS), str(uuid.uuid4()))
    rig.wait_for(lambda: rig.done() == PHOTOS, "every photo is done")
    rig.assert_clean(photos=PHOTOS)
    said = rig.manage("verify")
    assert "Proven: nothing is lost, nothing is there twice." in said.stdout
    assert rig.parts["coordinator"].stop() == 0  # it would heal half of the damage before anybody looks

    lost_bytes, unused = rig.manage("shell", "--no-imports", "-c", DAMAGE).stdout.split()
    long_ago = time.time() - 7_200
    for file in (rig.folder / "photos").rglob("*"):
        if file.is_file():
            os.utime(file, (long_ago, long_ago))

    rig.wait_for(lambda: rig.verify()["checked"]["points"] == PHOTOS - 1, "the point is forgotten")
    seen = rig.verify()
    assert set(seen["found"]) == MENDABLE | {"bytes_missing"}
    assert {code: each["count"] for code, each in seen["found"].items()} == dict.fromkeys(seen["found"], 1)
    assert seen["found"]["bytes_missing"]["examples"] == [lost_bytes]
    assert seen["found"]["bytes_unused"]["examples"] == [unused]
    assert rig.manage("verify", check=False).returncode == 1

    mended = rig.verify("--repair")
    assert {code for code, each in mended["found"].items() if each["mended"] == each["count"]} == MENDABLE
    rig.launch("coordinator")
    rig.wait_for(rig.is_at_rest, "what was owed again is done")
    left = rig.verify()
    assert set(left["found"]) == {"bytes_missing"}, "nobody but the merchant has the bytes of a photo"
    assert left["checked"]["points"] == left["checked"]["photos_done"] == PHOTOS - 1

    rig.parts["worker"].stop()
    alone = rig.manage("verify", check=False)
    assert "Not looked at: index. No worker is alive" in alone.stdout
    assert alone.returncode == 1
