"""Fixtures that more than one folder of tests uses. The environment is set before, by ``tests.environment``."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from catalog.services import budget
from config.env import load_env
from tests.broker import RedisServer
from tests.environment import REDIS
from workers import client as worker_client
from workers.contract import WORKER_KEY_PREFIX, WorkerCard


def pytest_configure() -> None:
    """Each test's client begins with new middleware: WhiteNoise need not look through all static files every time.

    And a machine that stalls for a moment is no Redis that is away: that is what a test says it is.
    """
    settings.WHITENOISE_AUTOREFRESH = True
    budget.PATIENCE = worker_client._ANSWER_SECONDS = 30.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, and small ones last: two processes end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, "unit" in item.path.parts))


@pytest.fixture
def time_stops(monkeypatch: pytest.MonkeyPatch) -> Callable[[], datetime]:
    """Call it for the time that it is from then on, for whoever asks Django and until the test ends."""

    def stop() -> datetime:
        now = timezone.now()
        monkeypatch.setattr(timezone, "now", lambda: now)
        return now

    return stop


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker) -> Iterator[None]:
    """PostgreSQL drops no database that somebody is connected to: threads of a pool are, until the process ends."""
    yield
    if connection.vendor == "postgresql":
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_terminate_backend(pid) {others}")


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A real, empty Redis at the address that the settings name, for this test alone: elsewhere the broker is away."""
    with REDIS:
        with REDIS.client() as client:
            client.flushall()
        yield REDIS


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Call it with a variable and its value: the settings say so for this test alone."""

    def put(name: str, value: str) -> None:
        monkeypatch.setenv(name, value)
        load_env.cache_clear()

    yield put
    monkeypatch.undo()
    load_env.cache_clear()


@pytest.fixture
def live_worker(redis_server: RedisServer) -> Callable[[str], None]:
    """Call it with a bundle version: a worker's card lies in Redis, as if one that serves it were alive."""

    def announce(bundle_version: str) -> None:
        card = WorkerCard(
            name="worker-1",
            bundle_version=bundle_version,
            calibrated=True,
            device="cpu",
            engine="embedded",
            points=0,
            photos_done=0,
            searches_done=0,
            started_at=datetime.now(UTC),
        )
        with redis_server.client() as client:
            client.set(f"{WORKER_KEY_PREFIX}worker-1", card.model_dump_json())

    return announce
