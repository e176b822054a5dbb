"""The widget on a shop's page of another origin: the example page as it stands, against a real Vitrine."""

import json
import re
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import expect

from tests.browser.axe import barriers
from tests.browser.conftest import PATIENCE_MS, WIDTHS, overflow, until_true, watched
from tests.line import ROOT

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "clients" / "widget" / "example.html"
CSP = (
    "default-src 'none'; script-src 'unsafe-inline' {site}; connect-src {site}; img-src {site} blob:; "
    "style-src 'unsafe-inline'"  # the example's own, as its script is; the widget needs neither
)


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder under the policy that docs/widget.md asks for, and logs nothing."""

    policy = ""

    def end_headers(self):
        self.send_header("Content-Security-Policy", self.policy)
        super().end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def corner_shop(shop_site, tmp_path):
    """The address of the shop's page; call it with attributes to add to the tag."""
    handler = type("Handler", (Quiet,), {"policy": CSP.format(site=shop_site.url)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=tmp_path))
    Thread(target=server.serve_forever, daemon=True).start()

    def page(attributes="", key=shop_site.key):
        html = EXAMPLE.read_text().replace("http://127.0.0.1:8000", shop_site.url).replace("vit_pk_YOUR_KEY", key)
        (tmp_path / "index.html").write_text(html.replace(" async>", f" {attributes} async>"))
        (tmp_path / "favicon.ico").touch()
        return f"http://127.0.0.1:{server.server_port}/"

    yield page
    server.shutdown()
    server.server_close()


@pytest.fixture
def visit(browser):
    @contextmanager
    def opened(address, size="desk", **options):
        width, height = WIDTHS[size] if isinstance(size, str) else size
        context = browser.new_context(viewport={"width": width, "height": height}, has_touch=width < 500, **options)
        context.set_default_timeout(PATIENCE_MS)
        with watched(context.new_page()) as page:
            page.goto(address)
            yield page
        context.close()

    return opened


def search(page, shop_site):
    page.get_by_role("button", name=re.compile("Search by photo|拍照搜索")).click()
    page.set_input_files("vitrine-search input[data-part=file]", shop_site.customers_photo("BAG-281"))
    expect(cards(page).first).to_be_visible()


def cards(page):
    return page.locator("vitrine-search .card:not(.skeleton)")


def heard(page):
    """What the page's analytics heard: names with details."""
    lines = page.locator("#heard").text_content().splitlines()
    return [(name, json.loads(detail)) for name, _, detail in (line.partition(" ") for line in lines)]


@pytest.mark.parametrize("size", WIDTHS)
def test_photo_frame_result_and_what_the_page_hears(visit, corner_shop, shop_site, size):
    with visit(corner_shop(), size) as page:
        search(page, shop_site)
        first = cards(page).first
        expect(first).to_have_attribute("data-sku", "BAG-281")
        expect(first).to_contain_text("€84.00")
        first.get_by_text("Why?").click()
        expect(first.get_by_text("Photo alone")).to_be_visible()
        page.get_by_role("slider", name="Left edge").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("button", name="Whole photo")).to_be_visible()
        until_true(page, "document.getElementById('heard').textContent.split('vitrine:results').length === 3")
        assert overflow(page) == 0
        first.get_by_role("link").click()
        assert page.url.endswith("#/products/BAG-281")
        page.keyboard.press("Escape")
        expect(page.locator("vitrine-search dialog")).to_be_hidden()
        expect(page.locator("#heard")).to_contain_text("vitrine:close")
        names = [name for name, _ in heard(page)]
        results = "vitrine:results"
        assert names == [
            "vitrine:open",
            "vitrine:search",
            results,
            "vitrine:search",
            results,
            "vitrine:select",
            "vitrine:close",
        ]
        told = dict(heard(page))
        assert told["vitrine:search"]["region"] == pytest.approx([0.01, 0, 1, 1])
        assert (told["vitrine:select"]["sku"], told["vitrine:select"]["position"]) == ("BAG-281", 1)
        assert told[results]["hits"][0]["sku"] == "BAG-281"


def test_a_page_may_take_the_way_to_a_product_over(visit, corner_shop, shop_site):
    with visit(corner_shop()) as page:
        page.evaluate("document.addEventListener('vitrine:select', (event) => event.preventDefault())")
        search(page, shop_site)
        cards(page).first.get_by_role("link").click()
        assert [name for name, _ in heard(page)][-1] == "vitrine:select"
        assert "#" not in page.url


def test_the_shops_own_button_opens_it(visit, corner_shop):
    with visit(corner_shop('data-button="#find" data-language="zh"')) as page:
        expect(page.locator("vitrine-search .launch")).to_have_count(0)
        page.get_by_role("button", name="Seen something you like?").click()
        expect(page.get_by_role("dialog", name="拍照搜索")).to_be_visible()


def test_troubles_are_told_in_words(visit, corner_shop, shop_site):
    with visit(corner_shop(key="vit_pk_wrong")) as page:
        page.expected += ["401 (Unauthorized)"]
        page.get_by_role("button", name="Search by photo").click()
        page.set_input_files("vitrine-search input[data-part=file]", shop_site.customers_photo("BAG-281"))
        expect(page.get_by_text("This shop’s search is not set up rightly.")).to_be_visible()
        assert heard(page)[-1][1]["code"] == "key_invalid"
        expect(cards(page)).to_have_count(0)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_keeps_people_out(visit, corner_shop, shop_site, theme, language):
    size = "desk" if theme == "light" else (320, 640)
    with visit(corner_shop(f'data-theme="{theme}" data-language="{language}"'), size, color_scheme=theme) as page:
        assert barriers(page) == []
        search(page, shop_site)
        assert barriers(page) == []
        assert overflow(page) == 0


def test_script_is_small_and_cached(shop_site, browser):
    context = browser.new_context()
    answer = context.request.get(f"{shop_site.url}/widget/v1.js")
    assert answer.headers["cache-control"] == "public, max-age=3600, stale-while-revalidate=604800"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert len(answer.body()) < 6_000
    again = context.request.get(f"{shop_site.url}/widget/v1.js", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status == 304
    context.close()
