"""The desk by keyboard alone over the real line: what is pressed is what lies in SQL and in the index afterwards."""

import time
from contextlib import suppress
from uuid import UUID

import httpx
import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from playwright.sync_api import expect

from tests.browser.conftest import until_true
from tests.desk_line import (
    customer_photos,
    desk_line,
    items_in_sql,
    open_desk,
    people,
    sample_rows,
    settled,
    shown,
    stock,
    upload,
)

pytestmark = pytest.mark.slow
SKUS = [row["sku"] for row in sample_rows()]
NEW = SKUS[5]  # the catalogue does not have it
KNOWN = SKUS[:5] + SKUS[6:25]
CLAIM_SECONDS = 10.0  # a machine that stalls that long looks like one that is switched off
CUT_OFF = "net::ERR_INTERNET_DISCONNECTED"  # what a console says of requests while there is no network


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """Shop "solo" with 50 photos that wait, two of them of a product that is new; "pair" with 100; "away" with 4."""
    with desk_line(tmp_path_factory.mktemp("desk"), VITRINE_REVIEW_CLAIM_SECONDS=str(CLAIM_SECONDS)) as (line, do):
        line.token = stock(line, do, "solo", KNOWN)
        upload(line, do, "solo", customer_photos([NEW, *KNOWN], (1, 2)))
        people(do, "solo", "ana")
        stock(line, do, "pair", SKUS[:4])
        upload(line, do, "pair", customer_photos(SKUS[:50], (1, 2)))
        people(do, "pair", "ben", "eve")
        stock(line, do, "away", SKUS[:2])
        upload(line, do, "away", customer_photos(SKUS[:2], (1, 2)))
        people(do, "away", "dan")
        yield line


@pytest.fixture
def desks(browser):
    """Pages of the desk whose consoles stay silent; closed at the end."""
    pages, complaints = [], []

    def open_one(*arguments):
        page = open_desk(browser, *arguments)
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        pages.append(page)
        return page

    yield open_one
    for page in pages:
        page.context.close()
    assert [each for each in complaints if CUT_OFF not in each] == []


def next_shown(page, before):
    """Wait for another item than this one; the site may be slower than these fingers."""
    until_true(
        page,
        "id => (document.querySelector('article.item') ?? { dataset: { item: id } }).dataset.item !== id",
        before["id"],
    )
    return shown(page)


def saved(page):
    expect(page.locator("[data-part=saved]")).to_have_text("Saved", timeout=30_000)


def press(page, item, wanted):
    """Decide on the item that is shown as a reviewer would who knows the right sku; returns (state, sku)."""
    if wanted == NEW:
        if page.new_product_made:
            page.keyboard.press("/")
            page.keyboard.type("NEW-VASE", delay=5)
            page.locator("#found li").first.wait_for()
            page.keyboard.press("Enter")
            return "corrected", "NEW-VASE"
        page.keyboard.press("n")
        page.keyboard.type("A new vase")
        page.keyboard.press("Tab")
        page.keyboard.press("Control+A")
        page.keyboard.type("NEW-VASE")
        page.keyboard.press("Enter")
        page.new_product_made = True
        saved(page)  # the next photo of it is searched for by its sku
        return "corrected", "NEW-VASE"
    place = item["skus"].index(wanted) + 1 if wanted in item["skus"] else 0
    if place == 1:
        page.keyboard.press("Space")
        return "accepted", wanted
    if place:
        page.keyboard.press(str(place))
        return "corrected", wanted
    page.keyboard.press("u")
    return "unknown", None


def test_fifty_items_by_keyboard_alone(line, desks):
    page = desks(line, "ana")
    page.new_product_made = False
    expected, item = {}, shown(page)
    for number in range(50):
        wanted = item["name"].rpartition("-")[0]
        if number == 7:  # a slip, taken back at once
            page.keyboard.press("r")
            assert next_shown(page, item)["id"] != item["id"]
            page.keyboard.press("z")
            until_true(page, "id => document.querySelector('article.item').dataset.item === id", item["id"])
        if number == 20:
            page.keyboard.press("r")
            expected[item["id"]] = ("rejected", None)
        else:
            expected[item["id"]] = press(page, item, wanted)
        item = next_shown(page, item) if number < 49 else item
    expect(page.get_by_text("Nothing is waiting")).to_be_visible(timeout=30_000)
    saved(page)
    line.wait_for(lambda: settled(line), "the index holds the very last one, too")
    with asking(line) as client:
        assert finds_itself(client, item["name"]) == expected[item["id"]][1] is not None
    page.keyboard.press("z")  # the very last one comes back
    expect(page.locator("article.item")).to_have_attribute("data-item", item["id"])
    page.keyboard.press("u")
    expected[item["id"]] = ("unknown", None)
    saved(page)
    assert {state for state, _ in expected.values()} == {"accepted", "corrected", "unknown", "rejected"}
    found = items_in_sql(line, "solo")
    assert {ident: (state, sku) for ident, (state, sku, _) in found.items()} == expected
    counted = dict(
        line.rows(
            "SELECT d.action, count(*) FROM catalog_decision d JOIN catalog_item i ON i.id = d.item_id "
            "JOIN catalog_merchant m ON m.id = i.merchant_id WHERE m.slug = 'solo' GROUP BY d.action"
        )
    )
    assert (counted["undo"], counted["new_product"], sum(counted.values())) == (2, 1, 54)
    marked = line.rows("SELECT count(*) FROM catalog_item WHERE length(fingerprint) = 128 AND length(sketch) = 64")
    assert marked == [(154,)]
    line.wait_for(lambda: settled(line), "the index holds what was decided")
    given = {name: sku for _, sku, name in found.values() if sku}
    in_the_index_as_decided(line, given, {name for _, sku, name in found.values() if not sku})
    with asking(line) as client:
        assert finds_itself(client, item["name"]) is None  # what was undone is no reference any more


