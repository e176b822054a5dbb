"""What is chosen in the desk's windows is decided on the photo that was looked at, or on none."""

import pytest
from playwright.sync_api import expect

from catalog.models import Decision, Item, Membership
from tests.api_support import Shop
from tests.browser.desk import answer_held_back, decided, held_back, open_desk, shows, taken_by_another, waiting

ALIKE = {"fingerprint": "5" * 128}  # of the same pixels


@pytest.fixture
def cups(shop):
    """Three products in the order in which the search by words lists them."""
    return [shop.product(f"CUP-{letter}", title=f"Cup {letter}") for letter in "ABC"]


def search(page, words):
    page.keyboard.press("/")
    page.keyboard.insert_text(words)  # at once: a hand that stops on the way has a list of its own
    expect(page.locator("#found li")).to_have_count(3)


def states():
    return {item.state for item in Item.objects.all()}


def test_the_arrows_choose_what_enter_takes(desk, shop, cups):
    item = waiting(shop)
    open_desk(desk)
    search(desk, "cup")
    desk.keyboard.press("ArrowDown")
    desk.keyboard.press("Enter")
    decided(desk, 1)
    assert Decision.objects.get().product == cups[1]
    assert Item.objects.get(pk=item.pk).product == cups[1]


def test_enter_takes_the_first_of_the_words_that_stand_there(desk, shop, cups):
    waiting(shop)
    open_desk(desk)
    search(desk, "cup")
    desk.keyboard.type("-c")
    desk.keyboard.press("Enter")  # before the list has followed
    decided(desk, 1)
    assert Decision.objects.get().product == cups[2]


def test_a_search_whose_window_was_closed_chooses_nothing(desk, shop, cups):
    first, second = waiting(shop, doubt=0.9), waiting(shop, doubt=0.1)
    open_desk(desk)
    release = held_back(desk, "**/products/*")
    desk.keyboard.press("/")
    desk.keyboard.type("cup")
    desk.keyboard.press("Enter")
    desk.wait_for_timeout(200)  # for the request to be made
    desk.keyboard.press("Escape")
    desk.keyboard.press("s")
    shows(desk, second)
    desk.keyboard.press("/")
    release()
    desk.wait_for_timeout(300)
    expect(desk.locator("#found li")).to_have_count(0)
    assert not Decision.objects.exists()
    assert Item.objects.get(pk=first.pk).state == "open"


def test_a_photo_that_went_under_an_open_window_is_not_decided_on(desk, setting, shop, cups):
    setting("VITRINE_REVIEW_CLAIM_SECONDS", "3")  # the desk looks every second whether it has its items still
    first, second = waiting(shop, doubt=0.9), waiting(shop, doubt=0.1)
    open_desk(desk)
    shows(desk, first)
    search(desk, "cup")
    taken_by_another(first)
    shows(desk, second)
    desk.keyboard.press("Enter")
    expect(desk.get_by_text("Another photo is shown by now")).to_be_visible()
    decided(desk, 0)
    assert not Decision.objects.exists()
    assert states() == {"open"}


def test_a_refused_decision_comes_back_and_what_was_typed_for_the_next_photo_waits(desk, shop, cups):
    first, second = waiting(shop, doubt=0.9), waiting(shop, doubt=0.1)
    open_desk(desk)
    release = held_back(desk, "**/decide/*")
    new_product(desk, "CUP-A", "Taken already")
    shows(desk, second)
    desk.keyboard.press("n")
    desk.locator("#new input[name=title]").fill("Tall vase")
    release()
    shows(desk, first)  # under the open window
    desk.locator("#new input[name=sku]").fill("V-1")
    desk.keyboard.press("Enter")
    expect(desk.get_by_text("Another photo is shown by now")).to_be_visible()
    desk.keyboard.press("r")
    shows(desk, second)
    desk.keyboard.press("n")
    expect(desk.locator("#new input[name=title]")).to_have_value("Tall vase")
    desk.keyboard.press("Enter")
    decided(desk, 2)
    found = {item.pk: (item.state, item.product and item.product.sku) for item in Item.objects.all()}
    assert found == {first.pk: ("rejected", None), second.pk: ("corrected", "V-1")}


def new_product(page, sku, title):
    page.keyboard.press("n")
    page.locator("#new input[name=title]").fill(title)
    page.locator("#new input[name=sku]").fill(sku)
    page.keyboard.press("Enter")


