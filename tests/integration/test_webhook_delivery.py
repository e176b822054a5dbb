"""Deliveries to a real server: signed, tried again by the schedule, logged, replayed, given up."""

import time
from collections import Counter
from contextlib import closing
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from catalog.models import DeliveryState, WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookEvent
from catalog.services.webhooks import delivery as service
from catalog.services.webhooks.delivery import (
    DISABLE_AFTER,
    SCHEDULE,
    delivery_lease_next,
    delivery_replay,
    delivery_send,
    webhooks_sweep,
)
from catalog.services.webhooks.endpoint import (
    endpoint_create,
    endpoint_delete,
    endpoint_secret_rotate,
    endpoint_test,
    endpoint_update,
)
from catalog.services.webhooks.signature import signed_headers
from tests.api_support import Shop
from tests.broker import free_port
from tests.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def private(setting):
    """The tests' servers are on loopback."""
    setting("VITRINE_OUTBOUND_NETWORKS", "127.0.0.0/8")
    return setting


@pytest.fixture
def server():
    with Receiver() as server:
        yield server


@pytest.fixture
def endpoint(shop, server):
    made, _ = endpoint_create(merchant=shop.merchant, url=server.url, events=["job.finished"])
    return made


def send_one():
    """What a sender does, once."""
    lease = delivery_lease_next()
    assert lease is not None
    delivery_send(lease=lease)


def fresh(row):
    return type(row).objects.get(pk=row.pk)


def now_due(delivery):
    WebhookDelivery.objects.filter(pk=delivery.pk).update(next_at=timezone.now())


def test_a_delivery_is_signed_and_logged(endpoint, server):
    server.answer(200, "schön\0".encode() + b"x" * 9_000)
    owed = endpoint_test(endpoint=endpoint)
    send_one()
    (request,) = server.requests
    event = WebhookEvent.objects.get()
    assert (request.method, request.path, request.body) == ("POST", "/hook", event.body.encode())
    timestamp = int(request.headers["webhook-timestamp"])
    assert abs(time.time() - timestamp) < 30
    expected = signed_headers(
        keys=[endpoint.secret], message_id=str(event.pk), timestamp=timestamp, body=event.body.encode()
    )
    assert {name: request.headers[name] for name in expected} == expected
    assert request.headers["content-type"] == "application/json"
    owed = fresh(owed)
    assert (owed.state, owed.attempts, owed.status, owed.error_code) == ("delivered", 1, 200, "")
    assert (owed.next_at, owed.lease_until) == (None, None) and owed.delivered_at
    attempt = WebhookAttempt.objects.get()
    assert (attempt.number, attempt.status, attempt.error_code) == (1, 200, "")
    assert attempt.response == "schön\ufffd" + "x" * 494
    assert 0 < attempt.seconds < 15
    assert delivery_lease_next() is None


def test_both_secrets_sign_while_they_overlap(endpoint, server):
    before = endpoint.secret
    after = endpoint_secret_rotate(endpoint=endpoint, overlap=timedelta(hours=1))
    assert after != before
    endpoint_test(endpoint=endpoint)
    send_one()
    WebhookEndpoint.objects.update(old_secret_until=timezone.now())
    endpoint_test(endpoint=endpoint)
    send_one()
    endpoint_secret_rotate(endpoint=endpoint, overlap=timedelta(0))
    endpoint_test(endpoint=endpoint)
    send_one()
    counts = [len(each.headers["webhook-signature"].split(" ")) for each in server.requests]
    assert counts == [2, 1, 1]
    first = server.requests[0]
    for key in (after, before):
        signed = signed_headers(
            keys=[key],
            message_id=first.headers["webhook-id"],
            timestamp=int(first.headers["webhook-timestamp"]),
            body=first.body,
        )["webhook-signature"]
        assert signed in first.headers["webhook-signature"]


@pytest.mark.parametrize("status", [301, 302, 404, 429, 500, 503])
def test_any_answer_but_2xx_is_a_failure(endpoint, server, status):
    with Receiver() as elsewhere:
        server.answer(status, b"no", Location=elsewhere.url)
        owed = endpoint_test(endpoint=endpoint)
        send_one()
        assert elsewhere.requests == []
    owed = fresh(owed)
    assert (owed.state, owed.attempts, owed.tries) == ("pending", 1, 1)
    assert (owed.status, owed.error_code, owed.log.get().response) == (status, "http_error", "no")


def test_the_schedule(endpoint, server):
    server.answer(500)
    owed = endpoint_test(endpoint=endpoint)
    waits = []
    for _ in SCHEDULE:
        began = timezone.now()
        send_one()
        owed = fresh(owed)
        waits.append((owed.next_at - began).total_seconds())
        assert (owed.state, owed.lease_until) == ("pending", None)
        assert delivery_lease_next() is None  # not before its time
        now_due(owed)
    assert all(0.9 * planned <= wait <= 1.1 * planned + 5 for wait, planned in zip(waits, SCHEDULE, strict=True))
    send_one()
    owed = fresh(owed)
    assert (owed.state, owed.attempts, owed.next_at) == ("failed", 10, None)
    assert delivery_lease_next() is None
    assert list(owed.log.values_list("number", flat=True)) == list(range(1, 11))
    assert {each.headers["webhook-id"] for each in server.requests} == {str(owed.event_id)}
    assert {each.body for each in server.requests} == {owed.event.body.encode()}


