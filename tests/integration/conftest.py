"""What most tests of the database begin with: a shop, its first products, the people who work there.

A module whose shop is another one says so with a fixture of the same name.
"""

import pytest
from django.contrib.auth.models import User

from catalog.models import Merchant
from tests.api_support import Shop
from tests.review_support import reviewer


@pytest.fixture
def shop():
    return Shop("harbour")


@pytest.fixture
def merchant():
    return Merchant.objects.create(slug="harbour", name="Harbour")


@pytest.fixture
def mug(shop):
    return shop.product("MUG-1")


@pytest.fixture
def cup(shop):
    return shop.product("CUP-1")


@pytest.fixture
def admin(client):
    client.force_login(User.objects.create(username="admin", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def ana(client, shop):
    user = reviewer("ana", shop.merchant)
    client.force_login(user)
    return user


@pytest.fixture
def ben(shop):
    return reviewer("ben", shop.merchant)
