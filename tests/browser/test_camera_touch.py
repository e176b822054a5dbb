"""The search page by camera and by finger: the page's own shutter, a telephone's camera app, the frame dragged."""

import io

import pytest
from PIL import Image
from playwright.sync_api import expect

from catalog.models import Job
from tests.browser.conftest import PATIENCE_MS, WIDTHS, overflow, until_true, watched
from tests.browser.test_search_page import PHOTO, mug, shop, the_job  # noqa: F401 - fixtures
from workers import client


@pytest.fixture
def phone(browser, live_server):
    """A page on a telephone: a finger, no mouse."""
    width, height = WIDTHS["phone"]
    context = browser.new_context(
        base_url=live_server.url, viewport={"width": width, "height": height}, has_touch=True, is_mobile=True
    )
    context.set_default_timeout(PATIENCE_MS)
    with watched(context.new_page()) as page:
        yield page
    context.close()


def drag(page, start, end, steps=5):
    """One finger, as the touch screen reports it."""
    screen = page.context.new_cdp_session(page)
    places = [[a + (b - a) * step / steps for a, b in zip(start, end, strict=True)] for step in range(steps + 1)]
    for number, (x, y) in enumerate(places):
        kind = "touchMove" if number else "touchStart"
        screen.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    screen.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    screen.detach()


def test_the_shutter_takes_what_the_camera_sees(page, shop, mug):  # noqa: F811
    page.goto("/")
    page.get_by_role("button", name="Take a photo").click()
    window = page.get_by_role("dialog", name="Camera")
    shutter = window.get_by_role("button", name="Take the photo")
    expect(shutter).to_be_enabled()
    expect(shutter).to_be_focused()
    width = window.locator("video").evaluate("video => video.videoWidth")
    shutter.click()
    expect(window).to_be_hidden()
    expect(page.get_by_alt_text("Your photo: camera.jpg")).to_be_visible()
    assert page.locator("dialog video").evaluate("video => video.srcObject") is None  # the camera is let go
    with Image.open(io.BytesIO(client.photo_store().read(the_job().key))) as taken:
        assert (taken.format, taken.width) == ("JPEG", min(width, 1_600))  # larger ones are made smaller in the page
        assert len(taken.getcolors(1 << 24)) > 100  # a picture, not a black frame


def test_a_camera_window_that_is_closed_takes_nothing(page, shop):  # noqa: F811
    page.goto("/")
    page.get_by_role("button", name="Take a photo").click()
    window = page.get_by_role("dialog", name="Camera")
    expect(window.get_by_role("button", name="Take the photo")).to_be_enabled()
    window.get_by_role("button", name="Close").click()
    expect(window).to_be_hidden()
    until_true(page, "document.querySelector('dialog video').srcObject === null")
    expect(page.locator("[data-part=stage]")).to_be_hidden()
    assert not Job.objects.exists()


def test_a_telephone_opens_its_own_camera(phone, shop):  # noqa: F811
    phone.goto("/")
    with phone.expect_file_chooser() as chooser:
        phone.get_by_role("button", name="Take a photo").tap()
    assert chooser.value.element.get_attribute("capture") == "environment"
    chooser.value.set_files(PHOTO)
    expect(phone.get_by_alt_text("Your photo: mine.jpg")).to_be_visible()
    assert the_job().key


def test_the_frame_follows_a_finger(phone, shop):  # noqa: F811
    phone.goto("/")
    phone.set_input_files("#photo", PHOTO)
    first = the_job()
    expect(phone.get_by_alt_text("Your photo: mine.jpg")).to_be_visible()
    photo = phone.locator(".crop").bounding_box()

    def at(across, down):
        return photo["x"] + photo["width"] * across, photo["y"] + photo["height"] * down

    drag(phone, at(0.5, 0.5), at(0.5, 0.6))  # a finger on the whole photo scrolls the page
    phone.evaluate("scrollTo(0, 0)")
    expect(phone.get_by_role("button", name="Whole photo")).to_be_hidden()

    x, y = at(1, 1)
    to_x, to_y = at(0.6, 0.5)
    drag(phone, (x - 8, y - 8), (to_x - 8, to_y - 8))
    framed = the_job(after=1)
    assert framed.request["region"] == pytest.approx([0, 0, 0.6, 0.5], abs=0.03)
    assert (framed.key, first.request["region"]) == (first.key, None)

    drag(phone, at(0.3, 0.25), at(0.5, 0.55))
    moved = the_job(after=2)
    assert moved.request["region"] == pytest.approx([0.2, 0.3, 0.8, 0.8], abs=0.03)
    expect(phone.get_by_role("button", name="Whole photo")).to_be_visible()
    assert phone.evaluate("scrollY") == 0  # it moved the frame, not the page
    assert overflow(phone) == 0
    assert Job.objects.count() == 3
