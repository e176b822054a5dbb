"""Fixtures that more than one folder of tests uses. The environment is set before, by ``tests.environment``."""

from collections.abc import Iterator

import pytest

from tests.broker import RedisServer
from tests.environment import REDIS


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A real, empty Redis at the address that the settings name, for this test alone: elsewhere the broker is away."""
    with REDIS:
        with REDIS.client() as client:
            client.flushall()
        yield REDIS
