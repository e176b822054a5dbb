"""Photos in an S3-compatible store: a real server over HTTP (moto's), the store's promises, then the whole line.

``VITRINE_TEST_S3_SERVER`` names its program; ``.ci/run`` installs it, elsewhere these tests are skipped.
"""

import os
import shutil
import subprocess
import time
import zipfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import fsspec
import httpx
import pytest

from recognition.errors import PhotoError, Unavailable
from recognition.store import PhotoStore
from tests.broker import free_port
from tests.bundles import other_bundle
from tests.line import running_line
from tests.uploads import manifest, row
from tests.worker import draw_photo
from workers.bundles import fetch_bundle, publish_bundle

SERVER = os.environ.get("VITRINE_TEST_S3_SERVER") or shutil.which("moto_server")
BUCKET = "vitrine"
KEY = """
from catalog.models import Merchant
from catalog.services.key import api_key_create
print(api_key_create(merchant=Merchant.objects.get(slug="shop"), name="test")[1])
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SERVER, reason="no S3 server: VITRINE_TEST_S3_SERVER names none (see .ci/run)"),
]


@contextmanager
def s3_server():
    """A server with one bucket, which every ``s3://`` leads to meanwhile."""
    forget = fsspec.get_filesystem_class("s3").clear_instance_cache  # an instance stays with the server it was made for
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen([SERVER, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                assert httpx.put(f"{address}/{BUCKET}", trust_env=False).status_code == 200
                break
            except httpx.TransportError:
                time.sleep(0.1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", address)
            patch.setenv("AWS_ACCESS_KEY_ID", "test")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            forget()
            yield
            forget()
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def s3():
    with s3_server():
        yield


def test_a_photo_is_written_once_read_and_forgotten(s3):
    store = PhotoStore(f"s3://{BUCKET}/contract")
    assert store.is_empty()
    stored = store.write(b"a photo")
    assert store.write(b"a photo") == stored
    assert (store.read(stored.key), store.exists(stored.key), store.is_empty()) == (b"a photo", True, False)
    with store.open(stored.key) as file:
        assert file.read(2) == b"a "
    now = datetime.now(UTC)
    assert not store.delete_older(stored.key, than=now - timedelta(hours=1))
    assert store.delete_older(stored.key, than=now + timedelta(hours=1))
    store.delete(stored.key)
    with pytest.raises(PhotoError, match="photo_missing"):
        store.read(stored.key)


def test_a_bundle_travels_through_it(s3, tmp_path):
    store = PhotoStore(f"s3://{BUCKET}/bundles-test")
    folder = other_bundle(tmp_path, "travelling")
    publish_bundle(store, folder)
    fetched = fetch_bundle(store, "travelling", tmp_path / "cache")
    assert sorted(path.name for path in fetched.iterdir()) == ["bundle.json", "card.md", "weights.safetensors"]
    assert (fetched / "weights.safetensors").read_bytes() == (folder / "weights.safetensors").read_bytes()


def test_a_server_that_is_away_is_away():
    with s3_server():
        store = PhotoStore(f"s3://{BUCKET}/away")
        store.check(used=False)
        key = store.write(b"a photo").key
    for call in (lambda: store.read(key), lambda: store.write(b"another"), lambda: store.check(used=True)):
        with pytest.raises(Unavailable, match="storage_unavailable"):
            call()


def test_the_line_over_s3(s3, tmp_path):
    upload = tmp_path / "mugs.zip"
    with zipfile.ZipFile(upload, "w") as packed:
        packed.writestr("manifest.csv", manifest(*(row(f"MUG-{at}", f"{at}.jpg") for at in range(3))))
        for at in range(3):
            packed.writestr(f"{at}.jpg", draw_photo(at))
    settings = {"VITRINE_PHOTO_STORE": f"s3://{BUCKET}/line", "VITRINE_TORCH_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with running_line(tmp_path / "line", **settings) as line:
        for name in ("web", "coordinator", "worker"):
            line.start(name)
        line.manage("upload", str(upload), "--merchant", "shop", "--create-merchant")
        key = line.manage("shell", "--no-imports", "-c", KEY).stdout.strip()
        line.wait_for(lambda: line.photo_states() == {"done": 3}, "the photos are indexed")
        headers = {"Authorization": f"Bearer {key}", "Prefer": "wait=25"}
        files = {"photo": ("a.jpg", draw_photo(1, 300), "image/jpeg")}
        found = httpx.post(f"{line.url}/api/v1/search-jobs", files=files, headers=headers, timeout=60, trust_env=False)
        assert found.json()["hits"][0]["product"]["sku"] == "MUG-1"
        assert httpx.get(f"{line.url}/health/ready", trust_env=False).json()["checks"]["storage"] == "ok"
        assert not (tmp_path / "line" / "photos").exists()