def test_waits_differ(endpoint, server):
    server.answer(500)
    waits = set()
    for _ in range(5):
        owed = endpoint_test(endpoint=endpoint)
        WebhookDelivery.objects.filter(pk=owed.pk).update(tries=5)
        send_one()
        owed = fresh(owed)
        waits.add((owed.next_at - owed.log.get().at).total_seconds())
    assert len(waits) == 5
    assert all(0.9 * SCHEDULE[5] <= wait <= 1.1 * SCHEDULE[5] + 5 for wait in waits)


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [("120", 120, 130), ("1", 4, 15), ("999999999", 86_400, 86_410), ("soon", 4, 15), ("-5", 4, 15), ("9" * 50, 4, 15)],
)
def test_retry_after_makes_a_wait_longer(endpoint, server, asked, least, most):
    server.answer(503, Retry_After=asked)
    owed = endpoint_test(endpoint=endpoint)
    began = timezone.now()
    send_one()
    assert least <= (fresh(owed).next_at - began).total_seconds() <= most


def test_what_does_not_answer_is_told_by_its_code(shop, private):
    def tried(url):
        made, _ = endpoint_create(merchant=shop.merchant, url=url, events=["job.finished"])
        owed = endpoint_test(endpoint=made)
        send_one()
        attempt = fresh(owed).log.get()
        assert (attempt.status, attempt.response) == (None, "")
        assert attempt.error_message
        return attempt.error_code

    assert tried(f"http://127.0.0.1:{free_port()}/") == "connect_failed"
    assert tried("http://nobody.invalid/") == "host_unknown"
    private("VITRINE_WEBHOOK_TIMEOUT_SECONDS", "0.5")
    with Receiver() as slow:
        slow.before = lambda request: time.sleep(2)
        assert tried(slow.url) == "timed_out"
    private("VITRINE_OUTBOUND_NETWORKS", "")
    with Receiver() as inside:
        assert tried(f"http://localhost:{inside.port}/") == "address_refused"
        assert inside.requests == []


def test_an_endpoint_that_answers_gone_is_disabled(endpoint, server):
    server.answer(410)
    owed, other = endpoint_test(endpoint=endpoint), endpoint_test(endpoint=endpoint)
    send_one()
    endpoint = fresh(endpoint)
    assert (endpoint.enabled, endpoint.disabled_reason) == (False, "gone")
    assert [(each.state, each.error_code) for each in (fresh(owed), fresh(other))] == [
        ("failed", "endpoint_disabled")
    ] * 2
    assert delivery_lease_next() is None


def test_an_endpoint_that_fails_for_days_is_disabled_and_can_be_enabled(endpoint, server):
    server.answer(500)
    owed = endpoint_test(endpoint=endpoint)
    send_one()
    since = fresh(endpoint).failing_since
    assert since
    WebhookEndpoint.objects.update(failing_since=since - DISABLE_AFTER)
    now_due(owed)
    send_one()
    assert fresh(endpoint).enabled  # it has tries left
    WebhookDelivery.objects.update(tries=len(SCHEDULE), next_at=timezone.now())
    send_one()
    endpoint = fresh(endpoint)
    assert (endpoint.enabled, endpoint.disabled_reason) == (False, "failing")
    assert fresh(owed).state == DeliveryState.FAILED
    server.answer(200)
    endpoint = endpoint_update(endpoint=endpoint, values={"enabled": True})
    assert (endpoint.enabled, endpoint.disabled_reason, endpoint.failing_since) == (True, "", None)
    delivery_replay(delivery=fresh(owed))
    send_one()
    assert fresh(owed).state == DeliveryState.DELIVERED


def test_an_endpoint_that_took_something_meanwhile_is_not_disabled(endpoint, server):
    server.answer(500)
    owed = endpoint_test(endpoint=endpoint)
    send_one()
    WebhookEndpoint.objects.update(failing_since=timezone.now() - DISABLE_AFTER)
    server.answer(200)
    endpoint_test(endpoint=endpoint)
    send_one()
    assert fresh(endpoint).failing_since is None
    server.answer(500)
    WebhookDelivery.objects.filter(pk=owed.pk).update(tries=len(SCHEDULE), next_at=timezone.now())
    send_one()
    assert fresh(owed).state == DeliveryState.FAILED
    assert fresh(endpoint).enabled


def test_a_replay_sends_the_same_event_with_a_schedule_of_its_own(endpoint, server):
    owed = endpoint_test(endpoint=endpoint)
    send_one()
    server.answer(500)
    WebhookDelivery.objects.update(tries=9)
    delivery_replay(delivery=fresh(owed))
    send_one()
    owed = fresh(owed)
    assert (owed.state, owed.attempts, owed.tries) == ("pending", 2, 1)
    first, second = server.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


