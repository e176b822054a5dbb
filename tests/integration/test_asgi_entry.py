"""The entry that uvicorn serves: how often a request changes its thread."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import AsyncToSync
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path

from config.asgi import OneThread

threads: list[threading.Thread] = []


def view(request):
    threads.append(threading.current_thread())
    return HttpResponse("seen", headers={"X-View": "1"})


def noting(get_response):
    """A middleware of a project's own."""

    def answer(request):
        threads.append(threading.current_thread())
        return get_response(request)

    return answer


urlpatterns = [path("seen", view)]


def asked(application, address):
    """What the application sends for one GET, asked on a loop of its own."""
    sent = []
    request = iter([{"type": "http.request", "body": b""}])

    async def receive():
        for message in request:
            return message
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": address, "headers": [], "query_string": b"", "scheme": "http"}
    with ThreadPoolExecutor(1) as aside:  # browser tests leave a loop in this thread
        aside.submit(asyncio.run, application({**scope, "server": ("127.0.0.1", 80)}, receive, send)).result()
    return sent


@pytest.fixture
def never_back(monkeypatch):
    """Going back to the loop from a request's thread is an error."""

    def refuse(self, *args, **kwargs):
        raise AssertionError(f"back to the loop for {self.awaitable}")

    monkeypatch.setattr(AsyncToSync, "__call__", refuse)


@override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"])
def test_middlewares_and_view_run_in_one_thread_without_going_back_to_the_loop(settings, never_back):
    threads.clear()
    settings.MIDDLEWARE = [f"{__name__}.noting", *settings.MIDDLEWARE, f"{__name__}.noting"]
    head, body, *_ = asked(OneThread(), "/seen")
    assert (head["status"], body["body"]) == (200, b"seen")
    assert (b"X-View", b"1") in head["headers"]
    assert len(threads) == 3
    assert set(threads) == {threads[0]} != {threading.main_thread()}


@override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"])
def test_what_is_not_there_is_answered_in_that_thread_too(never_back):
    head, *_ = asked(OneThread(), "/elsewhere")
    assert head["status"] == 404
