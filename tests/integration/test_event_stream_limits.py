"""Open event streams are few enough for a web process to bear, and nobody takes the places of all others."""

import gc
import socket
import time
import weakref
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest
from django.test import RequestFactory
from django.urls import resolve

from tests.api_support import API
from tests.hand import hand
from tests.line import running_line

LIMITS = {"VITRINE_SERVER_STREAMS": "6", "VITRINE_KEY_STREAMS": "4", "VITRINE_VISITOR_STREAMS": "2"}
SETUP = """
from catalog.services.result import search_result_store
from catalog.services.job import job_cancel
from tests.api_support import *
shop, other = Shop("hearth"), Shop("other")
job, others = shop.search(), other.search()
answer = [str(job.pk), str(others.pk), shop.token, shop.public_token, other.token]
"""


class Site:
    def __init__(self, line, told):
        self.url, self.job, self.others_job = line.url, *told[:2]
        self.secret, self.public, self.other = told[2:]

    def ask(self, token, job=None):
        """A stream that was asked for, opened or refused."""
        address = f"{self.url}/api/v1/search-jobs/{job or self.job}/events"
        return httpx.stream("GET", address, headers={"Authorization": f"Bearer {token}"}, timeout=60)

    def hang_up_unread(self, token):
        """Leaves as soon as the request is on its way: the view still runs, and nothing of the answer is read."""
        address = urlsplit(self.url)
        head = (
            f"GET /api/v1/search-jobs/{self.job}/events HTTP/1.1",
            f"Host: {address.netloc}",
            f"Authorization: Bearer {token}",
        )
        with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
            connection.sendall("\r\n".join((*head, "", "")).encode())

    def status(self, *asked):
        with self.ask(*asked) as response:
            return response.status_code

    def opened(self, streams, *asked):
        """Opens one and keeps it. A place that somebody left a moment ago may be noticed only now."""
        until = time.monotonic() + 20
        while (response := streams.enter_context(self.ask(*asked))).status_code == 429 and time.monotonic() < until:
            time.sleep(0.1)
        return response.status_code

    def is_open_again(self, *asked):
        """A place is free as soon as the server has noticed that a client left."""
        until = time.monotonic() + 20
        while (status := self.status(*asked)) == 429 and time.monotonic() < until:
            time.sleep(0.1)
        return status == 200


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    trusted = {"VITRINE_TRUSTED_PROXIES": "127.0.0.0/8"}
    with running_line(tmp_path_factory.mktemp("limits"), **LIMITS, **trusted) as line:
        line.start("web")
        with hand(line) as do:
            told = do(SETUP)
            line.wait_for(line.web_answers, "the site answers")
            yield Site(line, told), do


def test_a_visitor_a_key_and_the_server_have_so_many(site):
    site, _ = site
    with ExitStack() as streams:

        def opened(*asked):
            return site.opened(streams, *asked)

        assert [opened(site.public) for _ in range(2)] == [200, 200]
        with site.ask(site.public) as refused:
            body = refused.read() and refused.json()
            assert (refused.status_code, body["code"]) == (429, "streams_too_many")
            assert (refused.headers["Retry-After"], refused.headers["Content-Type"]) == (
                "5",
                "application/problem+json",
            )
            assert body["detail"] == "2 event streams are open for this visitor already."
        assert [opened(site.secret) for _ in range(4)] == [200] * 4  # the visitor took none of the server key's
        assert site.status(site.secret) == 429
        assert site.status(site.other, site.others_job) == 429  # the process is full
        address, key = f"{site.url}/api/v1/search-jobs/{site.job}", {"Authorization": f"Bearer {site.secret}"}
        assert httpx.head(f"{address}/events", headers=key, timeout=60).status_code == 200
        read = httpx.get(address, headers=key, timeout=60)
        assert read.json()["state"] == "dispatched"  # everything else goes on
    assert site.is_open_again(site.other, site.others_job)
    assert site.is_open_again(site.public)


def test_a_stream_that_ended_and_a_client_that_never_read_give_their_places_back(site):
    site, do = site
    finished = do("answer = str(job_cancel(job=shop.search()).pk)")
    for _ in range(12):
        with site.ask(site.public, finished) as response:
            response.read()
    for _ in range(15):
        site.hang_up_unread(site.secret)
    with ExitStack() as streams:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            streams.close()
            if [streams.enter_context(site.ask(site.secret)).status_code for _ in range(4)] == [200] * 4:
                return
            time.sleep(0.1)
    raise AssertionError("places were lost")


def test_whoever_hangs_up_at_once_gives_the_place_back(site):
    """The last of each round leaves while the server still subscribes to what it wants to hear."""
    site, _ = site
    for _ in range(5):
        with ExitStack() as streams:
            assert [site.opened(streams, site.secret) for _ in range(4)] == [200] * 4


@pytest.mark.django_db
def test_a_stream_that_nobody_reads_is_forgotten_at_once(shop, redis_server):
    job = shop.search()
    asked = RequestFactory().get(f"{API}/search-jobs/{job.pk}/events", HTTP_AUTHORIZATION=f"Bearer {shop.token}")
    gc.disable()  # it may be long until the collector comes round, and the place is taken until then
    try:
        response = weakref.ref(resolve(asked.path).func(asked, id=job.pk))
        assert response() is None
    finally:
        gc.enable()
