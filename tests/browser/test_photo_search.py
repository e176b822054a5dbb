"""The search page against a real worker, as a shopper uses it: photo, frame, filters, why, examples, two languages."""

import re
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from tests.browser.axe import barriers
from tests.browser.conftest import PATIENCE_MS, WIDTHS, overflow, watched

pytestmark = pytest.mark.slow

SHIFTS = """() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const shift of list.getEntries()) if (!shift.hadRecentInput) sum += shift.value;
  }).observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => setTimeout(() => done(sum), 50));
})"""


@pytest.fixture
def visit(browser, shop_site):
    """Open the page: ``with visit("phone", color_scheme="dark", locale="zh-CN") as page``."""

    @contextmanager
    def opened(size="desk", **options):
        width, height = WIDTHS[size] if isinstance(size, str) else size
        context = browser.new_context(
            base_url=shop_site.url, viewport={"width": width, "height": height}, has_touch=width < 500, **options
        )
        context.set_default_timeout(PATIENCE_MS)
        with watched(context.new_page()) as page:
            page.goto("/")
            yield page
        context.close()

    return opened


def search_by_photo(page, shop_site, sku="TEA-111"):
    page.set_input_files("#photo", shop_site.customers_photo(sku))
    expect(cards(page).first).to_be_visible()


def ask_for(page, words):
    page.locator("#words").fill(words)
    page.locator("#words").press("Enter")
    expect(cards(page).first).to_be_visible()
    settled(page)


def cards(page):
    return page.locator("#answer .card:not(.skeleton)")


def skus(page):
    return [card.get_attribute("data-sku") for card in cards(page).all()]


def settled(page):
    """Wait until the answer to what was asked last is there."""
    expect(page.locator("main")).to_have_attribute("data-phase", "answered")


def sent(page, region=None):
    """The next search that the page sends; with this region, for it sends others where a hand stops on the way."""
    named = f'name="region"\r\n\r\n{region}\r\n' if region else ""
    return page.expect_request(
        lambda asked: asked.method == "POST" and asked.url.endswith("/search") and named in (asked.post_data or "")
    )


def open_filters(page):
    if page.locator("[data-part=open-filters]").is_visible():
        page.locator("[data-part=open-filters]").click()


@pytest.mark.parametrize("size", WIDTHS)
def test_photo_frame_price_and_why(visit, shop_site, size):
    with visit(size) as page:
        search_by_photo(page, shop_site)
        settled(page)
        assert skus(page)[0] == "TEA-111"
        assert page.evaluate(SHIFTS) < 0.1

        corner = page.locator(".crop-corner[data-corner=se]")
        box = corner.bounding_box()
        photo = page.locator(".crop").bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2 - 8, box["y"] + box["height"] / 2 - 8)
        page.mouse.down()
        page.mouse.move(photo["x"] + photo["width"] * 0.95 - 8, photo["y"] + photo["height"] * 0.8 - 8, steps=4)
        with sent(page) as request:
            page.mouse.up()
        region = re.search(r'name="region"\r\n\r\n([\d.,]+)', request.value.post_data)[1].split(",")
        assert [float(at) for at in region] == pytest.approx([0, 0, 0.95, 0.8], abs=0.03)
        assert 'name="again"' in request.value.post_data  # the photo does not travel twice
        settled(page)
        assert skus(page)[0] == "TEA-111"
        expect(page.get_by_role("button", name="Whole photo")).to_be_visible()

        open_filters(page)
        page.get_by_label("Highest price").fill("30")
        with sent(page):
            page.get_by_label("Highest price").press("Enter")
        settled(page)
        expect(page.locator("#answer")).not_to_contain_text("€42.00")
        prices = [float(text.strip("€")) for text in page.locator("#answer .price").all_inner_texts()]
        assert prices and max(prices) <= 30

        cards(page).first.get_by_role("button", name=re.compile("^Why")).click()
        window = page.get_by_role("dialog")
        expect(window.get_by_text("Of the similarity of")).to_be_visible()
        expect(window.get_by_alt_text("Where the network looked in it")).to_have_count(2)
        for image in window.locator(".pair img").all():
            assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        expect(window.locator("[data-part=similar-list] .open").first).to_be_visible()
        page.keyboard.press("Escape")
        expect(window).to_be_hidden()
        expect(cards(page).first.get_by_role("button", name=re.compile("^Why"))).to_be_focused()
        assert overflow(page) == 0


