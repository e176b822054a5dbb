"""A real worker follows the assignment: it serves two bundles, and says why it cannot serve a third."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from recognition.errors import BundleError
from recognition.store import PhotoStore
from tests.broker import free_port, start_redis
from tests.bundles import other_bundle
from tests.worker import WorkerProcess, bundle_folder, client_of, draw_photo, read_result, wait_until
from workers.bundles import bundle_key, fetch_bundle
from workers.contract import Assignment, Search

OWN = json.loads((bundle_folder() / "bundle.json").read_text())["version"]


@pytest.fixture
def server(tmp_path):
    with start_redis(free_port(), tmp_path / "redis") as server:
        yield server


def damage(store, version):
    """One byte of its weights in the store is another."""
    key = bundle_key(version, "weights.safetensors")
    data = bytearray(store.read(key))
    data[-1] ^= 0xFF
    store.put(key, bytes(data))


@pytest.mark.slow
def test_it_serves_what_it_can_and_says_what_it_cannot(server, tmp_path):
    settings = {"VITRINE_BUNDLE": str(bundle_folder()), "VITRINE_PHOTO_STORE": str(tmp_path / "photos")}
    with client_of(server.url, tmp_path / "photos") as client, server.client() as redis:
        for version in ("broken", "good"):
            client.publish_bundle(other_bundle(tmp_path, version))
        damage(client.photo_store(), "broken")
        with WorkerProcess(tmp_path / "worker", server.url, **settings):

            def card():
                (card,) = client.live_workers()
                return card

            def searched(bundle):
                key = client.photo_store().write(draw_photo(1)).key
                deadline = datetime.now(UTC) + timedelta(seconds=60)
                client.send_search(
                    Search(job_id=uuid4(), merchant_id=uuid4(), deadline=deadline, key=key, bundle=bundle)
                )
                return read_result(redis)

            for version, why in (("nowhere", "is not in the photo store"), ("broken", "checksum")):
                client.write_assignment(Assignment(live=OWN, shadow=version))
                wait_until(lambda version=version: version in card().bundle_faults, 120)
                assert why in card().bundle_faults[version]
                assert searched(OWN).fault is None
                fault = searched(version).fault
                assert (fault.code, fault.kind) == ("bundle_absent", "retry")

            client.write_assignment(Assignment(live=OWN, shadow="good"))
            wait_until(lambda: card().serves("good"), 120)
            assert card().bundle_faults == {}
            assert [searched(bundle).bundle_version for bundle in (OWN, "good", "")] == [OWN, "good", OWN]


def test_nothing_half_fetched_is_kept(tmp_path):
    store = PhotoStore(str(tmp_path / "photos"))
    for name in ("card.md", "weights.safetensors"):
        store.put(bundle_key("half", name), b"")
    with pytest.raises(BundleError, match="not in the photo store"):
        fetch_bundle(store, "half", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