def in_the_index_as_decided(line, given, others):
    """What was given to a product is a reference of it and finds itself; what was not, and was undone, is none."""
    references = line.rows(
        "SELECT f.name, p.sku FROM catalog_photo f JOIN catalog_product p ON p.id = f.product_id "
        "JOIN catalog_merchant m ON m.id = f.merchant_id WHERE f.origin = 'review' AND m.slug = 'solo'"
    )
    assert dict(references) == given
    asked = sorted(given, key=lambda name: given[name] != "NEW-VASE")[:6]
    with asking(line) as client:
        for name in [*asked, *sorted(others)[:4]]:
            assert finds_itself(client, name) == given.get(name), name


def asking(line):
    """The shop "solo", searching."""
    return httpx.Client(base_url=line.url, headers={"Authorization": f"Bearer {line.token}"}, timeout=60)


def finds_itself(client, name):
    """The sku of which this very photo is a reference in the index; None where it is none."""
    photo = customer_photos([name.rpartition("-")[0]], [int(name[-5])])[name]
    made = client.post("/api/v1/search-jobs", files={"photo": (name, photo, "image/jpeg")})
    for _ in range(4):  # until its deadline has passed for sure
        told = client.get(made.headers["Location"], headers={"Prefer": "wait=20"}).json()
        if told["state"] not in ("pending", "dispatched"):
            break
    hit = told["hits"][0]
    return hit["product"]["sku"] if hit["scores"]["image"] > 0.995 else None


def test_what_is_decided_without_a_network_is_kept_and_sent_once_in_order(line, desks):
    page = desks(line, "dan")
    until_true(page, "document.querySelector('[data-part=waiting]').textContent === '4'")
    page.context.set_offline(True)
    made, item = [], shown(page)
    for key, state in (("u", "unknown"), ("r", "rejected"), ("u", "unknown")):
        page.keyboard.press(key)
        made.append((item["id"], state))
        item = next_shown(page, item)
    expect(page.locator("[data-part=saved]")).to_have_text("Offline, 3 wait")
    assert decisions(line, "away") == []
    page.context.set_offline(False)
    saved(page)
    assert decisions(line, "away") == made
    assert {ident: state for ident, (state, _, _) in items_in_sql(line, "away").items() if ident != item["id"]} == dict(
        made
    )


def decisions(line, shop):
    """Item and state after each decision on a shop's items, in the order in which they were stored."""
    rows = line.rows(
        "SELECT i.id, json_extract(d.after, '$.state') FROM catalog_decision d JOIN catalog_item i ON i.id = d.item_id "
        "JOIN catalog_merchant m ON m.id = i.merchant_id WHERE m.slug = ? ORDER BY d.created_at",
        shop,
    )
    return [(str(UUID(ident)), state) for ident, state in rows]


def test_two_reviewers_never_meet_and_nothing_is_lost(line, desks):
    """One of them leaves in the middle without a word: what she had comes to the other when her claims lapse."""
    one, other = desks(line, "ben"), desks(line, "eve")
    seen = {one: set(), other: set()}
    for number in range(60):
        decide(one if number % 2 else other, seen)
    for page in (one, other):
        saved(page)
    assert not seen[one] & seen[other]
    lost = next_shown(other, {"id": ""})["id"]
    assert items_in_sql(line, "pair")[lost][0] in ("open", "auto")
    other.context.set_offline(True)  # a machine that is switched off says no goodbye
    other.context.close()
    until = time.monotonic() + 240
    while waiting(line) and time.monotonic() < until:
        decide(one, seen)
    saved(one)
    assert (waiting(line), lost in seen[one]) == (0, True)
    decided = line.rows(
        "SELECT d.item_id, count(*) FROM catalog_decision d JOIN catalog_item i ON i.id = d.item_id "
        "JOIN catalog_merchant m ON m.id = i.merchant_id WHERE m.slug = 'pair' GROUP BY d.item_id"
    )
    assert (len(decided), {count for _, count in decided}) == (100, {1})
    assert (len(seen[one] | seen[other]), seen[one] & seen[other]) == (100, set())


def decide(page, seen):
    """One decision of a reviewer in a hurry; where nothing is shown now, look again."""
    item = shown(page)
    if item["id"]:
        page.keyboard.press("Space" if item["skus"] else "u")
        seen[page].add(item["id"])
    elif page.get_by_role("button", name="Look again").is_visible():
        with suppress(PlaywrightTimeout):  # it goes by itself when there is something to show
            page.get_by_role("button", name="Look again").click(timeout=500)
    page.wait_for_timeout(20)


def waiting(line):
    return sum(state in ("open", "auto") for state, _, _ in items_in_sql(line, "pair").values())
