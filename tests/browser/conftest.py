"""A real Chromium (Debian's) against Django's live server. Each page remembers what its console complained about."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.handlers.wsgi import WSGIHandler
from django.test import Client, TransactionTestCase
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from catalog.services import notify
from tests.api_support import Shop
from tests.browser.desk import leave
from tests.browser.live import ONE_REQUEST
from tests.browser.shop import ShopSite, running_shop
from tests.review_support import reviewer

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",  # a camera that everybody may use
]  # fmt: skip
PATIENCE_MS = 60_000  # of a test that will pass: a busy machine takes its time
expect.set_options(timeout=PATIENCE_MS / 2)
WIDTHS = {"phone": (390, 844), "desk": (1280, 860)}

# Playwright's synchronous API runs an event loop in this thread, beside which Django refuses its ORM by default.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here is marked; where there is no Chromium it is skipped, and says so."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed"))


@pytest.fixture(scope="session", autouse=True)
def one_request_at_a_time() -> Iterator[None]:
    """The live server's threads share one connection to SQLite in memory: two requests at once would meet in one
    transaction, and nobody waits for a lock there. A request that waits for a result lets others through meanwhile.
    Requests at once are tested on real servers, which have a file.
    """
    answer, listen, empty = WSGIHandler.__call__, notify._listen, TransactionTestCase._fixture_teardown
    here, tests_over = threading.local(), 0

    def alone(handler, environ, start_response):
        with ONE_REQUEST:
            here.answers = True
            try:
                return answer(handler, environ, start_response)
            finally:
                here.answers = False

    def listen_aside(listener, seconds):
        if not getattr(here, "answers", False):  # no request of the live server
            return listen(listener, seconds)
        began = tests_over
        ONE_REQUEST.release()
        try:
            listen(listener, seconds)
        finally:
            ONE_REQUEST.acquire()
        if tests_over != began:
            raise ConnectionAbortedError("the test is over, and its tables are empty")

    def empty_alone(case):  # a page that was closed may have left a request behind
        nonlocal tests_over
        with ONE_REQUEST:
            tests_over += 1
            empty(case)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WSGIHandler, "__call__", alone)
        patch.setattr(notify, "_listen", listen_aside)
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty_alone)
        yield


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shop_site(tmp_path_factory) -> Iterator[ShopSite]:
    """A real Vitrine with a small shop, for all tests that search for real."""
    with running_shop(tmp_path_factory.mktemp("shop")) as site:
        yield site


@pytest.fixture(params=WIDTHS)
def size(request) -> tuple[int, int]:
    """A phone's window and a desk's."""
    return WIDTHS[request.param]


@pytest.fixture
def context(browser, live_server) -> Iterator[BrowserContext]:
    cache.clear()
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 860})
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(context) -> Iterator[Page]:
    """A page; a test fails when the console showed an error that ``page.expected`` does not name."""
    with watched(context.new_page()) as page:
        yield page


@pytest.fixture
def shop(transactional_db) -> Shop:
    """A merchant of the live server."""
    return Shop("harbour")


@pytest.fixture
def ana(shop) -> User:
    """Who reviews for it."""
    return reviewer("ana", shop.merchant)


@pytest.fixture
def desk_page(page) -> Iterator[Page]:
    """A page that the desk is opened in, whoever logs in; left before the database is emptied."""
    yield page
    leave(page)


@pytest.fixture
def desk(desk_page, log_in, ana) -> Page:
    """The same with ana logged in; opened once there is something to look at."""
    log_in(ana)
    return desk_page


@contextmanager
def watched(page: Page) -> Iterator[Page]:
    """A page whose console is listened to while the block runs; it must not complain of what is not expected.

    What the page let go of itself is no complaint: it asked anew, or was left while a photo was still on its way.
    """
    page.complaints, page.expected = [], []

    def failed(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":
            page.complaints.append(f"{request.url} {request.failure}")

    page.on("console", lambda line: page.complaints.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("requestfailed", failed)
    yield page
    surprises = [line for line in page.complaints if not any(known in line for known in page.expected)]
    assert not surprises


@pytest.fixture
def log_in(context, live_server):
    """Give the browser the session of a person, without the log-in page."""

    def give(user):
        client = Client()
        client.force_login(user)
        context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])

    return give


def until_true(page: Page, expression: str, argument: Any = None) -> None:
    """Wait until this is true in the page. Playwright's own wait asks by ``eval``, which our policy forbids."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(expression, argument):
        assert time.monotonic() < end, f"not so: {expression}"
        page.wait_for_timeout(20)


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
