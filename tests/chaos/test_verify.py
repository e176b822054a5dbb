"""What ``manage.py verify`` finds when something is wrong, and that ``--repair`` leaves it right."""

import os
import time
import uuid

import pytest

from tests.chaos.rig import send_upload, small_catalogue

pytestmark = pytest.mark.slow
FIRST, PHOTOS = 100_000, 12

# Everything that can be wrong, done to a sound installation behind the back of the line.
DAMAGE = """
import time, uuid
from datetime import timedelta
from django.utils import timezone
from catalog.models import *
from catalog.services.verifying.points import ask
from workers import client
from workers.contract import Chunk, PhotoWork

upload = Upload.objects.order_by("created_at").last()
photos = list(upload.photos.order_by("name"))
now = timezone.now()
long_ago = now - timedelta(hours=3)
forgotten, lost, stale, unexplained, other = photos[0], photos[1], photos[2], photos[3], photos[4]
merchant = forgotten.merchant
works = (PhotoWork(photo_id=forgotten.pk, key=""),)
client.send_chunk(Chunk(chunk_id=uuid.uuid4(), merchant_id=merchant.pk, purpose="forget", photos=works))
while ask([forgotten.pk]).points:
    time.sleep(0.1)
Photo.objects.filter(pk=lost.pk).delete()
Product.objects.filter(pk=stale.product_id).update(price="77.00")
Photo.objects.filter(pk=unexplained.pk).update(state="failed", error_code="")
Photo.objects.filter(pk=other.pk).update(bundle_version="older")
Upload.objects.filter(pk=upload.pk).update(rows_created=99)
search = Job.objects.create(merchant=merchant, kind="search", state="dispatched", deadline=long_ago)
job = Job.objects.create(merchant=merchant, kind="recognition", state="dispatched")
Job.objects.filter(pk=job.pk).update(created_at=long_ago)
store = client.photo_store()
kept = store.read(photos[5].key)
store.delete(photos[5].key)
store.put("kept/aside", kept)
store.put("thumbs/ab/" + "ab" * 32 + "-thumb.webp", b"no photo has this one")
store.put(f"uploads/{uuid.uuid4()}", b"nobody committed this one")
store.put("ab/cd/.half.part", b"killed while it was writ")
print(photos[5].key, lost.key)
"""
GONE = "bytes_missing"
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


def test_everything_that_is_wrong_is_found_and_mended(rig, disk, tmp_path):
    rig.keep_alive()
    rig.wait_for(rig.is_up, "the line is up")
    before = rig.photos()
    send_upload(rig.api, small_catalogue(tmp_path / "photos.zip", FIRST, PHOTOS), str(uuid.uuid4()))
    rig.wait_for(lambda: rig.done() == before + PHOTOS and rig.is_at_rest(), "every photo is done")
    sound = rig.manage("verify")
    assert "Proven: nothing is lost, nothing is there twice." in sound.stdout
    assert rig.parts["coordinator"].stop() == 0  # it would heal half of the damage before anybody looks

    lost_bytes, unused = rig.manage("shell", "--no-imports", "-c", DAMAGE).stdout.split()
    long_ago = time.time() - 7_200
    for file in (disk / "photos").rglob("*"):
        if file.is_file():
            os.utime(file, (long_ago, long_ago))
    seen = rig.verify(exit_code=1)
    assert {code: each["count"] for code, each in seen["found"].items()} == dict.fromkeys({*MENDABLE, GONE}, 1)
    assert seen["found"][GONE]["examples"] == [lost_bytes]
    assert seen["found"]["bytes_unused"]["examples"] == [unused]

    mended = rig.verify("--repair", exit_code=1)
    assert {code for code, each in mended["found"].items() if each["mended"] == each["count"]} == MENDABLE
    rig.launch("coordinator")
    rig.wait_for(rig.is_at_rest, "what was owed again is done")
    left = rig.verify(exit_code=1)
    assert set(left["found"]) == {GONE}, "nobody but the merchant has the bytes of a photo"
    (disk / "photos" / "kept" / "aside").rename(disk / "photos" / lost_bytes)

    rig.parts["worker"].stop()
    alone = rig.manage("verify", check=False)
    assert "Not looked at: index. No worker is alive" in alone.stdout
    assert (alone.returncode, "WRONG" in alone.stdout) == (2, False)
