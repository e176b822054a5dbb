"""Takes the README's screenshots from a running demo with the Chromium that the machine has.

make demo                                     # in one terminal: prints the address and the log-in
python tools/screenshots.py URL USER PASSWORD # in another: writes docs/pictures/*.png
"""

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
PHOTO = ROOT / "sample" / "customer" / "TEA-111-1.jpg"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def log_in(page: Page, url: str, user: str, password: str) -> None:
    """Open the admin as this person."""
    page.goto(f"{url}/admin/login/")
    page.fill("#id_username", user)
    page.fill("#id_password", password)
    page.press("#id_password", "Enter")
    page.wait_for_url(f"{url}/admin/")


def search(page: Page, url: str) -> None:
    """Search by a customer's photo and open the first reason."""
    page.goto(url)
    page.set_input_files("input[type=file]", PHOTO)
    reason = page.get_by_text("Why this one?").first
    reason.wait_for()
    reason.click()
    page.wait_for_load_state("networkidle")


def take(page: Page, name: str) -> None:
    """Write one picture."""
    page.wait_for_timeout(500)
    page.screenshot(path=PICTURES / f"{name}.png")
    print(PICTURES / f"{name}.png")


def main(url: str, user: str, password: str) -> None:
    """All pictures, one after the other."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        search(page, url)
        take(page, "search")
        log_in(page, url, user, password)
        take(page, "dashboard")
        for name, address in (("upload", "catalog/upload/"), ("review", "catalog/item/?state__exact=open")):
            page.goto(f"{url}/admin/{address}")
            page.locator("#result_list tbody tr th a, #result_list tbody tr td a").first.click()
            page.wait_for_load_state("networkidle")
            take(page, name)
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
