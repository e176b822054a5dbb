"""Every test runs in folders of its own: the environment is set before Django or a worker reads it."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import RedisServer, free_port

VAR = Path(tempfile.mkdtemp(prefix="vitrine-tests-"))
atexit.register(shutil.rmtree, VAR, ignore_errors=True)
REDIS = RedisServer(free_port(), VAR / "redis")

os.environ["VITRINE_VAR"] = str(VAR)
os.environ["VITRINE_MODE"] = "development"
for name in ("VITRINE_PHOTO_STORE", "VITRINE_INDEX_URL", "VITRINE_BUNDLE"):
    os.environ.pop(name, None)
# Nobody listens there until a test asks for `redis_server`: services must cope with an absent broker.
os.environ["REDIS_URL"] = REDIS.url
os.environ["DATABASE_URL"] = os.environ.get("VITRINE_TEST_DATABASE_URL", "")


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A real, empty Redis at the address that the settings name, for this test alone."""
    with REDIS:
        with REDIS.client() as client:
            client.flushall()
        yield REDIS
