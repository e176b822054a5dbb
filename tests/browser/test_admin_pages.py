"""The admin in a real browser: nothing overflows or complains, an upload is handed in, an item is settled."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import expect

from catalog.models import Decision, Item, Upload, UploadState
from catalog.services.result import search_result_store
from catalog.services.upload import upload_import
from tests.api_support import candidate, search_result
from tests.browser.conftest import overflow
from tests.drawing import jpeg
from tests.uploads import archive, manifest, row, send


@pytest.fixture
def admin(transactional_db, log_in):
    user = User.objects.create(username="rita", is_staff=True, is_superuser=True)
    log_in(user)
    return user


@pytest.fixture
def mug(shop):
    return shop.product("MUG-1", title="Sea green mug", price="14.90", currency="EUR")


def test_log_in(page, transactional_db):
    User.objects.create_superuser("rita", password="a long enough one")
    page.goto("/admin/login/")
    page.get_by_label("Username").fill("rita")
    page.get_by_label("Password").fill("a long enough one")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("link", name="Items to review", exact=True)).to_be_visible()
    assert page.url.endswith("/admin/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_and_do_not_complain(page, admin, shop, mug, size, scheme):
    page.expected = ["404 (Not Found)"]  # photos whose bytes are nowhere show a placeholder
    item = shop.item(mug, job=shop.recognition())
    job = shop.search(photo=jpeg(1))
    search_result_store(result=search_result(job, candidate(mug, shop.photo(mug))))
    upload = send(shop.merchant, {"products.csv": manifest(row("A-1", "a.jpg", price="-1")), "a.jpg": jpeg(2)})
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme)
    addresses = [
        reverse("admin:index"),
        *(
            reverse(f"admin:catalog_{name}_changelist")
            for name in ("product", "photo", "upload", "item", "job", "merchant")
        ),
        reverse("admin:catalog_upload_add"),
        *(
            reverse(f"admin:catalog_{row._meta.model_name}_change", args=[row.pk])
            for row in (mug, item, item.photo, job)
        ),
        reverse("admin:catalog_upload_change", args=[upload.pk]),
    ]
    for address in addresses:
        page.goto(address)
        expect(page.locator("#main")).to_be_visible()
        assert overflow(page) == 0, address


def test_upload_is_handed_in_and_watched(page, admin, shop):
    data = archive({"products.csv": manifest(row("A-1", "a.jpg"), row("A-2", "a.jpg", price="-4")), "a.jpg": jpeg(1)})
    page.goto(reverse("admin:catalog_upload_add"))
    page.get_by_label("Shop").select_option("Harbour")
    page.set_input_files("input[name=file]", {"name": "shoes.zip", "mimeType": "application/zip", "buffer": data})
    expect(page.get_by_text("shoes.zip (")).to_be_visible()
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_text("Waiting for the coordinator to open the file.")).to_be_visible()
    upload_import(upload_id=Upload.objects.get().pk)
    expect(page.get_by_text("The workers have done 0 of 1 photos")).to_be_visible()
    Upload.objects.update(state=UploadState.DONE)
    expect(page.get_by_text("price_negative").first).to_be_visible()  # the page came anew, with its rows
    expect(page.get_by_role("link", name="Bad rows as CSV")).to_be_visible()


def test_refused_upload_is_told_on_the_page(page, admin, shop):
    page.expected = ["422 (Unprocessable"]
    page.goto(reverse("admin:catalog_upload_add"))
    page.set_input_files("input[name=file]", {"name": "a.zip", "mimeType": "application/zip", "buffer": b""})
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_text("This file is empty.")).to_be_visible()
    assert not Upload.objects.exists()


def test_item_is_corrected_to_a_product_that_was_searched_for(page, admin, shop, mug):
    page.expected = ["404 (Not Found)"]
    shop.search(photo=jpeg(1))  # its bytes are in the store: one in which nothing lies is taken to be away
    lamp = shop.product("LAMP-1", title="Brass lamp")
    item = shop.item(mug)
    page.goto(reverse("admin:catalog_item_change", args=[item.pk]))
    expect(page.get_by_role("button", name="Accept")).to_be_visible()
    page.get_by_label("It is another product").fill("brass")
    expect(page.locator("#found")).to_contain_text("Brass lamp")
    page.locator("#found").get_by_role("button", name="It is this one").click()
    expect(page.get_by_text("Corrected: Brass lamp")).to_be_visible()
    assert Item.objects.get().product == lamp
    assert Decision.objects.get().reviewer_name == "rita"
