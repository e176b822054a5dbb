"""The search page as a shopper uses it: choose, drop, paste, type; wait; read the answer. Answers go the real way."""

import base64
import re
import time

import pytest
from playwright.sync_api import expect

from catalog.models import Job, Merchant
from catalog.services.photo import photo_add
from catalog.services.result import search_result_store
from tests.api_support import Shop, candidate, search_result
from tests.browser.conftest import overflow, watched
from tests.browser.live import ONE_REQUEST
from tests.drawing import jpeg

PHOTO = {"name": "mine.jpg", "mimeType": "image/jpeg", "buffer": jpeg(1)}
GIVE_FILE = """([kind, type, text]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const carrier = new DataTransfer();
  carrier.items.add(new File([bytes], "mine.jpg", { type: "image/jpeg" }));
  const event = kind === "drag" ? new DragEvent(type, { dataTransfer: carrier, bubbles: true, cancelable: true })
    : new ClipboardEvent(type, { clipboardData: carrier, bubbles: true, cancelable: true });
  document.querySelector(".window-label").dispatchEvent(event);
}"""


@pytest.fixture(autouse=True)
def _short_polls(monkeypatch):
    monkeypatch.setattr("catalog.web.search.WAIT_SECONDS", 0.4)


@pytest.fixture
def shop(transactional_db):
    shop = Shop("harbour")
    Merchant.objects.filter(pk=shop.merchant.pk).update(public_search=True)
    return shop


@pytest.fixture
def mug(shop):
    return shop.product("MUG-1", title="Sea green mug", price="14.90", currency="EUR")


def photo_of(shop, product, number):
    data, name = jpeg(number), f"{number}.jpg"
    more = {"origin": "upload", "position": number}
    with ONE_REQUEST:
        return photo_add(merchant=shop.merchant, product=product, data=data, name=name, **more)[0]


def the_job(after=0):
    """The search that the page has just started."""
    for _ in range(600):
        with ONE_REQUEST:
            if Job.objects.count() > after:
                return Job.objects.latest("created_at")
        time.sleep(0.1)
    raise AssertionError("the page started no search")


def taken(page, action):
    """The search that an action starts, once the site has taken it: nothing of it is written any more."""
    with page.expect_response(lambda told: told.request.method == "POST"):
        action()
    with ONE_REQUEST:
        return Job.objects.latest("created_at")


def answer(job, *found, **values):
    with ONE_REQUEST:
        assert search_result_store(result=search_result(job, *found, **values))


def give(page, kind, event):
    page.evaluate(GIVE_FILE, [kind, event, base64.b64encode(jpeg(1)).decode()])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_its_window(page, shop, mug, size, scheme):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme)
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_label("Words that describe it")).to_be_visible()
    assert overflow(page) == 0


