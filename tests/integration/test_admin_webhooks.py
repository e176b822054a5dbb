"""Webhooks in the admin: registered, tested, rotated, paused and enabled; deliveries read and replayed."""

import re

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from catalog.models import DeliveryState, Membership, Role, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from catalog.services.webhooks.endpoint import endpoint_create, endpoint_test, endpoint_update
from tests.api_support import Shop

pytestmark = pytest.mark.django_db

URL = "https://shop.test/hook"


@pytest.fixture
def endpoint(shop):
    made, _ = endpoint_create(merchant=shop.merchant, url=URL, events=["job.finished"])
    return made


def login(client, shop, role):
    user = User.objects.create(username=role, is_staff=True)
    Membership.objects.create(user=user, merchant=shop.merchant, role=role)
    client.force_login(user)
    return client


@pytest.fixture
def manager(client, shop):
    return login(client, shop, Role.MANAGER)


def page(name, *args):
    return reverse(f"admin:catalog_webhook{name}", args=args)


def secret_on(response):
    assert "no-store" in response.headers["Cache-Control"]
    return re.search(r'value="(whsec_[^"]+)"', response.content.decode())[1].replace("&#x3D;", "=")


def test_a_new_endpoints_secret_is_shown_once(manager, shop):
    values = {"merchant": shop.merchant.pk, "url": URL, "description": "till", "events": ["upload.finished"]}
    response = manager.post(page("endpoint_add"), values)
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.merchant, endpoint.url, endpoint.events) == (shop.merchant, URL, ["upload.finished"])
    assert secret_on(response) == endpoint.secret
    for address in (page("endpoint_change", endpoint.pk), page("endpoint_changelist")):
        assert endpoint.secret not in manager.get(address).content.decode()


@pytest.mark.parametrize(
    ("url", "words"),
    [("http://127.0.0.1/", "not on the public internet"), ("ftp://shop.test/", "https:// address")],
)
def test_an_address_that_is_refused_is_said_so(manager, shop, url, words):
    values = {"merchant": shop.merchant.pk, "url": url, "description": "", "events": ["upload.finished"]}
    response = manager.post(page("endpoint_add"), values, follow=True)
    assert words in response.content.decode()
    assert not WebhookEndpoint.objects.exists()


def test_an_endpoint_is_changed(manager, shop, endpoint):
    values = {"url": f"{URL}/2", "description": "new", "events": ["item.decided", "job.finished"]}
    assert manager.post(page("endpoint_change", endpoint.pk), values).status_code == 302
    changed = WebhookEndpoint.objects.get()
    assert (changed.url, changed.description, changed.events) == (f"{URL}/2", "new", ["job.finished", "item.decided"])
    assert changed.secret == endpoint.secret


def test_the_buttons_of_an_endpoint(manager, endpoint):
    tested = manager.post(page("endpoint_test", endpoint.pk))
    delivery = WebhookDelivery.objects.get()
    assert tested.headers["Location"] == page("delivery_change", delivery.pk)
    assert "is on its way" in manager.get(tested.headers["Location"]).content.decode()
    rotated = secret_on(manager.post(page("endpoint_rotate", endpoint.pk)))
    fresh = WebhookEndpoint.objects.get()
    assert (fresh.secret, fresh.old_secret) == (rotated, endpoint.secret)
    manager.post(page("endpoint_switch", endpoint.pk), {"enabled": "false"})
    assert WebhookEndpoint.objects.get().disabled_reason == "paused"
    html = manager.get(page("endpoint_change", endpoint.pk)).content.decode()
    assert "Paused by the merchant" in html
    assert "Send a test event" not in html
    refused = manager.post(page("endpoint_test", endpoint.pk), follow=True)
    assert "webhook_endpoint_disabled" in refused.content.decode()
    manager.post(page("endpoint_switch", endpoint.pk), {"enabled": "true"})
    assert WebhookEndpoint.objects.get().enabled