def test_a_new_product_is_offered_the_categories_of_its_own_shop(desk, shop, cups, ana):
    shop.product("LAMP-1", category="Home/Lamps")  # nothing that waits looks like it
    quay = Shop("quay")
    quay.product("BOAT-1", category="Boats")
    Membership.objects.create(user=ana, merchant=quay.merchant, role="reviewer")
    first, second = waiting(shop, doubt=0.9), waiting(quay, doubt=0.1)
    open_desk(desk)
    shows(desk, first)
    desk.keyboard.press("n")
    expect(desk.locator("#categories option")).to_have_count(2)
    assert offered(desk) == ["Home/Lamps", "Mugs"]
    desk.keyboard.press("Escape")
    desk.keyboard.press("s")
    shows(desk, second)
    desk.keyboard.press("n")
    expect(desk.locator("#categories option")).to_have_count(1)
    assert offered(desk) == ["Boats"]
    desk.locator("#new input[name=title]").fill("Tall vase")
    desk.locator("#new input[name=sku]").fill("V-1")
    desk.locator("#new input[name=category]").fill("Vases")  # which the shop does not have yet
    desk.keyboard.press("Enter")
    decided(desk, 1)
    assert Item.objects.get(pk=second.pk).product.category == "Vases"


def offered(page):
    return page.locator("#categories option").evaluate_all("all => all.map((each) => each.value)")


def test_ticked_look_alikes_go_with_the_photo_that_they_were_ticked_for(desk, setting, shop, cups):
    setting("VITRINE_REVIEW_CLAIM_SECONDS", "3")
    first, twin = waiting(shop, doubt=0.9, **ALIKE), waiting(shop, doubt=0.1, **ALIKE)
    other = waiting(shop, doubt=0.5)
    open_desk(desk)
    shows(desk, first)
    desk.keyboard.press("a")
    expect(desk.locator("[data-part=alike] input:checked")).to_have_count(1)
    taken_by_another(first)
    shows(desk, other)
    expect(desk.locator("[data-part=alike]")).to_be_hidden()
    desk.keyboard.press("r")
    decided(desk, 1)
    assert Decision.objects.get().item == other
    assert Item.objects.get(pk=twin.pk).state == "open"


def test_an_undo_before_the_refusal_counts_once(desk, shop, cups):
    first, second = waiting(shop, doubt=0.9), waiting(shop, doubt=0.1)
    open_desk(desk)
    desk.keyboard.press("r")
    decided(desk, 1)
    shows(desk, second)
    release = held_back(desk, "**/decide/*")
    new_product(desk, "CUP-A", "Taken already")
    desk.keyboard.press("z")
    shows(desk, second)
    release()
    expect(desk.get_by_text("Not counted").first).to_be_visible()
    decided(desk, 1)
    shows(desk, second)
    assert {item.pk: item.state for item in Item.objects.all()} == {first.pk: "rejected", second.pk: "open"}


def test_an_answer_that_is_older_than_an_undo_takes_nothing_away(desk, setting, shop):
    setting("VITRINE_REVIEW_CLAIM_SECONDS", "3")  # the desk looks every second whether it has its items still
    first, second = waiting(shop, doubt=0.9), waiting(shop, doubt=0.1)
    open_desk(desk)
    decide_told, let_decide_go = answer_held_back(desk, "**/decide/*")
    desk.keyboard.press("r")
    shows(desk, second)
    assert len(decide_told()["decisions"]) == 1  # the site has it, and the desk does not know yet
    next_told, let_next_go = answer_held_back(desk, "**/next/*")
    assert next_told()["lost"] == [str(first.pk)]
    let_decide_go()
    decided(desk, 1)
    desk.keyboard.press("z")
    decided(desk, 0)
    let_next_go()
    desk.wait_for_timeout(200)
    assert desk.locator("article.item").get_attribute("data-item") == str(first.pk)
    assert states() == {"open"}


def test_who_skips_many_is_still_given_more(desk, shop):
    """What was skipped is named to the site, which takes 500 names."""
    waiting(shop)
    open_desk(desk)
    desk.wait_for_load_state("networkidle")
    with desk.expect_response("**/desk/next/*") as told:
        desk.evaluate(
            """async () => {
              const main = document.querySelector("script[type=module]").src;
              const { Line } = await import(main.replace("main.js", "line.js"));
              const { newId } = await import(main.replace("main.js", "site.js"));
              const ids = (count) => Array.from({ length: count }, newId);
              const line = new Line({ pending: () => ids(90), changed() {}, failed() {}, claimSeconds: 900 });
              line.entries = [{ item: { id: newId() }, node: document.createElement("p") }];
              line.skipped = ids(500);
              line.skip();
            }"""
        )
    asked = told.value.request.post_data_json
    assert (told.value.status, asked["count"], len(asked["skipped"])) == (200, 100, 500)
