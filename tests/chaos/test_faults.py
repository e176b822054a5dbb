"""One fault after the other, in the middle of a bulk upload: afterwards every photo is indexed exactly once.

All over one line, so the photos of every test count in the verification of the next. Real faults only: processes are
killed or stopped, services go away, disks fill up.
"""

import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest

from tests.chaos.rig import SMALL, send_upload, small_catalogue
from tests.drawing import jpeg
from tests.line import Process
from workers.contract import BULK_QUEUE, RESULTS_QUEUE

pytestmark = pytest.mark.slow
PHOTOS = 60
MESSAGES = 2  # that wait at the least, so that they have an order
ROOM = 260_000  # bytes: an archive of so many photos finds room, the photos themselves do not
LIBRARIES = (os.environ.get("VITRINE_TEST_FAKETIME", ""), *Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
FAKETIME = next((str(path) for path in LIBRARIES if Path(path).is_file()), "")
sent = count()


@pytest.fixture
def upload(rig, tmp_path) -> Callable[[], str]:
    """Call it to send another upload; afterwards everything must be in order."""
    rig.keep_alive()
    rig.wait_for(rig.is_up, "the line is up")

    def send() -> str:
        number = next(sent)
        return send_upload(rig.api, small_catalogue(tmp_path / f"{number}.zip", number * PHOTOS, PHOTOS), f"n{number}")

    return send


@contextmanager
def midst_of(rig, upload, photos=PHOTOS) -> Iterator[None]:
    """Something happens while an upload is under way; afterwards nothing is lost and nothing is there twice."""
    before = rig.photos()
    upload()
    rig.keep_until(lambda: rig.done() > before, "the first photos are done")
    yield
    rig.keep_alive()
    rig.assert_clean(photos=before + photos)


def test_everything_is_killed(rig, upload):
    with midst_of(rig, upload):
        for name in ("worker", "coordinator", "web"):
            rig.parts[name].kill()
        rig.redis.kill()


def test_the_index_is_killed_while_it_is_written(rig, upload):
    with midst_of(rig, upload):
        for _ in range(2):
            before = rig.done()
            rig.parts["worker"].kill()  # the engine lies in its process
            rig.keep_until(lambda before=before: rig.done() > before or rig.is_at_rest(), "it goes on")


def comes_back_empty(broker):
    broker.restart(away=1.0)
    with broker.client() as redis:
        redis.flushall()


def hangs(broker):
    broker.freeze()
    time.sleep(4)  # longer than the web waits for it
    broker.thaw()


def has_no_memory(broker):
    with broker.client() as redis:
        redis.config_set("maxmemory-policy", "noeviction")
        redis.config_set("maxmemory", 1)
        time.sleep(3)
        redis.config_set("maxmemory", 0)


def test_the_broker_is_in_trouble(rig, upload):
    before = rig.photos()
    for number, trouble in enumerate((comes_back_empty, hangs, has_no_memory), start=1):
        done = rig.done()
        upload()
        rig.keep_until(lambda done=done: rig.done() > done, "the first photos are done")
        trouble(rig.redis)
        expected = before + number * PHOTOS
        rig.keep_until(lambda expected=expected: rig.photos() == expected, "its rows are imported")
    rig.assert_clean(photos=before + 3 * PHOTOS)


def test_the_database_is_away(rig, upload, postgres):
    with midst_of(rig, upload):
        if postgres:
            postgres.stop()
            time.sleep(2)
            postgres.start()
        else:
            with closing(sqlite3.connect(rig.folder / "vitrine.sqlite3", isolation_level=None)) as connection:
                connection.execute("BEGIN EXCLUSIVE")
                time.sleep(4)


def test_the_photo_store_is_away(rig, upload, disk):
    with midst_of(rig, upload):
        (disk / "photos").rename(disk / "elsewhere")
        time.sleep(2)
        shutil.rmtree(disk / "photos", ignore_errors=True)  # whoever wrote meanwhile made it anew
        (disk / "elsewhere").rename(disk / "photos")


def test_the_disk_is_full(rig, upload, disk):
    if not disk.is_mount():
        pytest.skip("no disk of its own may be mounted here")
    filler, before = disk / "filler", rig.photos()
    try:
        filler.write_bytes(bytes(shutil.disk_usage(disk).free - ROOM))
        upload()
        rig.wait_for(lambda: "No space left" in rig.parts["coordinator"].words(), "the import finds no room")
        assert rig.photos() == before
    finally:
        filler.unlink()
    rig.wait_for(lambda: rig.photos() == before + PHOTOS, "the rows are imported")
    rig.assert_clean(photos=before + PHOTOS)


def test_bytes_that_cannot_be_read_fail_their_photo_alone_and_sent_again_it_is_indexed(rig, upload, disk):
    before = rig.photos()
    rig.parts["worker"].stop()  # nothing is read before the disk goes bad
    upload()
    rig.wait_for(lambda: rig.photos() == before + PHOTOS, "its rows are imported")
    ((key, product),) = rig.rows("SELECT key, product_id FROM catalog_photo WHERE state <> 'done' LIMIT 1")
    bad = disk / "photos" / key
    data = bad.read_bytes()
    bad.unlink()
    bad.mkdir()  # whoever reads it is told EISDIR, as a bad sector says EIO
    rig.keep_until(rig.is_at_rest, "its upload ends all the same")
    ended = rig.rows("SELECT state, error_code FROM catalog_photo WHERE key = ?", key)
    assert ended == [("failed", "photo_bytes_unreadable")]
    assert rig.done() == before + PHOTOS - 1
    bad.rmdir()
    photo = ("photo.jpg", data, "image/jpeg")
    rig.api.post(f"products/{UUID(product)}/photos", files={"photo": photo}).raise_for_status()
    rig.assert_clean(photos=before + PHOTOS)


def test_a_worker_hangs_for_longer_than_its_lease(rig, upload):
    with midst_of(rig, upload), frozen(rig.parts["worker"]):
        time.sleep(float(rig.environment["VITRINE_LEASE_SECONDS"]) + 2)


def test_a_rolling_restart_loses_nothing_and_hangs_nobody_up(rig, upload):
    tries = "SELECT count(*) FROM catalog_photo WHERE attempts > 0"
    with midst_of(rig, upload):
        before = rig.rows(tries)
        old = rig.parts["coordinator"]
        rig.launch("coordinator")  # two at once, as where a new release comes before the old one goes
        for process in (old, rig.parts["worker"], rig.parts["web"]):
            assert process.stop() in {0, -signal.SIGTERM}  # uvicorn ends in order, and then by the signal
            rig.keep_alive()
    assert rig.rows(tries) == before, "what was in hand was finished, what was not begun went back"


@pytest.mark.skipif(not FAKETIME, reason="there is no libfaketime: clocks cannot be set apart")
def test_clocks_are_an_hour_apart(rig, upload):
    ahead = {"LD_PRELOAD": FAKETIME, "FAKETIME": "+3600", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    for name in ("web", "worker"):
        assert rig.parts[name].stop() in {0, -signal.SIGTERM}
        rig.parts[name] = rig.start(name, **ahead)
    rig.wait_for(rig.is_up, "the line is up, its web and its worker an hour ahead")
    with rig.redis.client() as redis:
        (card,) = (json.loads(redis.get(key)) for key in redis.scan_iter(match="vitrine:worker:*"))
    assert datetime.fromisoformat(card["started_at"]) - datetime.now(UTC) > timedelta(minutes=50)
    with midst_of(rig, upload, photos=PHOTOS + 1):
        photo = ("photo.jpg", jpeg(0, SMALL), "image/jpeg")
        for path, field in (("recognition-jobs", "photos"), ("search-jobs", "photo")):
            made = rig.api.post(path, files={field: photo}).raise_for_status()
            job = rig.api.get(made.headers["Location"], headers={"Prefer": "wait=20"}).json()
            assert job["state"] == "done", job
        for name in ("web", "worker"):
            rig.parts[name].kill()


def test_messages_come_twice_and_in_the_wrong_order(rig, upload):
    before = rig.photos()
    worker, coordinator = rig.parts["worker"], rig.parts["coordinator"]
    with rig.redis.client() as redis, frozen(worker):
        upload()
        rig.wait_for(lambda: redis.llen(BULK_QUEUE) >= MESSAGES, "chunks wait for the worker")
        again(redis, BULK_QUEUE)
        with frozen(coordinator):
            worker.thaw()
            rig.wait_for(lambda: redis.llen(RESULTS_QUEUE) >= MESSAGES, "results wait for the coordinator")
            again(redis, RESULTS_QUEUE)
    rig.assert_clean(photos=before + PHOTOS)


@contextmanager
def frozen(process: Process) -> Iterator[None]:
    """The process hangs; it goes on when the block ends, or before."""
    process.freeze()
    try:
        yield
    finally:
        process.thaw()


def again(redis, queue):
    """Every waiting message a second time, the last one first; under tags of their own, as Redis would redeliver."""
    for position, text in enumerate(redis.lrange(queue, 0, -1)):
        message = json.loads(text)
        message["properties"]["delivery_tag"] += f"-{position}"
        redis.rpush(queue, json.dumps(message))
