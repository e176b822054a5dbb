"""The desk by mouse and by finger on a tablet, its windows for everybody, and keys that a reviewer chose."""

import pytest
from playwright.sync_api import expect

from catalog.models import Decision, DeskKeys, Item
from tests.browser.axe import barriers
from tests.browser.conftest import PATIENCE_MS, overflow, watched
from tests.browser.desk import decided, leave, open_desk, shows, waiting

TABLET = {"width": 1024, "height": 768}
ALIKE = {"fingerprint": "5" * 128}  # of the same pixels


@pytest.fixture
def products(shop):
    return [shop.product(f"CUP-{letter}", title=f"Cup {letter}", price="9.90", currency="EUR") for letter in "ABCD"]


@pytest.fixture
def tablet(browser, live_server, ana, log_in, context):
    """A page that is touched, of a browser in which ana is logged in."""
    log_in(ana)
    touched = browser.new_context(base_url=live_server.url, viewport=TABLET, has_touch=True)
    touched.set_default_timeout(PATIENCE_MS)
    touched.add_cookies(context.cookies())
    with watched(touched.new_page()) as page:
        yield page
        leave(page)
    touched.close()


def states():
    return {item.pk: item.state for item in Item.objects.all()}


def button(page, name):
    return page.get_by_role("navigation", name="Decisions").get_by_role("button", name=name)


def test_a_tablet_decides_by_taps(tablet, shop, products):
    first, second, third = (waiting(shop, *products, doubt=0.9 - number / 10) for number in range(3))
    open_desk(tablet)
    shows(tablet, first)
    assert overflow(tablet) == 0
    tablet.locator(".choice", has_text="CUP-B").tap()
    shows(tablet, second)
    button(tablet, "Reject").tap()
    shows(tablet, third)
    decided(tablet, 2)
    assert states() == {first.pk: "corrected", second.pk: "rejected", third.pk: "open"}
    button(tablet, "Undo").tap()
    shows(tablet, second)
    decided(tablet, 1)
    assert states() == {first.pk: "corrected", second.pk: "open", third.pk: "open"}
    button(tablet, "Accept first").tap()
    shows(tablet, third)
    button(tablet, "Skip").tap()
    expect(tablet.get_by_role("button", name="Show what I skipped")).to_be_visible()
    decided(tablet, 2)
    assert {item.pk: item.product for item in Item.objects.all()} == {
        first.pk: products[1], second.pk: products[0], third.pk: None,
    }  # fmt: skip
    assert states()[third.pk] == "open"


def test_one_tap_decides_all_look_alikes_that_are_ticked(tablet, shop, products):
    first, *twins = (waiting(shop, *products, doubt=0.9 - number / 10, **ALIKE) for number in range(4))
    other = waiting(shop, *products, doubt=0.1)
    open_desk(tablet)
    shows(tablet, first)
    button(tablet, "Look-alikes").tap()
    ticks = tablet.locator("[data-part=alike] input")
    expect(ticks).to_have_count(3)
    assert [tick.is_checked() for tick in ticks.all()] == [True, True, True]
    assert overflow(tablet) == 0
    tablet.locator(f"[data-part=alike] label:has(input[value='{twins[1].pk}'])").tap()
    expect(tablet.get_by_text("3 photos at once.")).to_be_visible()
    tablet.locator(".choice", has_text="CUP-C").tap()
    shows(tablet, twins[1])  # the one that is not a twin after all
    expect(tablet.locator("[data-part=alike]")).to_be_hidden()
    decided(tablet, 3)
    one_thing = {first.pk, twins[0].pk, twins[2].pk}
    assert {pk for pk, state in states().items() if state == "corrected"} == one_thing
    assert {decision.product for decision in Decision.objects.all()} == {products[2]}
    button(tablet, "Undo").tap()
    decided(tablet, 0)
    assert set(states().values()) == {"open"}
    assert Item.objects.get(pk=other.pk).product is None


def test_the_mouse_searches_and_makes_a_product(desk, shop, products):
    first, second = (waiting(shop, doubt=0.9 - number / 10) for number in range(2))
    open_desk(desk)
    shows(desk, first)
    button(desk, "Search").click()
    desk.get_by_label("Words of its title, brand or SKU").fill("cup d")
    desk.locator("#found li", has_text="CUP-D").click()
    shows(desk, second)
    button(desk, "New product").click()
    desk.locator("#new").get_by_label("Title").fill("Tall vase")
    desk.locator("#new").get_by_label("SKU").fill("V-1")
    desk.get_by_role("button", name="Make it").click()
    decided(desk, 2)
    assert {item.pk: item.product.sku for item in Item.objects.all()} == {first.pk: "CUP-D", second.pk: "V-1"}


def test_a_key_that_was_changed_is_used(desk, shop, products):
    first, second = (waiting(shop, *products, doubt=0.9 - number / 10) for number in range(2))
    open_desk(desk)
    desk.expected.append("422")  # a key that is taken
    desk.keyboard.press("?")
    desk.locator("[data-change=reject]").click()  # the focus was on another one
    desk.keyboard.press("q")
    expect(desk.locator("[data-change=reject]")).to_have_text("Q")
    desk.locator("[data-change=skip]").click()
    desk.keyboard.press("q")  # it means something else now
    expect(desk.get_by_text("Each action needs one key of its own").first).to_be_visible()
    expect(desk.locator("[data-change=skip]")).to_have_text("S")
    desk.get_by_role("button", name="Done").click()
    expect(button(desk, "Reject").locator("kbd")).to_have_text("Q")
    desk.keyboard.press("r")  # no key of anything any more
    shows(desk, first)
    desk.keyboard.press("q")
    shows(desk, second)
    decided(desk, 1)
    assert states() == {first.pk: "rejected", second.pk: "open"}
    assert DeskKeys.objects.get().keys == {"reject": "q"}


WINDOWS = {"/": "search", "n": "new", "x": "split", "?": "help"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_desk_and_its_windows_keep_nobody_out(desk, shop, products, scheme):
    waiting(shop, *products, doubt=0.9, reason="weak_match", box=[0.1, 0.1, 0.6, 0.6], **ALIKE)
    waiting(shop, *products, **ALIKE)
    desk.emulate_media(color_scheme=scheme)
    open_desk(desk)
    assert barriers(desk) == []
    assert overflow(desk) == 0
    desk.keyboard.press("a")
    expect(desk.locator("[data-part=alike] input")).to_have_count(1)
    assert barriers(desk) == []
    desk.keyboard.press("a")
    for key, name in WINDOWS.items():
        desk.keyboard.press(key)
        expect(desk.locator(f"#{name}")).to_be_visible()
        if name == "search":
            desk.keyboard.type("cup")
            expect(desk.locator("#found li")).to_have_count(4)
        assert barriers(desk) == [], name
        desk.keyboard.press("Escape")
        expect(desk.locator(f"#{name}")).to_be_hidden()
    desk.get_by_role("button", name="Filters").click()
    expect(desk.locator("#filters")).to_be_visible()
    assert barriers(desk) == []