def test_chosen_photo_finds_its_product(page, shop, mug, size):
    photo = photo_of(shop, mug, 2)
    lamp = shop.product("LAMP-1", title="Lamp")
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto("/")
    page.set_input_files("#photo", PHOTO)
    job = the_job()
    expect(page.get_by_alt_text("Your photo: mine.jpg")).to_be_visible()
    expect(page.locator("[data-part=step]")).to_have_text(re.compile("Waiting for a worker|Looking"))
    expect(page.get_by_role("progressbar")).to_be_visible()
    answer(job, candidate(mug, photo), candidate(lamp, photo_of(shop, lamp, 3), match="similar"), verdict="SURE")
    expect(page.get_by_role("heading", name="Found it.")).to_be_visible()
    first = page.locator(".card").first
    expect(first).to_contain_text("Sea green mug")
    expect(first).to_contain_text("€14.90")
    expect(first).to_contain_text("87 % match probability")
    expect(first.locator(".badge")).to_have_text("Same product")
    expect(page.locator("[data-part=status]")).to_have_text("Found it. 2 products")
    assert first.locator("img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
    page.expected += ["503 (Service", "422 (Unprocessable"]  # nobody is there to explain, or has looked at its photo
    first.get_by_role("button", name="Why Sea green mug?").click()
    expect(page.get_by_role("dialog").get_by_text("Photo alone")).to_be_visible()
    expect(page.get_by_role("dialog").get_by_text("Nobody can look at photos just now.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("[data-part=progress]")).to_be_hidden()
    assert overflow(page) == 0


def test_dropped_photo_is_searched(page, shop, mug):
    page.goto("/")
    give(page, "drag", "dragenter")
    expect(page.locator("main[data-dragging]")).to_have_count(1)
    give(page, "drag", "drop")
    expect(page.locator("main[data-dragging]")).to_have_count(0)
    job = the_job()
    assert job.key
    answer(job, candidate(mug, photo_of(shop, mug, 2)), calibrated=False, verdict="REVIEW")
    expect(page.get_by_text("score, not calibrated")).to_be_visible()
    expect(page.get_by_role("heading", name="It may be one of these.")).to_be_visible()


def test_pasted_photo_is_searched(page, shop):
    page.goto("/")
    give(page, "clipboard", "paste")
    answer(the_job(), verdict="UNKNOWN")
    expect(page.locator("#answer").get_by_text("No product looks like your photo.")).to_be_visible()


def test_words_by_keyboard_then_filters_and_photo(page, shop, mug):
    photo = photo_of(shop, mug, 2)
    page.goto("/")
    page.get_by_label("Words that describe it").focus()
    page.keyboard.type("green mug")
    page.keyboard.press("Enter")
    job = the_job()
    assert (job.request["words"], job.key) == ("green mug", "")
    answer(job, candidate(mug, photo, image=None, text=7.3, probability=None, match="other"))
    expect(page.get_by_text("7.3 words score")).to_be_visible()

    page.get_by_label("Hearth").check()  # an answered page searches again by itself
    job = the_job(after=1)
    assert job.request["filters"]["brands"] == ["Hearth"]
    answer(job)
    expect(page.locator("#answer").get_by_text("No product passes these filters.")).to_be_visible()

    page.set_input_files("#photo", PHOTO)
    job = the_job(after=2)
    assert (job.request["words"], bool(job.key)) == ("green mug", True)
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("[data-part=stage]")).to_be_hidden()
    expect(page.locator("#photo")).to_be_focused()
    assert the_job(after=3).key == ""


def test_a_removed_photo_leaves_nothing_behind_whatever_comes_of_its_search(page, shop, mug):
    page.goto("/")
    page.set_input_files("#photo", PHOTO)
    job = the_job()
    expect(page.locator("[data-part=progress]")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("main")).to_have_attribute("data-phase", "idle")
    expect(page.locator("[data-part=progress]")).to_be_hidden()
    expect(page.locator("#answer .card")).to_have_count(0)
    answer(job, candidate(mug, photo_of(shop, mug, 2)), verdict="SURE")
    page.wait_for_timeout(1_000)  # longer than a poll is held open
    expect(page.locator("main")).to_have_attribute("data-phase", "idle")
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#answer .card")).to_have_count(0)

    page.set_input_files("#photo", PHOTO)
    answer(the_job(after=1), candidate(mug, photo_of(shop, mug, 3)), verdict="SURE")
    expect(page.locator("#answer .card")).to_have_count(1)
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#answer .card")).to_have_count(0)
    expect(page.get_by_label("Sort")).to_be_hidden()
    assert Job.objects.count() == 2


def test_a_found_product_leads_to_the_shop(page, shop, size):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    facts = {"url": "https://shop.example/mug"}
    mug, lamp = shop.product("MUG-1", title="Sea green mug", attributes=facts), shop.product("LAMP-1", title="Lamp")
    page.goto("/")
    page.set_input_files("#photo", PHOTO)
    answer(the_job(), candidate(mug, photo_of(shop, mug, 2)), candidate(lamp, photo_of(shop, lamp, 3)), verdict="SURE")
    link = page.locator("#answer").get_by_role("link")
    expect(link).to_have_count(1)
    expect(link).to_have_accessible_name("View in shop Sea green mug")
    page.expected += ["503 (Service", "422 (Unprocessable"]  # nobody is there to explain
    window, cards = page.get_by_role("dialog"), page.locator("#answer .card")
    cards.nth(0).locator(".why").click()
    shown = window.get_by_role("link", name="View in shop")
    assert [shown.get_attribute(name) for name in ("href", "target", "rel")] == [facts["url"], "_blank", "noopener"]
    page.keyboard.press("Escape")
    cards.nth(1).locator(".why").click()
    expect(window.get_by_role("heading", name="Lamp")).to_be_visible()
    expect(window.get_by_role("link")).to_have_count(0)
    assert overflow(page) == 0


def test_file_that_is_no_photo_is_told_in_a_sentence(page, shop):
    page.expected = ["422 (Unprocessable"]
    page.goto("/")
    page.set_input_files("#photo", {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"just words"})
    trouble = page.get_by_role("alert")
    expect(trouble).to_contain_text("This file is not a photo.")
    expect(trouble).to_contain_text("photo_not_an_image")
    assert not Job.objects.exists()


def test_absent_workers_are_told_while_waiting(page, shop, redis_server):
    page.goto("/")
    page.set_input_files("#photo", PHOTO)
    expect(page.get_by_text("The search workers are not running.").first).to_be_visible()
    answer(the_job())
    expect(page.locator("#answer").get_by_text("Nothing found.")).to_be_visible()


def test_site_that_is_gone_is_told(page, shop, context):
    page.expected = ["ERR_INTERNET_DISCONNECTED"]
    page.goto("/")
    context.set_offline(True)
    page.get_by_label("Words that describe it").fill("mug")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("alert")).to_contain_text("The site cannot be reached.")


def test_a_reload_and_back_and_forward_find_the_search_again(page, shop, mug):
    lamp = shop.product("LAMP-1", title="Lamp", brand="Zen", price="20.00", currency="EUR")
    found = [candidate(mug, photo_of(shop, mug, 2)), candidate(lamp, photo_of(shop, lamp, 3))]
    cards = page.locator("#answer .card")
    words, brand = page.get_by_label("Words that describe it"), page.get_by_label("Hearth")
    price, weight = page.get_by_label("Lowest price"), page.get_by_label("How much the photo counts beside the words")
    page.goto("/")
    first = taken(page, lambda: page.set_input_files("#photo", PHOTO))
    answer(first, *found, verdict="SURE")
    expect(cards).to_have_count(2)

    words.fill("green mug")
    price.fill("9.50")
    answer(taken(page, lambda: price.press("Enter")), *found, verdict="SURE")
    settled(page)
    answer(taken(page, lambda: weight.fill("0.8")), *found, verdict="SURE")
    settled(page)
    answer(taken(page, brand.check), found[0], verdict="SURE")
    expect(cards).to_have_count(1)
    address = page.url

    for leave in (page.reload, lambda: (page.goto("about:blank"), page.go_back())):
        leave()
        expect(cards).to_have_count(1)
        assert page.url == address
        assert (words.input_value(), price.input_value(), weight.input_value()) == ("green mug", "9.5", "0.8")
        expect(brand).to_be_checked()
        expect(page.get_by_alt_text("Your photo: mine.jpg")).to_be_visible()
    assert Job.objects.count() == 4  # nothing was asked again

    job = taken(page, brand.uncheck)
    filters = job.request["filters"]
    assert (job.request["words"], filters["price_min"], filters["brands"]) == ("green mug", 9.5, [])
    assert (job.key, job.request["photo_weight"]) == (first.key, 0.2)
    answer(job, *found)
    expect(cards).to_have_count(2)

    page.go_back()
    expect(cards).to_have_count(1)
    expect(brand).to_be_checked()
    page.go_forward()
    expect(cards).to_have_count(2)
    expect(brand).not_to_be_checked()


def settled(page):
    expect(page.locator("main")).to_have_attribute("data-phase", "answered")


def test_an_emptied_page_is_empty_after_a_reload_and_back_brings_the_search(page, shop, mug):
    found, cards = candidate(mug, photo_of(shop, mug, 2)), page.locator("#answer .card")
    page.goto("/?merchant=harbour")
    answer(taken(page, lambda: page.set_input_files("#photo", PHOTO)), found, verdict="SURE")
    expect(cards).to_have_count(1)
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("main")).to_have_attribute("data-phase", "idle")
    page.reload()
    expect(page.locator("main")).to_have_attribute("data-phase", "idle")
    assert page.url.endswith("/?merchant=harbour")
    page.go_back()
    expect(cards).to_have_count(1)
    expect(page.get_by_alt_text("Your photo: mine.jpg")).to_be_visible()


