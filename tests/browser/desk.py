"""The review desk in a browser against the live server, with items that no worker has seen: what its tests share."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from catalog.models import Item, Lane
from tests.api_support import Shop
from tests.browser.live import ONE_REQUEST
from tests.drawing import jpeg

DESK = "/admin/catalog/item/desk/"
# The tests' database lies in memory, where SQLite refuses what comes in the middle of a write: the desk asks again.
LOCKED = "500 (Internal Server Error)"


def waiting(shop: Shop, *products, **values) -> Item:
    """An item in the queue; one with more ``doubt`` comes before one with less."""
    return shop.item(*products, **{"lane": Lane.UNCERTAIN, "state": "open", **values})


def open_desk(page: Page) -> None:
    """The desk with its first item, whoever is logged in; every photo is the same one."""
    page.expected.append(LOCKED)
    page.add_init_script("navigator.sendBeacon = () => true")  # else its goodbye meets the emptying of the database
    photo = jpeg(1)
    page.route("**/photos/**", lambda route: route.fulfill(body=photo, content_type="image/jpeg"))
    page.goto(DESK)
    page.locator("article.item").wait_for()


def leave(page: Page) -> None:
    """Nothing of the page is under way any more: the database is emptied after a test, and would be locked."""
    page.on("dialog", lambda asked: asked.accept())
    page.goto("about:blank")
    page.wait_for_timeout(500)


def shows(page: Page, item: Item) -> None:
    """Wait until this item is the one that is shown."""
    expect(page.locator("article.item")).to_have_attribute("data-item", str(item.pk))


def decided(page: Page, count: int) -> None:
    """Wait until the desk has counted so many decisions and the site has every one of them."""
    expect(page.locator("[data-part=decided]")).to_have_text(str(count))
    expect(page.locator("[data-part=saved]")).to_have_text("Saved")


def held_back(page: Page, pattern: str) -> Callable[[], None]:
    """Requests to these addresses wait, until what is returned is called."""
    waiting_there, let_go = [], []
    page.route(pattern, lambda route: route.continue_() if let_go else waiting_there.append(route))

    def release() -> None:
        assert waiting_there
        let_go.append(True)
        for route in waiting_there:
            route.continue_()

    return release


def answer_held_back(page: Page, pattern: str) -> tuple[Callable[[], Any], Callable[[], None]]:
    """The next answer of these addresses waits: what gives its JSON once it is there, and what lets it through."""
    there, let_go = [], []

    def hold(route: Route) -> None:
        if let_go or there:
            return route.continue_()
        there.append((route, route.fetch()))

    def told() -> Any:
        while not there:
            page.wait_for_timeout(20)
        return there[0][1].json()

    def release() -> None:
        let_go.append(True)
        ((route, response),) = there
        route.fulfill(response=response)

    page.route(pattern, hold)
    return told, release


def taken_by_another(item: Item) -> None:
    """Another desk has it from now on."""
    until = timezone.now() + timedelta(hours=1)
    with ONE_REQUEST:  # the desk renews its claims meanwhile: it reads, then writes
        Item.objects.filter(pk=item.pk).update(claim=uuid.uuid4(), claimed_by=None, claimed_until=until)
