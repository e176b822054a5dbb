"""The desk by keyboard alone over the real line: what is pressed is what lies in SQL and in the index afterwards."""

import time

import httpx
import pytest
from playwright.sync_api import expect

from tests.desk_line import (
    customer_photos,
    desk_line,
    open_desk,
    people,
    product_of,
    recognise,
    sample_rows,
    settled,
    shown,
    stock,
)

pytestmark = pytest.mark.slow
SKUS = [row["sku"] for row in sample_rows()]
NEW = SKUS[5]  # the catalogue does not have it
CLAIM_SECONDS = 4.0


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    with desk_line(folder, VITRINE_REVIEW_CLAIM_SECONDS=str(CLAIM_SECONDS)) as line:
        stock(line, "solo", without=[NEW])
        recognise(line, "solo", customer_photos([NEW], (1, 2)) | customer_photos(SKUS[:5] + SKUS[6:25], (1, 2)))
        people(line, "solo", "ana")
        stock(line, "pair")
        recognise(line, "pair", customer_photos(SKUS[:50], (1, 2)))
        people(line, "pair", "ben", "eve")
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
    assert complaints == []


def next_shown(page, before):
    """Wait for another item than this one (or for the end of the queue)."""
    page.wait_for_function("id => document.querySelector('article.item')?.dataset.item !== id", arg=before["id"])
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
    expected, used = {}, set()
    item = shown(page)
    for number in range(50):
        wanted = item["name"].rpartition("-")[0]
        if number == 7:  # a slip, taken back at once
            page.keyboard.press("r")
            assert next_shown(page, item)["id"] != item["id"]
            page.keyboard.press("z")
            page.wait_for_function("id => document.querySelector('article.item').dataset.item === id", arg=item["id"])
        if number == 20:
            page.keyboard.press("r")
            expected[item["id"]] = ("rejected", None)
        else:
            expected[item["id"]] = press(page, item, wanted)
        used.add(expected[item["id"]][0])
        item = next_shown(page, item)
    page.keyboard.press("z")  # the very last one, and then for good
    page.wait_for_function("before => document.querySelector('article.item')", arg="")
    last = shown(page)["id"]
    page.keyboard.press("u")
    expected[last] = ("unknown", None)
    saved(page)
    assert len(expected) == 50
    assert used == {"accepted", "corrected", "unknown", "rejected"}
    assert {each: product_of(line, each) for each in expected} == expected
    counted = dict(line.rows("SELECT action, count(*) FROM catalog_decision GROUP BY action"))
    assert (counted["undo"], counted["new_product"], sum(counted.values())) == (2, 1, 54)
    line.wait_for(lambda: settled(line), "the index holds what was decided")
    in_the_index_as_decided(line, expected)


def in_the_index_as_decided(line, expected):
    """Every photo that was given to a product finds itself there, and no other photo of the desk is a reference."""
    references = line.rows(
        "SELECT f.name, p.sku FROM catalog_photo f JOIN catalog_product p ON p.id = f.product_id "
        "JOIN catalog_merchant m ON m.id = f.merchant_id WHERE f.origin = 'review' AND m.slug = 'solo'"
    )
    names = dict(line.rows("SELECT i.id, f.name FROM catalog_item i JOIN catalog_photo f ON f.id = i.photo_id"))
    given = {names[each.replace("-", "")]: sku for each, (_, sku) in expected.items() if sku}
    assert dict(references) == given
    token = line.manage("apikey", "--merchant", "solo").stdout.strip()
    taken_back = {
        names[each.replace("-", "")] for each, (state, _) in expected.items() if state in ("unknown", "rejected")
    }
    asked = [*list(given)[:4], *[name for name, sku in given.items() if sku == "NEW-VASE"], *sorted(taken_back)[:3]]
    with httpx.Client(base_url=line.url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        for name in asked:
            photo = (name, customer_photos([name.rpartition("-")[0]], [int(name[-5])])[name], "image/jpeg")
            made = client.post("/api/v1/search-jobs", files={"photo": photo}, headers={"Prefer": "wait=20"})
            job = client.get(made.headers["Location"], headers={"Prefer": "wait=20"}).json()
            hit = job["hits"][0]
            is_itself = hit["scores"]["image"] > 0.995
            assert is_itself is (name in given), (name, hit["scores"])
            assert not is_itself or hit["product"]["sku"] == given[name]


def test_two_reviewers_never_meet_and_nothing_is_lost(line, desks):
    """One of them leaves in the middle without a word: what she had comes to the other when her claims lapse."""
    one, other = desks(line, "ben"), desks(line, "eve")
    seen = {page: set() for page in (one, other)}
    for number in range(60):
        page = one if number % 2 else other
        item = shown(page)
        seen[page].add(item["id"])
        page.keyboard.press("Space" if item["skus"] else "u")
    for page in (one, other):
        saved(page)
    assert not seen[one] & seen[other]
    held = {
        row[0] for row in line.rows("SELECT id FROM catalog_item WHERE claim IS NOT NULL AND state IN ('open', 'auto')")
    }
    other.context.set_offline(True)  # a machine that is switched off says no goodbye
    other.context.close()
    assert held
    until = time.monotonic() + 60
    while waiting(line) and time.monotonic() < until:
        item = shown(one)
        if item["id"]:
            one.keyboard.press("Space" if item["skus"] else "u")
            seen[one].add(item["id"])
        elif one.get_by_role("button", name="Look again").is_visible():
            one.get_by_role("button", name="Look again").click()
        one.wait_for_timeout(15)
    saved(one)
    assert waiting(line) == 0
    decided = line.rows(
        "SELECT d.item_id, count(*) FROM catalog_decision d JOIN catalog_item i ON i.id = d.item_id "
        "JOIN catalog_merchant m ON m.id = i.merchant_id WHERE m.slug = 'pair' GROUP BY d.item_id"
    )
    assert (len(decided), {count for _, count in decided}) == (100, {1})
    assert len(seen[one] | seen[other]) == 100


def waiting(line):
    ((number,),) = line.rows(
        "SELECT count(*) FROM catalog_item i JOIN catalog_merchant m ON m.id = i.merchant_id "
        "WHERE m.slug = 'pair' AND i.state IN ('open', 'auto')"
    )
    return number
