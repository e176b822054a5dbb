"""The fixtures of the API's tests; a module loads them with ``pytest_plugins = ("tests.api_fixtures",)``."""

import pytest
from django.core.cache import cache

from tests.api_support import Shop


@pytest.fixture
def shop(db):
    """A merchant with keys; the throttles, which count in the cache, start anew."""
    cache.clear()
    return Shop("hearth")


@pytest.fixture
def other(db):
    """Another merchant."""
    return Shop("other")
