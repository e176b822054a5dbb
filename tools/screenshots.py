"""Takes the README's screenshots from a running demo with the Chromium that the machine has.

make demo                                     # in one terminal: prints the address and the log-in
python tools/screenshots.py URL USER PASSWORD # in another: writes docs/pictures/search-*.webp, upload.png

Desk and dashboard are not among them: a demo has few decisions, so their pictures were taken of made-up numbers.
"""

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
PHOTO = ROOT / "sample" / "customer" / "TEA-111-1.jpg"
SIZES: dict[str, ViewportSize] = {"desk": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 800}}
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def log_in(page: Page, url: str, user: str, password: str) -> None:
    """Open the admin as this person."""
    page.goto(f"{url}/admin/login/")
    page.fill("#id_username", user)
    page.fill("#id_password", password)
    page.press("#id_password", "Enter")
    page.wait_for_url(f"{url}/admin/")


def search(page: Page, url: str) -> None:
    """Search by a part of a customer's photo."""
    page.goto(url)
    page.set_input_files("#photo", PHOTO)
    page.locator(".card .why").first.wait_for()
    page.get_by_role("slider", name="Bottom edge").fill("82")
    page.get_by_role("slider", name="Left edge").fill("16")
    page.get_by_role("slider", name="Left edge").blur()
    page.wait_for_timeout(1500)
    page.wait_for_load_state("networkidle")


def take(page: Page, name: str) -> None:
    """Write one picture."""
    page.wait_for_timeout(500)
    page.screenshot(path=PICTURES / f"{name}.png")
    print(PICTURES / f"{name}.png")


def take_small(page: Page, name: str) -> None:
    """Write one picture that is mostly photos: as WebP it has a quarter of the bytes."""
    page.wait_for_timeout(500)
    path = PICTURES / f"{name}.webp"
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").save(path, quality=85, method=6)
    print(path)


def take_search(browser: Browser, url: str) -> None:
    """The search page on a desk and on a telephone, by day and by night, and the reason of a hit."""
    for name, size in SIZES.items():
        for scheme, suffix in (("light", ""), ("dark", "-dark")):
            context = browser.new_context(viewport=size, color_scheme=scheme, has_touch=name == "phone")
            page = context.new_page()
            search(page, url)
            take_small(page, f"search-{name}{suffix}")
            if (name, scheme) == ("desk", "light"):
                page.locator(".card .why").first.click()
                page.locator(".heated").first.wait_for()
                for heat in page.locator(".heated").all():
                    heat.evaluate("image => image.decode()")
                take_small(page, "search-why")
            context.close()


def main(url: str, user: str, password: str) -> None:
    """All pictures, one after the other."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        take_search(browser, url)
        page = browser.new_page(viewport=SIZES["desk"])
        log_in(page, url, user, password)
        page.goto(f"{url}/admin/catalog/upload/")
        page.locator("#result_list tbody tr th a, #result_list tbody tr td a").first.click()
        page.wait_for_load_state("networkidle")
        take(page, "upload")
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
