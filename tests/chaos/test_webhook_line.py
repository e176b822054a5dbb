"""Webhooks as real processes: a coordinator killed while it sends, a Redis that forgot everything, a slow endpoint."""

import json
import threading
import time

import pytest

from tests.line import running_line
from tests.receiver import Receiver

pytestmark = pytest.mark.slow

# What the web and the workers do, in a process of its own: the change and its event are committed, and nothing more.
SETUP = """
from catalog.models import *
from catalog.services.webhooks.endpoint import endpoint_create
shop = Merchant.objects.create(slug={name!r}, name="Shop")
for url in {urls!r}:
    endpoint_create(merchant=shop, url=url, events=["job.finished"])
"""
FINISH = """
from catalog.models import *
from catalog.services.job import job_cancel
shop = Merchant.objects.get(slug={name!r})
for _ in range({total}):
    job_cancel(job=Job.objects.create(merchant=shop, kind=JobKind.RECOGNITION, state="dispatched"))
"""


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    fast = {
        "VITRINE_DISPATCH_SECONDS": "0.5",
        "VITRINE_OUTBOUND_NETWORKS": "127.0.0.0/8",
        "VITRINE_WEBHOOK_TIMEOUT_SECONDS": "6",  # and a lease four times as long
    }
    with running_line(tmp_path_factory.mktemp("line"), **fast) as line:
        yield line


class Shop:
    """A merchant of one test, on the line that all share."""

    def __init__(self, line, name):
        self.line, self.name = line, name

    def listens(self, *urls):
        self.run(SETUP.format(name=self.name, urls=urls))

    def finishes(self, total):
        """So many jobs of this merchant end."""
        self.run(FINISH.format(name=self.name, total=total))

    def run(self, code):
        self.line.manage("shell", "--no-imports", "-c", code)

    def deliveries(self):
        """How many are in each state."""
        query = """SELECT state, count(*) FROM catalog_webhookdelivery d JOIN catalog_merchant m ON m.id = d.merchant_id
                   WHERE m.slug = ? GROUP BY state"""
        return dict(self.line.rows(query, self.name))

    def attempts(self):
        """Number and status of each try in the log."""
        query = """SELECT a.number, a.status FROM catalog_webhookattempt a
                   JOIN catalog_webhookdelivery d ON d.id = a.delivery_id
                   JOIN catalog_merchant m ON m.id = d.merchant_id WHERE m.slug = ?"""
        return self.line.rows(query, self.name)

    def wait_for(self, deliveries):
        self.line.wait_for(lambda: self.deliveries() == deliveries, f"deliveries are {deliveries}")


@pytest.fixture
def shop(line, request):
    yield Shop(line, request.node.name[-50:])  # as long as the name of a shop may be
    for process in line.processes:
        if process.is_running:
            process.kill()


def ids(server):
    return [each.headers["webhook-id"] for each in server.requests]


def test_a_coordinator_killed_after_sending_sends_it_again_with_the_same_id(line, shop):
    with Receiver() as server:
        arrived, answer = threading.Event(), threading.Event()

        def hold(request):
            arrived.set()
            answer.wait(60)

        server.before = hold
        shop.listens(server.url)
        coordinator = line.start("coordinator")
        shop.finishes(1)
        assert arrived.wait(60)
        coordinator.kill()  # the request is out, and nothing about it is written down
        server.before = lambda request: None
        answer.set()
        assert shop.deliveries() == {"pending": 1}
        line.start("coordinator")
        shop.wait_for({"delivered": 1})
        assert len(server.requests) == 2
        assert len(set(ids(server))) == 1
        assert server.requests[0].body == server.requests[1].body
        assert shop.attempts() == [(1, 204)]


def test_a_redis_that_forgot_everything_loses_no_event(line, shop):
    with Receiver() as server, line.redis.client() as redis:
        shop.listens(server.url)
        shop.finishes(5)
        assert redis.dbsize() > 0  # the coordinator was asked to send
        redis.flushall()
        line.start("coordinator")
        shop.wait_for({"delivered": 5})
        shop.finishes(2)
        redis.flushall()
        shop.wait_for({"delivered": 7})
        assert len(server.requests) == len(set(ids(server))) == 7


def test_a_slow_endpoint_delays_nobody_else(line, shop):
    with Receiver() as slow, Receiver() as quick:
        over = threading.Event()
        slow.before = lambda request: over.wait(120)  # far beyond the timeout, each time
        shop.listens(slow.url, quick.url)
        coordinator = line.start("coordinator")
        shop.finishes(20)
        try:
            shop.wait_for({"delivered": 20, "pending": 20})
        finally:
            over.set()
        assert len(quick.requests) == len(set(ids(quick))) == 20
        assert len(slow.requests) < 20  # one of them alone would have kept a single sender for three seconds
        assert "Traceback" not in coordinator.words()
        payload = json.loads(quick.requests[0].body)
        assert (payload["type"], payload["data"]["state"]) == ("job.finished", "cancelled")


def test_a_stopped_coordinator_writes_down_what_it_sent(line, shop):
    with Receiver() as server:
        arrived = threading.Event()

        def take_time(request):
            arrived.set()
            time.sleep(1)

        server.before = take_time
        shop.listens(server.url)
        coordinator = line.start("coordinator")
        shop.finishes(1)
        assert arrived.wait(60)
        assert coordinator.stop() == 0
        assert shop.deliveries() == {"delivered": 1}
