"""A hidden gold item at the desk, and the dashboard with numbers, in a real browser."""

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from catalog.models import Decision, Item, Lane, Opinion, Photo
from catalog.services.review import item_accept, item_correct, item_reject
from catalog.services.reviewing.opinions import items_make_gold
from tests.browser.conftest import overflow
from tests.review_support import reviewer


def test_a_gold_item_is_decided_and_only_an_opinion_comes_of_it(page, setting, log_in, shop):
    setting("VITRINE_GOLD_SHARE", "1")
    page.expected = ["404 (Not Found)", "503 (Service Unavailable)"]  # the photos' bytes are nowhere
    mug, cup = shop.product("MUG-1"), shop.product("CUP-1")
    gold, real = (shop.item(mug, cup, lane=Lane.UNCERTAIN, state="open") for _ in range(2))
    item_correct(item=gold, reviewer=reviewer("ben", shop.merchant), product=cup)
    items_make_gold(items=Item.objects.filter(pk=gold.pk), gold=True)
    ana = reviewer("ana", shop.merchant)
    log_in(ana)
    before = [list(model.objects.order_by("pk").values()) for model in (Decision, Photo)]
    kept = Item.objects.filter(pk=gold.pk).values().get()
    page.goto("/admin/catalog/item/desk/")
    current = page.locator("article.item")
    saved = page.locator("[data-part=saved]")
    seen = set()
    for _ in range(2):
        current.first.wait_for()
        seen.add(shown := current.first.get_attribute("data-item"))
        if shown == str(gold.pk):  # decided, taken back, decided again
            for key in (" ", "z"):
                page.keyboard.press(key)
                expect(saved).to_have_text("Saved")
            expect(page.locator(f"article.item[data-item='{shown}']")).to_be_visible()
            page.keyboard.press("r")
        else:
            page.wait_for_timeout(50)
            after = page.locator(f"article.item[data-item='{shown}']")
            page.keyboard.press("s")
            after.wait_for(state="detached")
        expect(saved).to_have_text("Saved")
    assert seen == {str(gold.pk), str(real.pk)}
    opinion = Opinion.objects.get(item=gold)
    assert (opinion.reviewer, opinion.action, opinion.agrees) == (ana, "reject", False)
    assert opinion.seconds is not None
    assert [list(model.objects.order_by("pk").values()) for model in (Decision, Photo)] == before
    assert Item.objects.filter(pk=gold.pk).values().get() == kept


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_dashboard_says_its_numbers_and_fits(page, log_in, shop, size, scheme):
    page.expected = ["404 (Not Found)"]
    log_in(User.objects.create(username="rita", is_staff=True, is_superuser=True))
    mug, cup = shop.product("MUG-1"), shop.product("CUP-1")
    ben = reviewer("ben", shop.merchant)
    for number in range(4):
        item = shop.item(mug, cup, lane=Lane.CONTROL, control=True, state="auto", verdict="SURE", product=mug)
        item_correct(item=item, reviewer=ben, product=cup) if number == 0 else item_accept(item=item, reviewer=ben)
    item_reject(item=shop.item(mug, lane=Lane.UNCERTAIN, state="open"), reviewer=ben)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme)
    page.goto("/admin/")
    precision = page.locator("section", has=page.get_by_text("Precision of what the machine accepts"))
    expect(precision.get_by_role("row", name="All")).to_contain_text("75 % (30 to 95)")
    confused = page.locator("section", has=page.get_by_text("Most often confused"))
    expect(confused.get_by_role("row", name="Mug MUG-1 Mug CUP-1 1")).to_be_visible()
    page.get_by_text("The numbers").click()
    expect(page.get_by_role("img", name="Decisions a day")).to_be_visible()
    assert overflow(page) == 0