def test_frame_is_moved_by_keyboard_and_by_its_edges(visit, shop_site):
    with visit() as page:
        search_by_photo(page, shop_site)
        settled(page)
        edge = page.get_by_role("slider", name="Left edge")
        edge.focus()
        with sent(page, "0.1000,0.0000,1.0000,1.0000"):
            for _ in range(10):
                page.keyboard.press("ArrowRight")
        expect(edge).to_have_attribute("aria-valuetext", "10 %")
        page.get_by_role("button", name=re.compile("The part of the photo")).focus()
        with sent(page, "0.0800,0.0000,0.9600,1.0000"):
            page.keyboard.press("Shift+ArrowLeft")
            page.keyboard.press("ArrowLeft")
        settled(page)
        with sent(page, "0.0000,0.0000,1.0000,1.0000"):
            page.get_by_role("button", name="Whole photo").click()
        settled(page)


def test_more_like_this_and_not_like_that(visit, shop_site):
    with visit() as page:
        search_by_photo(page, shop_site)
        settled(page)
        page.get_by_role("button", name=re.compile("^More like")).nth(1).click()
        expect(page.get_by_role("heading", name="Like your examples.")).to_be_visible()
        liked = page.locator(".example[data-kind=like]")
        expect(liked).to_have_count(1)
        page.get_by_role("button", name=re.compile("^Not like")).nth(2).click()
        expect(page.locator(".example[data-kind=unlike]")).to_have_count(1)
        settled(page)
        for example in page.locator(".example").all():
            name = example.locator("button").get_attribute("aria-label").removeprefix("Without ")
            expect(cards(page).filter(has_text=name)).to_have_count(0)  # examples are no hits themselves
        liked.get_by_role("button").click()
        page.locator(".example").get_by_role("button").click()
        expect(page.locator(".example")).to_have_count(0)
        settled(page)
        assert skus(page)[0] == "TEA-111"


def test_filters_count_and_keep_what_one_could_still_choose(visit, shop_site):
    with visit() as page:
        page.get_by_label("Words that describe it").fill("teapot")
        page.keyboard.press("Enter")
        expect(cards(page).first).to_be_visible()
        settled(page)
        brands = page.locator("[data-facet=brands] .check")
        before = brands.count()
        assert before > 1
        first = brands.first.locator("input")
        brand = first.get_attribute("value")
        with sent(page):
            first.check()
        settled(page)
        assert set(page.locator("#answer .brand").all_inner_texts()) == {brand}
        expect(brands).to_have_count(before)
        assert brands.first.locator(".count").inner_text() == str(cards(page).count())


@pytest.mark.parametrize("size", WIDTHS)
def test_attributes_narrow_by_values_and_by_numbers(visit, shop_site, size):
    with visit(size) as page:
        ask_for(page, "mug teapot kettle")
        open_filters(page)
        colours = page.get_by_role("group", name="Colour")
        volume = page.get_by_role("group", name="Volume ml")
        expect(volume.locator("[data-part=hint]")).to_have_text("330 to 1800 in these results")
        expect(colours.locator(".check").filter(has_text="white").locator(".count")).to_have_text("3")
        with sent(page):
            colours.get_by_label("white").check()
        settled(page)
        assert sorted(skus(page)) == ["MUG-103", "MUG-104", "TEA-114"]
        expect(volume.locator("[data-part=hint]")).to_have_text("420 to 800 in these results")
        expect(colours.get_by_label("yellow")).to_be_visible()  # another one can still be chosen
        page.get_by_label("Highest Volume ml").fill("450")
        with sent(page):
            page.get_by_label("Highest Volume ml").press("Enter")
        settled(page)
        assert sorted(skus(page)) == ["MUG-103", "MUG-104"]
        assert page.locator("[data-part=filters-label]").text_content() == "Filters, 2 set"
        page.get_by_label("Highest Volume ml").evaluate("field => { field.value = 'much' }")
        page.expected += ["422 (Unprocessable"]
        page.locator("[data-part=submit]").evaluate("button => button.click()")
        expect(page.get_by_role("alert")).to_contain_text("Write plain numbers, for example 350.")
        assert overflow(page) == 0


