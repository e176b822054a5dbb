"""A publishable key is used from its own pages only: what browsers ask first (CORS), what they get, who is refused."""

import pytest
from django.db import OperationalError
from rest_framework.test import APIClient

from catalog.models import Job
from catalog.services.key import api_key_create, api_key_revoke
from tests.api_support import API, client_of, problem

SEARCHES = f"{API}/search-jobs"
MINE, THEIRS = "https://shop.example", "https://evil.example"
READABLE = "Location, Preference-Applied, RateLimit-Policy, RateLimit, Retry-After, Idempotent-Replayed, X-Request-ID"


@pytest.fixture
def page(shop):
    """A shop's page with its key; the key that is open to every page is gone."""
    api_key_revoke(key=shop.public_key)
    _, token = api_key_create(merchant=shop.merchant, name="page", kind="publishable", origins=[MINE])
    return client_of(token)


def allowed(response):
    assert "Origin" in response.headers["Vary"]
    return response.headers.get("Access-Control-Allow-Origin")


def search(client, **more):
    return client.post(SEARCHES, {"words": "mug"}, format="json", **more)


def test_a_browser_asks_first(page):
    asked = APIClient().options(SEARCHES, HTTP_ORIGIN=MINE, HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST")
    assert (asked.status_code, allowed(asked)) == (204, MINE)
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert "POST" in asked.headers["Access-Control-Allow-Methods"]
    refused = APIClient().options(SEARCHES, HTTP_ORIGIN=THEIRS, HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST")
    problem(refused, 403, "origin_not_allowed")
    assert allowed(refused) is None


def test_a_shops_own_page_searches_and_reads_the_answer(page):
    response = search(page, HTTP_ORIGIN=MINE)
    assert (response.status_code, allowed(response)) == (202, MINE)
    assert response.headers["Access-Control-Expose-Headers"] == READABLE
    read = page.get(response.headers["Location"], HTTP_ORIGIN=MINE)
    assert (read.status_code, allowed(read)) == (200, MINE)


@pytest.mark.parametrize("origin", [THEIRS, "null", "https://shop.example:8443", "http://shop.example", "https://SHOP"])
def test_a_foreign_page_is_refused(page, origin):
    response = search(page, HTTP_ORIGIN=origin)
    problem(response, 403, "origin_not_allowed")
    assert allowed(response) is None
    assert not Job.objects.exists()


def test_what_is_no_page_and_the_sites_own_pages_name_no_foreign_origin(page):
    assert search(page).status_code == 202
    assert search(page, HTTP_ORIGIN="http://testserver").status_code == 202


def test_one_merchants_pages_are_foreign_to_anothers_key(page, other):
    api_key_revoke(key=other.public_key)
    _, token = api_key_create(merchant=other.merchant, name="page", kind="publishable", origins=[THEIRS])
    assert allowed(APIClient().options(SEARCHES, HTTP_ORIGIN=THEIRS)) == THEIRS
    problem(search(page, HTTP_ORIGIN=THEIRS), 403, "origin_not_allowed")
    assert search(client_of(token), HTTP_ORIGIN=THEIRS).status_code == 202


def test_a_page_reads_why_its_key_is_refused(shop, page):
    wrong = search(client_of("vit_pk_wrong"), HTTP_ORIGIN=MINE)
    problem(wrong, 401, "key_invalid")
    assert allowed(wrong) == MINE
    assert allowed(search(client_of("vit_pk_wrong"), HTTP_ORIGIN=THEIRS)) is None


def test_a_secret_key_has_no_business_in_a_page(shop, page):
    response = search(shop.client, HTTP_ORIGIN=MINE)
    assert (response.status_code, allowed(response)) == (202, None)


def test_a_key_that_ended_opens_nothing(shop):
    assert allowed(APIClient().options(SEARCHES, HTTP_ORIGIN=MINE)) == MINE  # the key that is open to every page
    api_key_revoke(key=shop.public_key)
    problem(APIClient().options(SEARCHES, HTTP_ORIGIN=MINE), 403, "origin_not_allowed")


def test_no_other_address_is_open_to_pages(shop, page):
    problem(APIClient().options(f"{API}/products", HTTP_ORIGIN=MINE), 401, "not_authenticated")
    response = page.get(f"{API}/products", HTTP_ORIGIN=MINE)
    problem(response, 403, "permission_denied")
    assert "Access-Control-Allow-Origin" not in response.headers


def test_a_database_that_is_away_is_a_problem_too(page, monkeypatch):
    def fail(**_):
        raise OperationalError("database is locked")

    monkeypatch.setattr("catalog.api.mixins.origin_is_open", fail)
    response = search(page, HTTP_ORIGIN=MINE)
    assert (response.status_code, allowed(response)) == (202, None)
