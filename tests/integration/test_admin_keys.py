"""Keys in the admin: forms judged by the services' rules, changed, rotated. The token page is tested with products."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from catalog.models import ApiKey, Membership, Role
from catalog.services.key import api_key_find, api_key_revoke
from tests.api_support import Shop

pytestmark = pytest.mark.django_db

ADD, LIST = "admin:catalog_apikey_add", "admin:catalog_apikey_changelist"


@pytest.fixture
def admin(client, shop):
    user = User.objects.create(username="ana", is_staff=True)
    Membership.objects.create(user=user, merchant=shop.merchant, role=Role.MANAGER)
    client.force_login(user)
    return client


def change(key):
    return reverse("admin:catalog_apikey_change", args=[key.pk])


def errors(response):
    return response.context["adminform"].form.errors


def test_a_page_key_is_made(admin, shop):
    data = {"merchant": shop.merchant.pk, "name": "Page", "kind": "publishable"}
    response = admin.post(reverse(ADD), data | {"origins": "https://Shop.example/\n\nhttp://localhost:5173"})
    key = api_key_find(response.context["token"])
    assert [each.origin for each in key.origins.all()] == ["https://shop.example", "http://localhost:5173"]
    assert key.scopes == ["searches"]


@pytest.mark.parametrize(
    ("data", "field"),
    [({"kind": "secret"}, "scopes"), ({"kind": "publishable", "origins": "shop.example"}, "origins")],
)
def test_what_no_key_can_be_is_said_at_its_field(admin, shop, data, field):
    response = admin.post(reverse(ADD), {"merchant": shop.merchant.pk, "name": "x", **data})
    assert (response.status_code, list(errors(response))) == (200, [field])
    assert not ApiKey.objects.filter(name="x").exists()


def test_what_the_service_refuses_is_a_message(admin, shop):
    data = {"merchant": shop.merchant.pk, "name": "x", "kind": "publishable"}
    page = admin.post(reverse(ADD), data, follow=True).content.decode()
    assert "origins_missing" in page
    assert not ApiKey.objects.filter(name="x").exists()


def test_a_key_is_changed(admin, shop):
    page = admin.get(change(shop.public_key)).content.decode()
    assert 'name="origins"' in page and 'name="scopes"' not in page and 'name="kind"' not in page
    data = {"name": "New page", "origins": "https://a.example", "rate_limit": "7"}
    response = admin.post(change(shop.public_key), data)
    assert response.status_code == 302, errors(response)
    key = ApiKey.objects.get(pk=shop.public_key.pk)
    assert (key.name, key.rate_limit, [each.origin for each in key.origins.all()]) == (
        "New page", 7, ["https://a.example"],
    )  # fmt: skip
    response = admin.post(change(shop.key), {"name": "server", "scopes": ["uploads", "keys"]})
    assert response.status_code == 302, errors(response)
    assert ApiKey.objects.get(pk=shop.key.pk).scopes == ["uploads", "keys"]


def test_an_ended_key_is_only_shown(admin, shop):
    api_key_revoke(key=shop.key)
    page = admin.get(change(shop.key)).content.decode()
    assert "Revoked" in page and 'name="scopes"' not in page
    assert admin.post(change(shop.key), {"name": "x", "scopes": ["keys"]}).status_code == 403


def test_a_key_is_rotated_and_its_successor_shown_once(admin, shop):
    chosen = {"action": "rotate", "_selected_action": [shop.key.pk]}
    response = admin.post(reverse(LIST), chosen)
    token = response.context["token"]
    assert response.content.decode().count(token) == 1
    assert "no-store" in response.headers["Cache-Control"]
    assert api_key_find(token).scopes == ["*"] and api_key_find(shop.token) == shop.key
    again = admin.post(reverse(LIST), chosen, follow=True).content.decode()
    assert "key_replaced" in again
    both = admin.post(reverse(LIST), chosen | {"_selected_action": [shop.key.pk, shop.public_key.pk]}, follow=True)
    assert "Choose one key" in both.content.decode()


def test_nobody_rotates_another_merchants_key(admin, shop):
    other = Shop("other")
    admin.post(reverse(LIST), {"action": "rotate", "_selected_action": [other.key.pk]})
    assert ApiKey.objects.filter(merchant=other.merchant).count() == 2


def test_the_list_costs_the_same_however_many_keys(admin, shop, django_assert_max_num_queries):
    for number in range(20):
        ApiKey.objects.create(merchant=shop.merchant, name="x", hint="x", digest=str(number))
    with django_assert_max_num_queries(12):
        assert admin.get(reverse(LIST)).status_code == 200
