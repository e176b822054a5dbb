"""A session that ends while the desk is open: what was decided waits for its reviewer, and goes to nobody else."""

import json
import uuid

import pytest
from django.test import Client
from playwright.sync_api import expect

from catalog.models import Decision, Item
from tests.api_support import Shop
from tests.browser.desk import decided, leave, open_desk, shows, waiting
from tests.review_support import reviewer

OUT = "Log in again"


@pytest.fixture
def page(page):
    yield page
    leave(page)


@pytest.fixture
def shop(transactional_db):
    return Shop("harbour")


@pytest.fixture
def session(context, live_server):
    """Give the browser another session, with the new token that comes with it, as logging in in another tab does."""

    def give(user):
        client = Client()
        client.force_login(user)
        values = {"sessionid": client.cookies["sessionid"].value, "csrftoken": uuid.uuid4().hex}
        context.add_cookies([{"name": name, "value": value, "url": live_server.url} for name, value in values.items()])

    return give


def saved_state(page, text):
    expect(page.locator("[data-part=saved]")).to_contain_text(text)


def kept(page, name):
    return json.loads(page.evaluate("name => sessionStorage.getItem(`vitrine.desk.outbox.${name}`)", name) or "[]")


def test_what_was_decided_without_a_session_is_sent_after_the_next_log_in(page, context, session, shop):
    page.expected += ["403 (Forbidden)", "ERR_"]
    first, second = waiting(shop, doubt=0.9), waiting(shop, doubt=0.1)
    ana = reviewer("ana", shop.merchant)
    session(ana)
    open_desk(page)
    shows(page, first)
    context.clear_cookies()
    page.keyboard.press("r")
    saved_state(page, OUT)
    shows(page, second)
    page.keyboard.press("u")
    session(ana)  # a new token, too: the one in the page is old
    decided(page, 2)
    assert {item.pk: item.state for item in Item.objects.all()} == {first.pk: "rejected", second.pk: "unknown"}
    assert [each.reviewer for each in Decision.objects.all()] == [ana, ana]


def test_an_old_token_is_no_refusal(page, context, session, shop):
    """The site answers with a page that is no JSON where only the token is wrong."""
    page.expected += ["403 (Forbidden)"]
    item = waiting(shop)
    session(reviewer("ana", shop.merchant))
    open_desk(page)
    token = next(each["value"] for each in context.cookies() if each["name"] == "csrftoken")
    page.evaluate("document.cookie = 'csrftoken=' + 'x'.repeat(32) + '; path=/'")
    with page.expect_response("**/desk/decide/*") as told:
        page.evaluate("token => { document.querySelector('[name=csrfmiddlewaretoken]').value = token; }", "old")
        context.clear_cookies(name="csrftoken")
        page.keyboard.press("r")
    assert told.value.status == 403
    saved_state(page, OUT)
    page.evaluate("token => { document.cookie = `csrftoken=${token}; path=/`; }", token)
    decided(page, 1)
    assert Item.objects.get(pk=item.pk).state == "rejected"


def test_what_one_person_decided_is_never_sent_as_anothers(page, context, session, shop):
    page.expected += ["403 (Forbidden)", "ERR_"]
    item = waiting(shop)
    ana, ben = reviewer("ana", shop.merchant), reviewer("ben", shop.merchant)
    session(ana)
    open_desk(page)
    session(ben)  # in another tab
    page.keyboard.press("r")
    saved_state(page, OUT)
    expect(page.get_by_text("Somebody else is logged in in this browser by now.").first).to_be_visible()
    page.once("dialog", lambda asked: asked.accept())  # the browser asks because something is not saved
    page.reload()
    expect(page.locator("body")).to_have_attribute("data-user", "ben")
    saved_state(page, "Saved")
    assert len(kept(page, "ana")) == 1
    assert kept(page, "ben") == []
    assert not Decision.objects.exists()
    session(ana)
    page.reload()
    expect(page.locator("body")).to_have_attribute("data-user", "ana")
    saved_state(page, "Saved")
    page.wait_for_function("() => sessionStorage.getItem('vitrine.desk.outbox.ana') === '[]'")
    decision = Decision.objects.get()
    assert (decision.item, decision.reviewer, decision.action) == (item, ana, "reject")


@pytest.mark.parametrize("status", [408, 425, 429])
def test_what_is_to_be_tried_again_is_tried_again(page, session, shop, status):
    page.expected.append(str(status))
    item = waiting(shop)
    session(reviewer("ana", shop.merchant))
    open_desk(page)
    page.route("**/desk/decide/*", lambda route: route.fulfill(status=status, body="Later"), times=1)
    page.keyboard.press("r")
    decided(page, 1)
    page.wait_for_function("() => sessionStorage.getItem('vitrine.desk.outbox.ana') === '[]'")
    assert Item.objects.get(pk=item.pk).state == "rejected"
