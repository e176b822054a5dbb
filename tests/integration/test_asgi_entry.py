"""The entry that uvicorn serves: how often a request changes its thread."""

import asyncio
import threading
import time

import pytest
from asgiref.sync import AsyncToSync
from django.http import HttpResponse
from django.urls import path

from catalog.api.streaming import file_streamed
from config.asgi import OneThread
from config.threads import RequestThreads
from tests.loops import ran

threads: list[threading.Thread] = []
read: list[bytes] = []
began = threading.Event()
hung_up = threading.Event()
closed = threading.Event()


def view(request):
    threads.append(threading.current_thread())
    return HttpResponse("seen", headers={"X-View": "1"})


def noting(get_response):
    """A middleware of a project's own."""

    def answer(request):
        threads.append(threading.current_thread())
        return get_response(request)

    return answer


def slow_upload(request):
    """Its body is read long after it came: the key is judged first. Meanwhile its client leaves."""
    began.set()
    assert hung_up.wait(10)
    time.sleep(0.3)
    read.append(request.body)
    return HttpResponse("taken")


def slow_export(request):
    def blocks():
        try:
            while True:
                time.sleep(0.3)
                yield b"a row"
        finally:
            closed.set()

    return file_streamed(request, blocks, name="rows.csv", content_type="text/csv")


urlpatterns = [path("seen", view), path("upload", slow_upload), path("export", slow_export)]


def asked(application, address, method="GET", body=b"", leaves=lambda sent: False):
    """What the application sends for one request, asked on a loop of its own, to a client that leaves when it says."""
    sent = []
    began.clear()
    hung_up.clear()
    request = iter([{"type": "http.request", "body": body}])

    async def receive():
        for message in request:
            return message
        while not leaves(sent):
            await asyncio.sleep(0.01)
        hung_up.set()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": address, "headers": [], "query_string": b"", "scheme": "http"}
    ran(application({**scope, "server": ("127.0.0.1", 80)}, receive, send))
    return sent


@pytest.fixture(autouse=True)
def views(settings):
    """Those of this module. By the fixture alone: beside Django's decorator, one undoes what the other saved."""
    settings.ROOT_URLCONF = __name__
    settings.ALLOWED_HOSTS = ["127.0.0.1"]


@pytest.fixture
def never_back(monkeypatch):
    """Going back to the loop from a request's thread is an error."""

    def refuse(self, *args, **kwargs):
        raise AssertionError(f"back to the loop for {self.awaitable}")

    monkeypatch.setattr(AsyncToSync, "__call__", refuse)


def test_middlewares_and_view_run_in_one_thread_without_going_back_to_the_loop(settings, never_back):
    threads.clear()
    settings.MIDDLEWARE = [f"{__name__}.noting", *settings.MIDDLEWARE, f"{__name__}.noting"]
    head, body, *_ = asked(OneThread(), "/seen")
    assert (head["status"], body["body"]) == (200, b"seen")
    assert (b"X-View", b"1") in head["headers"]
    assert len(threads) == 3
    assert set(threads) == {threads[0]} != {threading.main_thread()}


def test_what_is_not_there_is_answered_in_that_thread_too(never_back):
    head, *_ = asked(OneThread(), "/elsewhere")
    assert head["status"] == 404


def test_a_body_stays_open_for_a_view_whose_client_hung_up(settings):
    settings.MIDDLEWARE = []
    read.clear()
    assert asked(RequestThreads(OneThread()), "/upload", "POST", b"a" * 1000, leaves=lambda _: began.is_set()) == []
    assert read == [b"a" * 1000]


def test_an_export_whose_client_hung_up_ends(settings):
    settings.MIDDLEWARE = []
    closed.clear()
    head, *_ = asked(RequestThreads(OneThread()), "/export", leaves=lambda sent: len(sent) > 1)
    assert head["status"] == 200
    assert closed.is_set()
