"""A session that ends while the desk is open: what was decided waits for its reviewer, and goes to nobody else."""

import json
import uuid

import pytest
from django.test import Client
from playwright.sync_api import expect

from catalog.models import Decision, Item
from tests.browser.conftest import until_true
from tests.browser.desk import decided, open_desk, shows, waiting
from tests.review_support import reviewer

OUT = "Log in again"


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


def test_what_was_decided_without_a_session_is_sent_after_the_next_log_in(desk_page, context, session, shop, ana):
    desk_page.expected += ["403 (Forbidden)", "ERR_"]
    first, second = waiting(shop, doubt=0.9), waiting(shop, doubt=0.1)
    session(ana)
    open_desk(desk_page)
    shows(desk_page, first)
    context.clear_cookies()
    desk_page.keyboard.press("r")
    saved_state(desk_page, OUT)
    shows(desk_page, second)
    desk_page.keyboard.press("u")
    session(ana)  # a new token, too: the one in the page is old
    decided(desk_page, 2)
    assert {item.pk: item.state for item in Item.objects.all()} == {first.pk: "rejected", second.pk: "unknown"}
    assert [each.reviewer for each in Decision.objects.all()] == [ana, ana]


def test_an_old_token_is_no_refusal(desk_page, context, session, shop, ana):
    """The site answers with a page that is no JSON where only the token is wrong."""
    desk_page.expected += ["403 (Forbidden)"]
    item = waiting(shop)
    session(ana)
    open_desk(desk_page)
    token = next(each["value"] for each in context.cookies() if each["name"] == "csrftoken")
    desk_page.evaluate("document.cookie = 'csrftoken=' + 'x'.repeat(32) + '; path=/'")
    with desk_page.expect_response("**/desk/decide/*") as told:
        desk_page.evaluate("token => { document.querySelector('[name=csrfmiddlewaretoken]').value = token; }", "old")
        context.clear_cookies(name="csrftoken")
        desk_page.keyboard.press("r")
    assert told.value.status == 403
    saved_state(desk_page, OUT)
    desk_page.evaluate("token => { document.cookie = `csrftoken=${token}; path=/`; }", token)
    decided(desk_page, 1)
    assert Item.objects.get(pk=item.pk).state == "rejected"


def test_what_one_person_decided_is_never_sent_as_anothers(desk_page, context, session, shop, ana):
    desk_page.expected += ["403 (Forbidden)", "ERR_"]
    item = waiting(shop)
    ben = reviewer("ben", shop.merchant)
    session(ana)
    open_desk(desk_page)
    session(ben)  # in another tab
    desk_page.keyboard.press("r")
    saved_state(desk_page, OUT)
    expect(desk_page.get_by_text("Somebody else is logged in in this browser by now.").first).to_be_visible()
    desk_page.once("dialog", lambda asked: asked.accept())  # the browser asks because something is not saved
    desk_page.reload()
    expect(desk_page.locator("body")).to_have_attribute("data-user", "ben")
    saved_state(desk_page, "Saved")
    assert len(kept(desk_page, "ana")) == 1
    assert kept(desk_page, "ben") == []
    assert not Decision.objects.exists()
    session(ana)
    desk_page.reload()
    expect(desk_page.locator("body")).to_have_attribute("data-user", "ana")
    saved_state(desk_page, "Saved")
    until_true(desk_page, "sessionStorage.getItem('vitrine.desk.outbox.ana') === '[]'")
    decision = Decision.objects.get()
    assert (decision.item, decision.reviewer, decision.action) == (item, ana, "reject")


@pytest.mark.parametrize("status", [408, 425, 429])
def test_what_is_to_be_tried_again_is_tried_again(desk_page, session, shop, ana, status):
    desk_page.expected.append(str(status))
    item = waiting(shop)
    session(ana)
    open_desk(desk_page)
    desk_page.route("**/desk/decide/*", lambda route: route.fulfill(status=status, body="Later"), times=1)
    desk_page.keyboard.press("r")
    decided(desk_page, 1)
    until_true(desk_page, "sessionStorage.getItem('vitrine.desk.outbox.ana') === '[]'")
    assert Item.objects.get(pk=item.pk).state == "rejected"
