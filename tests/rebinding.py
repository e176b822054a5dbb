"""DNS rebinding, with a name server, a public and a private host that are really there.

Run by ``tests/integration/test_rebinding.py`` in a network of its own, where ``PUBLIC`` is this machine and the name
server below is the only one. Nothing is allowed to be private here but what always is.
"""

import pytest

from catalog.models import WebhookAttempt, WebhookDelivery
from catalog.services.outbound import OutboundError, fetch
from catalog.services.photo_address import FetchError, photo_fetch
from catalog.services.webhooks.delivery import delivery_lease_next, delivery_send
from catalog.services.webhooks.endpoint import endpoint_create, endpoint_test
from tests.api_support import Shop
from tests.drawing import jpeg
from tests.nameserver import NameServer
from tests.receiver import Receiver

PUBLIC = "93.184.216.34"
PRIVATE = "127.0.0.1"
NAME = "shop.test"


@pytest.fixture(scope="module")
def name_server():
    with NameServer(PRIVATE, 53) as server:
        yield server


@pytest.fixture
def names(name_server):
    """Public when it is looked up first, private from then on."""
    name_server.answers[NAME] = [PUBLIC, PRIVATE]
    name_server.asked.clear()
    return name_server


@pytest.fixture
def public():
    with Receiver(host=PUBLIC) as server:
        yield server


@pytest.fixture
def private(public):
    """On the same port, so that only the address decides."""
    with Receiver(host=PRIVATE, port=public.port) as server:
        yield server


@pytest.fixture
def url(public, private):
    return f"http://{NAME}:{public.port}/photo.jpg"


def test_it_connects_to_what_was_judged_and_refuses_what_comes_then(names, url, public, private):
    answer = fetch("GET", url, seconds=5, max_bytes=100)
    assert (answer.status, names.asked, len(public.requests)) == (204, [NAME], 1)
    with pytest.raises(OutboundError) as refused:
        fetch("GET", url, seconds=5, max_bytes=100)
    assert (refused.value.code, names.asked) == ("address_refused", [NAME, NAME])
    assert (len(public.requests), private.requests) == (1, [])


@pytest.mark.django_db
def test_a_photo_by_its_address(names, url, public, private):
    shop, photo = Shop("hearth"), jpeg(1)
    public.answer(200, photo)
    assert photo_fetch(merchant_id=shop.merchant.pk, url=url) == photo
    with pytest.raises(FetchError) as refused:
        photo_fetch(merchant_id=shop.merchant.pk, url=url)
    assert refused.value.code == "photo_url_refused"
    assert (len(public.requests), private.requests) == (1, [])


@pytest.mark.django_db
def test_a_photo_that_sends_back_to_its_own_name(names, url, public, private):
    public.answer(302, Location=url)
    with pytest.raises(FetchError) as refused:
        photo_fetch(merchant_id=Shop("hearth").merchant.pk, url=url)
    assert (refused.value.code, names.asked) == ("photo_url_refused", [NAME, NAME])
    assert (len(public.requests), private.requests) == (1, [])


@pytest.mark.django_db(transaction=True)
def test_a_webhook(names, url, public, private):
    endpoint, _ = endpoint_create(merchant=Shop("hearth").merchant, url=url, events=["job.finished"])
    for _ in range(2):
        endpoint_test(endpoint=endpoint)
        delivery_send(lease=delivery_lease_next())
    attempts = WebhookAttempt.objects.order_by("pk").values_list("status", "error_code")
    assert list(attempts) == [(204, ""), (None, "address_refused")]
    assert (len(public.requests), private.requests, names.asked) == (1, [], [NAME, NAME])
    assert sorted(WebhookDelivery.objects.values_list("state", flat=True)) == ["delivered", "pending"]
