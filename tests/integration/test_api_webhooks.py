"""Webhook endpoints and deliveries over the API."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from catalog.models import DeliveryState, WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookEvent
from catalog.services.webhooks.endpoint import ENDPOINTS_LIMIT
from tests.api_support import API, faults, problem

HOOK = {"url": "https://shop.test/hook", "events": ["job.finished", "upload.finished"]}


def register(shop, **values):
    response = shop.client.post(f"{API}/webhook-endpoints", HOOK | values, format="json")
    assert response.status_code == 201, response.json()
    return response.json()


def call(shop, verb, endpoint, body=None):
    return shop.client.post(f"{API}/webhook-endpoints/{endpoint['id']}/{verb}", body, format="json")


def test_the_secret_is_shown_once(shop):
    response = shop.client.post(f"{API}/webhook-endpoints", HOOK | {"description": "till"}, format="json")
    made = response.json()
    stored = WebhookEndpoint.objects.get()
    assert made.pop("secret") == stored.secret
    assert made == {
        "id": str(stored.pk),
        "url": "https://shop.test/hook",
        "description": "till",
        "events": ["upload.finished", "job.finished"],
        "enabled": True,
        "disabled_reason": "",
        "disabled_at": None,
        "failing_since": None,
        "old_secret_until": None,
        "created_at": stored.created_at.isoformat().replace("+00:00", "Z"),
    }
    assert shop.client.get(response.headers["Location"]).json() == made
    assert shop.client.get(f"{API}/webhook-endpoints").json()["results"] == [made]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"url": ""}, {"url": "blank"}),
        ({"url": None}, {"url": "null"}),
        ({"url": "ftp://shop.test/"}, {"url": "url_invalid"}),
        ({"url": "https://user:secret@shop.test/"}, {"url": "url_invalid"}),
        ({"url": "http://169.254.169.254/latest/meta-data"}, {"url": "address_refused"}),
        ({"url": "http://[::1]/"}, {"url": "address_refused"}),
        ({"url": "https://a.test/" + "x" * 2_000}, {"url": "max_length"}),
        ({"events": []}, {"events": "empty"}),
        ({"events": ["job.started"]}, {"events.0": "invalid_choice"}),
        ({"events": ["vitrine.test"]}, {"events.0": "invalid_choice"}),
        ({"events": "job.finished"}, {"events": "not_a_list"}),
        ({"description": "x" * 201}, {"description": "max_length"}),
        ({"secret": "whsec_mine"}, {"secret": "field_unknown"}),
    ],
)
def test_what_is_refused(shop, values, found):
    response = shop.client.post(f"{API}/webhook-endpoints", HOOK | values, format="json")
    assert faults(problem(response, 422, "invalid")) == found
    assert not WebhookEndpoint.objects.exists()


def test_a_merchant_has_so_many_endpoints_at_most(shop, other):
    for _ in range(ENDPOINTS_LIMIT):
        register(shop)
    response = shop.client.post(f"{API}/webhook-endpoints", HOOK, format="json")
    problem(response, 409, "webhook_endpoints_too_many")
    assert WebhookEndpoint.objects.count() == ENDPOINTS_LIMIT
    register(other)


def test_a_change_leaves_the_rest(shop):
    made = register(shop, description="till")
    address = f"{API}/webhook-endpoints/{made['id']}"
    changed = shop.client.patch(address, {"events": ["item.decided"]}, format="json").json()
    assert "secret" not in changed
    assert changed == {name: made[name] for name in made if name != "secret"} | {"events": ["item.decided"]}
    refused = shop.client.patch(address, {"url": "http://10.0.0.1/", "events": ["job.finished"]}, format="json")
    assert faults(problem(refused, 422, "invalid")) == {"url": "address_refused"}
    assert shop.client.get(address).json() == changed


def test_pausing_and_enabling(shop):
    made = register(shop)
    address = f"{API}/webhook-endpoints/{made['id']}"
    owed = call(shop, "test", made).json()
    paused = shop.client.patch(address, {"enabled": False}, format="json").json()
    assert (paused["enabled"], paused["disabled_reason"]) == (False, "paused") and paused["disabled_at"]
    again = shop.client.patch(address, {"enabled": False}, format="json").json()
    assert again == paused
    problem(call(shop, "test", made), 409, "webhook_endpoint_disabled")
    delivery = shop.client.get(f"{API}/webhook-deliveries/{owed['id']}").json()
    assert (delivery["state"], delivery["error_code"], delivery["next_at"]) == ("failed", "endpoint_disabled", None)
    replay = f"{API}/webhook-deliveries/{owed['id']}/replay"
    problem(shop.client.post(replay), 409, "webhook_endpoint_disabled")
    enabled = shop.client.patch(address, {"enabled": True}, format="json").json()
    assert (enabled["enabled"], enabled["disabled_reason"], enabled["disabled_at"]) == (True, "", None)
    assert shop.client.post(replay).json()["state"] == "pending"


def test_an_endpoint_is_deleted(shop):
    made = register(shop)
    call(shop, "test", made)
    assert shop.client.delete(f"{API}/webhook-endpoints/{made['id']}").status_code == 204
    assert (WebhookEndpoint.objects.count(), WebhookDelivery.objects.count()) == (0, 0)


@pytest.mark.parametrize(("body", "seconds"), [({}, 86_400), (None, 86_400), ({"overlap_seconds": 3_600}, 3_600)])
def test_rotating_the_secret(shop, body, seconds):
    made = register(shop)
    rotated = call(shop, "rotate-secret", made, body).json()
    stored = WebhookEndpoint.objects.get()
    assert rotated["secret"] == stored.secret != made["secret"]
    assert stored.old_secret == made["secret"]
    assert abs(stored.old_secret_until - timezone.now() - timedelta(seconds=seconds)) < timedelta(seconds=30)


def test_rotating_without_an_overlap_ends_the_old_secret(shop):
    made = register(shop)
    assert call(shop, "rotate-secret", made, {"overlap_seconds": 0}).json()["old_secret_until"] is None
    assert WebhookEndpoint.objects.get().old_secret == ""


@pytest.mark.parametrize("seconds", [-1, 604_801, "soon", None])
def test_overlaps_that_are_none(shop, seconds):
    made = register(shop)
    problem(call(shop, "rotate-secret", made, {"overlap_seconds": seconds}), 422, "invalid")
    assert WebhookEndpoint.objects.get().secret == made["secret"]


def test_a_client_that_retries_everything_makes_one_of_each(shop):
    def three_times(path, body=None):
        first, *again = (
            shop.client.post(f"{API}/{path}", body, format="json", HTTP_IDEMPOTENCY_KEY=path).json() for _ in range(3)
        )
        kept = first | ({"secret": None} if "secret" in first else {})  # shown once, and stored with no answer
        assert again == [kept] * 2
        return first

    endpoint = three_times("webhook-endpoints", HOOK)
    three_times(f"webhook-endpoints/{endpoint['id']}/test")
    three_times(f"webhook-endpoints/{endpoint['id']}/rotate-secret", {})
    counts = [model.objects.count() for model in (WebhookEndpoint, WebhookEvent, WebhookDelivery)]
    assert counts == [1, 1, 1]
    assert WebhookEndpoint.objects.get().old_secret == endpoint["secret"]


def test_a_test_event(shop):
    made = register(shop)
    response = call(shop, "test", made)
    assert response.status_code == 202
    delivery = shop.client.get(response.headers["Location"]).json()
    event = WebhookEvent.objects.get()
    assert delivery["payload"] == json.loads(event.body)
    assert delivery["payload"]["data"] == {"endpoint_id": made["id"], "message": "This endpoint works."}
    assert (delivery["event_id"], delivery["type"], delivery["state"]) == (str(event.pk), "vitrine.test", "pending")
    assert (delivery["endpoint_id"], delivery["attempts"], delivery["log"]) == (made["id"], 0, [])


def test_the_log_of_a_delivery(shop, django_assert_num_queries):
    made = register(shop)
    owed = call(shop, "test", made).json()
    address = f"{API}/webhook-deliveries/{owed['id']}"
    shop.client.get(address)  # notes the key's use
    for number in range(1, 10):
        WebhookAttempt.objects.create(
            delivery_id=owed["id"], number=number, at=timezone.now(), seconds=0.5, status=500, response="no",
            error_code="http_error", error_message="It answered 500.",
        )  # fmt: skip
        if number in (1, 9):
            with django_assert_num_queries(3):  # the key, the delivery with its event, the log
                log = shop.client.get(address).json()["log"]
            assert [each["number"] for each in log] == list(range(1, number + 1))
    assert (log[0]["status"], log[0]["response"], log[0]["error_code"]) == (500, "no", "http_error")


def test_lists_are_narrowed(shop):
    one, two = register(shop), register(shop)
    failed = call(shop, "test", one).json()
    call(shop, "test", two)
    WebhookDelivery.objects.filter(pk=failed["id"]).update(state=DeliveryState.FAILED)
    for query, total in (
        ({"state": "failed"}, 1),
        ({"endpoint": one["id"]}, 1),
        ({"type": "vitrine.test"}, 2),
        ({"type": "job.finished"}, 0),
    ):
        found = shop.client.get(f"{API}/webhook-deliveries", query).json()["results"]
        assert len(found) == total, query
    for query in ({"state": "lost"}, {"endpoint": "x"}, {"type": "job.started"}):
        problem(shop.client.get(f"{API}/webhook-deliveries", query), 422, "invalid")


def test_a_replay_of_what_was_delivered(shop):
    owed = call(shop, "test", register(shop)).json()
    WebhookDelivery.objects.update(state=DeliveryState.DELIVERED, next_at=None, attempts=1, tries=1)
    response = shop.client.post(f"{API}/webhook-deliveries/{owed['id']}/replay")
    assert response.status_code == 202
    body = shop.client.get(response.headers["Location"]).json()
    assert (body["state"], body["event_id"], body["attempts"]) == ("pending", owed["event_id"], 1)
    assert body["next_at"]