@pytest.mark.parametrize("size", WIDTHS)
def test_variants_are_one_card_or_a_card_each(visit, shop_site, size):
    with visit(size) as page:
        ask_for(page, "kettle")
        (kettle,) = [card for card in cards(page).all() if card.get_attribute("data-sku") in ("TEA-112", "TEA-113")]
        expect(kettle).to_contain_text("· 2 variants")
        kettle.locator(".open").press("Enter")
        window = page.get_by_role("dialog")
        variants = window.locator(".variant")
        expect(variants).to_have_count(2)
        assert barriers(page) == []
        hit, other = variants.all()
        assert (hit.get_attribute("aria-pressed"), other.get_attribute("aria-pressed")) == ("true", "false")
        expect(window.locator("[data-part=product-score]")).to_be_visible()
        other.press("Enter")
        expect(other).to_have_attribute("aria-pressed", "true")
        expect(window.locator("h2")).to_have_text(other.get_attribute("data-title"))
        for fact in ("brand", "price", "sku"):
            expect(window.locator(f"[data-part=product-{fact}]")).to_have_text(other.get_attribute(f"data-{fact}"))
        expect(window.locator("[data-part=product-score]")).to_be_hidden()  # it is the other one's
        hit.press("Enter")
        expect(window.locator("[data-part=product-score]")).to_be_visible()
        assert overflow(page) == 0
        page.keyboard.press("Escape")
        open_filters(page)
        with sent(page):
            page.get_by_role("switch", name="Show every variant").check()
        settled(page)
        assert {"TEA-112", "TEA-113"} <= set(skus(page))
        expect(page.locator("#answer .variants-told")).to_have_count(0)


def test_page_speaks_chinese(visit, shop_site):
    with visit(locale="zh-CN") as page:
        expect(page.locator("html")).to_have_attribute("lang", "zh-hans")
        expect(page.get_by_role("heading", level=1)).to_have_text("看见了，就能找到。")
        search_by_photo(page, shop_site)
        expect(page.get_by_text("匹配概率").first).to_be_visible()
        page.get_by_role("button", name="English").click()
        expect(page.get_by_text("match probability").first).to_be_visible()  # the same answer, asked for once
        page.get_by_role("button", name="简体中文").click()
        expect(page.get_by_text("匹配概率").first).to_be_visible()
        expect(page.locator("html")).to_have_attribute("lang", "zh-hans")


@pytest.mark.parametrize("locale", ["en", "zh-CN"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_people_out(visit, shop_site, scheme, locale):
    size = "desk" if scheme == "light" else "phone"
    with visit(size, color_scheme=scheme, locale=locale) as page:
        assert barriers(page) == []
        search_by_photo(page, shop_site)
        settled(page)
        assert barriers(page) == []
        page.locator("#answer .why").first.click()
        expect(page.locator(".pair img").first).to_be_visible()
        assert barriers(page) == []
        page.keyboard.press("Escape")
        if size == "phone":
            open_filters(page)
            assert barriers(page) == []


def test_smallest_telephone_scrolls_down_only(visit, shop_site):
    with visit((320, 640)) as page:
        assert overflow(page) == 0
        search_by_photo(page, shop_site)
        settled(page)
        assert overflow(page) == 0
        open_filters(page)
        assert overflow(page) == 0