def test_a_replay_of_one_that_waits_sends_it_now(endpoint, server):
    server.answer(500)
    owed = endpoint_test(endpoint=endpoint)
    send_one()
    assert delivery_lease_next() is None
    server.answer(200)
    delivery_replay(delivery=fresh(owed))
    send_one()
    assert fresh(owed).state == DeliveryState.DELIVERED


def test_a_sender_that_died_is_followed_by_another_with_the_same_id(endpoint, server):
    owed = endpoint_test(endpoint=endpoint)
    dead = delivery_lease_next()
    assert delivery_lease_next() is None
    WebhookDelivery.objects.update(lease_until=timezone.now())
    send_one()
    assert fresh(owed).state == DeliveryState.DELIVERED
    delivery_send(lease=dead)  # nothing is owed any more
    assert [each.headers["webhook-id"] for each in server.requests] == [str(owed.event_id)]


def test_a_sender_that_comes_too_late_is_logged_and_changes_nothing(endpoint, server):
    server.answer(500)
    owed = endpoint_test(endpoint=endpoint)
    late = delivery_lease_next()

    def taken_by_another(request):
        with closing(connection):  # of the server's thread
            WebhookDelivery.objects.update(lease_until=timezone.now() + timedelta(minutes=5))

    server.before = taken_by_another
    delivery_send(lease=late)
    owed = fresh(owed)
    assert (owed.state, owed.attempts, owed.tries, owed.log.count()) == ("pending", 1, 0, 1)
    assert owed.lease_until > timezone.now()


def test_an_endpoint_deleted_while_it_is_sent_to(endpoint, server):
    endpoint_test(endpoint=endpoint)
    lease = delivery_lease_next()
    endpoint_delete(endpoint=endpoint)
    delivery_send(lease=lease)
    assert server.requests == []
    assert not WebhookDelivery.objects.exists()


def test_pausing_gives_up_what_is_owed(endpoint, server):
    owed = endpoint_test(endpoint=endpoint)
    lease = delivery_lease_next()
    endpoint = endpoint_update(endpoint=endpoint, values={"enabled": False})
    assert (endpoint.enabled, endpoint.disabled_reason, fresh(owed).state) == (False, "paused", "failed")
    delivery_send(lease=lease)
    assert server.requests == []


def test_endpoints_take_turns_and_none_has_more_than_its_share(shop, server):
    busy, quiet = (
        endpoint_create(merchant=shop.merchant, url=f"{server.url}/{name}", events=["job.finished"])[0]
        for name in ("busy", "quiet")
    )
    for _ in range(10):
        endpoint_test(endpoint=busy)
    endpoint_test(endpoint=quiet)
    leases = [delivery_lease_next() for _ in range(6)]
    assert leases.pop() is None
    whose = [WebhookDelivery.objects.get(pk=each.delivery_id).endpoint_id for each in leases]
    assert whose.count(busy.pk) == service.AT_ONCE
    assert quiet.pk in whose[:2]


def test_a_merchant_has_no_more_than_its_share(shop, server):
    other = Shop("other")
    for merchant in (shop.merchant, other.merchant):
        for number in range(3):
            made, _ = endpoint_create(merchant=merchant, url=f"{server.url}/{number}", events=["job.finished"])
            for _ in range(4):
                endpoint_test(endpoint=made)
    leases = []
    while lease := delivery_lease_next():
        leases.append(WebhookDelivery.objects.get(pk=lease.delivery_id).merchant_id)
    share = service.AT_ONCE_MERCHANT
    assert Counter(leases) == {shop.merchant.pk: share, other.merchant.pk: share}


def test_one_that_failed_last_has_one_at_a_time(endpoint, server):
    for _ in range(3):
        endpoint_test(endpoint=endpoint)
    WebhookEndpoint.objects.update(failing_since=timezone.now())
    assert delivery_lease_next() is not None
    assert delivery_lease_next() is None


def test_a_bug_of_ours_is_a_try_too(endpoint, server, monkeypatch):
    owed = endpoint_test(endpoint=endpoint)
    with monkeypatch.context() as patched:
        patched.setattr(service, "fetch", lambda *_, **__: 1 / 0)
        send_one()
    owed = fresh(owed)
    assert (owed.state, owed.error_code, owed.tries) == ("pending", "internal_error", 1)


def test_old_events_are_forgotten_unless_they_are_owed(endpoint, server):
    done, waiting = endpoint_test(endpoint=endpoint), endpoint_test(endpoint=endpoint)
    send_one()
    recent = endpoint_test(endpoint=endpoint)
    WebhookDelivery.objects.filter(pk=recent.pk).update(state="delivered")
    WebhookEvent.objects.exclude(pk=recent.event_id).update(created_at=timezone.now() - timedelta(days=31))
    endpoint_secret_rotate(endpoint=endpoint)
    WebhookEndpoint.objects.update(old_secret_until=timezone.now() - timedelta(seconds=1))
    assert webhooks_sweep(now=timezone.now()) == 1
    assert not WebhookDelivery.objects.filter(pk=done.pk).exists()
    assert WebhookDelivery.objects.filter(pk__in=[waiting.pk, recent.pk]).count() == 2
    assert fresh(endpoint).old_secret == ""
