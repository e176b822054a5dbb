"""The whole line with its processes killed: every photo is indexed exactly once, whatever dies in the middle, and a
request that is sent again is carried out once.
"""

import threading
import uuid
from contextlib import suppress

import httpx
import pytest

from config.env import ROOT
from recognition.bundle import load_bundle
from recognition.index import open_index
from tests.drawing import catalogue_zip
from tests.line import running_line

pytestmark = pytest.mark.slow
PRODUCTS, PHOTOS = 100, 2
QUICK = {"VITRINE_LEASE_SECONDS": "6", "VITRINE_RECONCILE_SECONDS": "1", "VITRINE_DISPATCH_SECONDS": "0.5"}


@pytest.fixture
def line(tmp_path):
    with running_line(tmp_path / "var", **QUICK) as line:
        yield line


def upload(line, tmp_path):
    archive = catalogue_zip(tmp_path / "photos.zip", PRODUCTS, PHOTOS)
    line.manage("upload", str(archive), "--merchant", "shop", "--create-merchant", "--no-wait")


def done(line):
    return line.photo_states().get("done", 0)


def indexed_photos(line):
    """What the index really holds, read after the worker has let go of it."""
    bundle = load_bundle(ROOT / "bundles" / "default")
    index = open_index(str(line.folder / "index"), version=bundle.version, dim=bundle.dim)
    try:
        (merchant,) = line.rows("SELECT id FROM catalog_merchant")
        return sorted(index.photo_ids(str(uuid.UUID(merchant[0])))), index.count()
    finally:
        index.close()


def assert_indexed_exactly_once(line, worker):
    line.wait_for(lambda: done(line) == PRODUCTS * PHOTOS, "every photo is done", 150)
    assert line.photo_states() == {"done": PRODUCTS * PHOTOS}
    assert worker.stop() == 0
    owed = sorted(str(uuid.UUID(row[0])) for row in line.rows("SELECT id FROM catalog_photo"))
    assert indexed_photos(line) == (owed, PRODUCTS * PHOTOS)


def test_a_killed_worker_loses_nothing(line, tmp_path):
    line.start("coordinator")
    first = line.start("worker")
    line.wait_for(line.workers_alive, "the worker is alive")
    upload(line, tmp_path)
    line.wait_for(lambda: 0 < done(line) < PRODUCTS * PHOTOS, "some photos are done")
    first.kill()
    assert done(line) < PRODUCTS * PHOTOS
    assert_indexed_exactly_once(line, line.start("worker"))


def test_a_killed_coordinator_and_a_flushed_redis_lose_nothing(line, tmp_path):
    first = line.start("coordinator")
    worker = line.start("worker")
    line.wait_for(line.workers_alive, "the worker is alive")
    upload(line, tmp_path)
    line.wait_for(lambda: 0 < done(line) < PRODUCTS * PHOTOS, "some photos are done")
    first.kill()
    with line.redis.client() as client:
        client.flushall()
    line.start("coordinator")
    assert_indexed_exactly_once(line, worker)


def test_a_web_process_killed_while_a_client_waits_made_the_job_once(line):
    line.manage("shell", "-c", "Merchant.objects.create(slug='shop', name='Shop')")
    token = line.manage("apikey", "--merchant", "shop").stdout.strip()
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "mug-1"}
    jobs = "SELECT id FROM catalog_job"

    def ask(prefer):
        named = headers | {"Prefer": prefer}
        return httpx.post(f"{line.url}/api/v1/search-jobs", json={"words": "mug"}, headers=named, timeout=60)

    def wait():
        with suppress(httpx.TransportError):  # cut off
            answers.append(ask("wait=30"))

    answers: list[httpx.Response] = []
    web = line.start("web")
    line.wait_for(line.web_answers, "the site is up")
    client = threading.Thread(target=wait)
    client.start()
    (made,) = line.wait_for(lambda: line.rows(jobs), "the job is committed")
    web.kill()
    client.join()
    assert answers == []

    line.start("web")
    line.wait_for(line.web_answers, "the site is up again")
    retried = line.wait_for(
        lambda: (answer := ask("wait=0")).status_code == 202 and answer, "the claim of the dead process is free"
    )
    assert uuid.UUID(retried.json()["id"]).hex == made[0]
    assert ask("wait=0").headers["Idempotent-Replayed"] == "true"
    assert line.rows(jobs) == [made]