def test_a_search_that_runs_is_waited_for_after_a_reload(page, shop, mug):
    found, words = candidate(mug, photo_of(shop, mug, 2)), page.get_by_label("Words that describe it")
    page.goto("/")
    words.fill("mug")
    job = taken(page, lambda: words.press("Enter"))
    page.wait_for_url("**/?search=*")
    page.reload()
    expect(page.locator("[data-part=progress]")).to_be_visible()
    expect(words).to_have_value("mug")
    answer(job, found)
    expect(page.locator("#answer .card")).to_have_count(1)
    page.get_by_role("button", name="简体中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-hans")
    expect(page.locator("#answer .card")).to_have_count(1)


def test_another_browser_is_shown_nothing_of_a_search(page, browser, live_server, shop, mug):
    found = candidate(mug, photo_of(shop, mug, 2))
    page.goto("/")
    answer(taken(page, lambda: page.set_input_files("#photo", PHOTO)), found, verdict="SURE")
    expect(page.locator("#answer .card")).to_have_count(1)
    elsewhere = browser.new_context(base_url=live_server.url)
    with watched(elsewhere.new_page()) as stranger:
        stranger.goto(page.url)
        expect(stranger.get_by_role("alert")).to_contain_text("This search is gone.")
        expect(stranger.locator("#answer .card")).to_have_count(0)
        expect(stranger.locator("[data-part=stage]")).to_be_hidden()
    elsewhere.close()


def test_another_shop_is_chosen(page, shop, mug):
    other = Shop("tiller")
    Merchant.objects.filter(pk=other.merchant.pk).update(public_search=True)
    page.goto("/")
    with page.expect_navigation():
        page.get_by_label("Shop").select_option("Tiller")
    expect(page.locator(".opening strong")).to_have_text("Tiller")
    page.get_by_label("Words that describe it").fill("mug")
    page.get_by_role("button", name="Search").click()
    assert the_job().merchant == other.merchant


def test_everything_is_named_for_those_who_listen(page, shop, mug):
    """No field or button without a name, and one main, one h1."""
    page.goto("/")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("input:not([type=hidden]), select, button, a, summary")]
          .filter((each) => !each.hidden && !each.closest("[hidden]"))
          .filter((each) => !each.getAttribute("aria-label"))
          .filter((each) => !(each.labels?.[0] ?? each).textContent.trim())
          .map((each) => each.outerHTML)"""
    )
    assert unnamed == []
    assert page.locator("main").count() == page.locator("h1").count() == 1