def test_a_delivery_shows_its_log_and_is_replayed(manager, endpoint):
    delivery = endpoint_test(endpoint=endpoint)
    WebhookDelivery.objects.update(state=DeliveryState.FAILED, next_at=None, attempts=1, error_code="http_error")
    WebhookAttempt.objects.create(
        delivery=delivery, number=1, at=delivery.created_at, seconds=0.25, status=500, error_code="http_error",
        error_message="It answered 500.", response="<b>oops</b>",
    )  # fmt: skip
    html = manager.get(page("delivery_change", delivery.pk)).content.decode()
    for words in (
        "It answered 500.",
        "&lt;b&gt;oops&lt;/b&gt;",
        "vitrine.test",
        str(delivery.event_id),
        "Send it again",
    ):
        assert words in html
    replay = page("delivery_replay", delivery.pk)
    assert manager.get(replay).status_code == 405
    assert manager.post(replay).headers["Location"] == page("delivery_change", delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == ("pending", 0) and delivery.next_at


def test_failed_deliveries_are_replayed_in_bulk(manager, shop, endpoint):
    other = Shop("other")
    theirs, _ = endpoint_create(merchant=other.merchant, url=URL, events=["job.finished"])
    paused, _ = endpoint_create(merchant=shop.merchant, url=URL, events=["job.finished"])
    owed = [endpoint_test(endpoint=each) for each in (endpoint, endpoint, theirs, paused)]
    WebhookDelivery.objects.update(state=DeliveryState.FAILED, next_at=None)
    endpoint_update(endpoint=paused, values={"enabled": False})
    chosen = {"action": "replay", "_selected_action": [each.pk for each in owed]}
    html = manager.post(page("delivery_changelist"), chosen, follow=True).content.decode()
    assert "2 deliveries are sent again." in html
    assert html.count("This endpoint is disabled.") == 1
    states = [WebhookDelivery.objects.get(pk=each.pk).state for each in owed]
    assert states == ["pending", "pending", "failed", "failed"]


def test_an_endpoint_leads_to_its_own_deliveries(manager, shop, endpoint):
    second, _ = endpoint_create(merchant=shop.merchant, url=URL, events=["job.finished"])
    mine, _ = endpoint_test(endpoint=endpoint), endpoint_test(endpoint=second)
    html = manager.get(page("endpoint_change", endpoint.pk)).content.decode()
    address = re.search(r'href="([^"]+)">What was sent to it', html)[1]
    assert list(manager.get(address).context["cl"].result_list) == [mine]


def test_an_endpoint_is_deleted_with_its_log(manager, endpoint):
    endpoint_test(endpoint=endpoint)
    confirm = manager.get(page("endpoint_delete", endpoint.pk))
    assert confirm.status_code == 200
    manager.post(page("endpoint_delete", endpoint.pk), {"post": "yes"})
    assert not WebhookEndpoint.objects.exists()
    assert not WebhookDelivery.objects.exists()


def test_reviewers_look_and_change_nothing(client, shop, endpoint):
    login(client, shop, Role.REVIEWER)
    delivery = endpoint_test(endpoint=endpoint)
    before = WebhookEndpoint.objects.values().get(), WebhookDelivery.objects.values().get()
    assert client.get(page("endpoint_change", endpoint.pk)).status_code == 200
    for name in ("test", "rotate", "switch"):
        assert client.post(page(f"endpoint_{name}", endpoint.pk)).status_code == 403
    assert client.post(page("delivery_replay", delivery.pk)).status_code == 403
    assert (WebhookEndpoint.objects.values().get(), WebhookDelivery.objects.values().get()) == before


def test_nobody_touches_another_merchants_endpoint(manager):
    other = Shop("other")
    theirs, _ = endpoint_create(merchant=other.merchant, url=URL, events=["job.finished"])
    delivery = endpoint_test(endpoint=theirs)
    before = WebhookEndpoint.objects.values().get(), WebhookDelivery.objects.values().get()
    for name in ("test", "rotate", "switch"):
        assert manager.post(page(f"endpoint_{name}", theirs.pk)).status_code == 404
    assert manager.post(page("delivery_replay", delivery.pk)).status_code == 404
    assert (WebhookEndpoint.objects.values().get(), WebhookDelivery.objects.values().get()) == before
