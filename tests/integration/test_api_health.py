"""Health and figures, with Redis away, without a worker, and with everything there."""

from datetime import UTC, datetime

import pytest
from django.db import OperationalError
from prometheus_client.parser import text_string_to_metric_families

from catalog.models import LedgerState
from tests.api_support import Shop
from workers.client import coordinator_beat, photo_store
from workers.contract import WORKER_KEY_PREFIX, WorkerCard

CARD = WorkerCard(
    name="w1", bundle_version="test-1", calibrated=True, device="cpu", engine="embedded", points=7, photos_done=5,
    searches_done=3, started_at=datetime(2026, 1, 1, tzinfo=UTC),
)  # fmt: skip


PARTS = ("database", "redis", "storage", "index", "workers", "coordinator")


def worker_comes(redis_server, **said):
    with redis_server.client() as client:
        client.set(f"{WORKER_KEY_PREFIX}w1", CARD.model_copy(update=said).model_dump_json())


def figures(client):
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


def test_alive(client):
    assert client.get("/health/live").json() == {"status": "ok"}


def test_ready(db, client, redis_server):
    worker_comes(redis_server)
    coordinator_beat()
    response = client.get("/health/ready")
    assert (response.status_code, response.json()["status"]) == (200, "ok")
    assert response.json()["checks"] == dict.fromkeys(PARTS, "ok")


def test_not_ready_without_a_worker_and_a_coordinator(db, client, redis_server):
    response = client.get("/health/ready")
    assert response.status_code == 503
    assert response.json()["checks"] == {
        "database": "ok",
        "redis": "ok",
        "storage": "ok",
        "index": "no live worker",
        "workers": "no live worker",
        "coordinator": "no live coordinator",
    }


def test_not_ready_without_redis(db, client):
    response = client.get("/health/ready")
    assert response.status_code == 503
    assert response.json() == {
        "status": "unavailable",
        "checks": dict.fromkeys(PARTS, "away") | {"database": "ok", "storage": "ok"},
    }


def test_not_ready_without_the_storage(db, client, redis_server, setting, tmp_path):
    """An empty folder is no storage once photos were kept in it: a volume that was not mounted."""
    worker_comes(redis_server)
    coordinator_beat()
    shop = Shop("hearth")
    shop.photo(shop.product())
    setting("VITRINE_PHOTO_STORE", str(tmp_path))
    photo_store.cache_clear()
    checks = client.get("/health/ready").json()["checks"]
    photo_store.cache_clear()
    assert checks == dict.fromkeys(PARTS, "ok") | {"storage": "away"}


def test_not_ready_without_the_index(db, client, redis_server):
    worker_comes(redis_server, index_ok=False)
    coordinator_beat()
    assert client.get("/health/ready").json()["checks"] == dict.fromkeys(PARTS, "ok") | {"index": "away"}


def test_not_ready_without_a_database(db, client, redis_server, monkeypatch):
    class Away:
        def cursor(self):
            raise OperationalError("connection to 10.0.0.7 refused")

    monkeypatch.setattr("catalog.api.health.connection", Away())
    response = client.get("/health/ready")
    assert (response.status_code, response.json()["checks"]["database"]) == (503, "away")
    assert "10.0.0.7" not in response.content.decode()


def test_figures(db, client, redis_server, django_assert_num_queries):
    shop = Shop("hearth")
    product = shop.product()
    for state in (LedgerState.DONE, LedgerState.DONE, LedgerState.PENDING):
        shop.photo(product, state=state)
    shop.search()
    worker_comes(redis_server)
    with redis_server.client() as redis:
        redis.rpush("vitrine.search", "x", "y")
    with django_assert_num_queries(10):
        found = figures(client)
    assert found["vitrine_photos", ("done",)] == 2
    assert found["vitrine_photos", ("pending",)] == 1
    assert found["vitrine_photos", ("failed",)] == 0
    assert found["vitrine_jobs", ("dispatched", "search")] == 1
    assert found["vitrine_queue_length", ("vitrine.search",)] == 2
    assert found["vitrine_workers", ()] == 1
    assert found["vitrine_redis_up", ()] == 1
    assert found["vitrine_index_points", ("test-1", "w1")] == 7
    assert found["vitrine_oldest_owed_seconds", ("search",)] > 0
    assert found["vitrine_oldest_owed_seconds", ("webhook",)] == 0


def test_figures_are_for_who_has_the_token(db, client, setting):
    setting("VITRINE_METRICS_TOKEN", "let-me-see")
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer let-me-se"}).status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer let-me-see"}).status_code == 200


def test_in_production_figures_need_a_token(db, client, setting):
    setting("VITRINE_SECRET_KEY", "x" * 40)
    setting("VITRINE_MODE", "production")
    assert client.get("/metrics").status_code == 404


def test_figures_without_redis(db, client):
    found = figures(client)
    assert found["vitrine_redis_up", ()] == 0
    assert found["vitrine_photos", ("pending",)] == 0
    assert ("vitrine_workers", ()) not in found


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
def test_only_to_be_read(db, client, path):
    assert client.post(path).status_code == 405
