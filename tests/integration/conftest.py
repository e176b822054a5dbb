"""What most tests of the database begin with: two shops, the first products of one, the people who work there.

A module whose beginning differs says so with a fixture of the same name.
"""

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache

from catalog.models import Merchant
from tests.api_support import Shop
from tests.review_support import reviewer


@pytest.fixture
def shop(db):
    """A merchant with keys; the throttles, which count in the cache, start anew."""
    cache.clear()
    return Shop("harbour")


@pytest.fixture
def other(db):
    """Another merchant."""
    return Shop("other")


@pytest.fixture
def merchant(db):
    """A merchant without keys, for what is below the API."""
    return Merchant.objects.create(slug="harbour", name="Harbour")


@pytest.fixture
def mug(shop):
    return shop.product("MUG-1")


@pytest.fixture
def cup(shop):
    return shop.product("CUP-1")


@pytest.fixture
def admin(client):
    """A browser in which a superuser is logged in."""
    client.force_login(User.objects.create(username="admin", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def ana(client, shop):
    """A reviewer of the shop, logged in."""
    user = reviewer("ana", shop.merchant)
    client.force_login(user)
    return user


@pytest.fixture
def ben(shop):
    """Another reviewer."""
    return reviewer("ben", shop.merchant)
