"""Products and keys in the admin: saved by the services, judged by their rules, with photos and tokens."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from catalog.models import ApiKey, LedgerState, Photo, Product, Purpose
from catalog.services.key import api_key_find
from tests.drawing import jpeg

pytestmark = pytest.mark.django_db


def values(product=None, **more):
    held = {
        "sku": "MUG-1", "title": "Mug MUG-1", "brand": "Hearth", "category": "Mugs", "description": "", "price": "",
        "currency": "", "in_stock": "on", "attributes": "{}", "photos-TOTAL_FORMS": 0, "photos-INITIAL_FORMS": 0,
    }  # fmt: skip
    return held | more


def add(admin, shop, **more):
    return admin.post(reverse("admin:catalog_product_add"), values(merchant=shop.merchant.pk, **more))


def change(admin, product, **more):
    return admin.post(reverse("admin:catalog_product_change", args=[product.pk]), values(**more))


def errors(response):
    return response.context["adminform"].form.errors


def upload(data, name="a.jpg"):
    return SimpleUploadedFile(name, data, "image/jpeg")


def test_product_with_photos_is_added(admin, shop):
    photos = [upload(jpeg(1), "one.jpg"), upload(jpeg(2), "two.jpg")]
    response = add(admin, shop, price="12.50", currency="eur", new_photos=photos, attributes='{"colour": "red"}')
    assert response.status_code == 302, errors(response)
    product = Product.objects.get()
    assert (str(product.price), product.currency, product.attributes) == ("12.50", "EUR", {"colour": "red"})
    rows = product.photos.order_by("position").values_list("name", "position", "state", "purpose")
    assert list(rows) == [("one.jpg", 0, "pending", "index"), ("two.jpg", 1, "pending", "index")]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"price": "-1", "currency": "EUR"}, "price"),
        ({"price": "1", "currency": ""}, "currency"),
        ({"price": "1", "currency": "EURO"}, "currency"),
        ({"title": " "}, "title"),
        ({"attributes": "[1]"}, "attributes"),
        ({"sku": "TAKEN"}, "sku"),
    ],
)
def test_wrong_values_are_told_at_their_field(admin, shop, more, field):
    shop.product("TAKEN")
    response = add(admin, shop, **more)
    assert response.status_code == 200
    assert list(errors(response)) == [field]
    assert Product.objects.count() == 1


def test_bad_photo_is_refused_by_name_and_nothing_is_saved(admin, shop):
    response = add(admin, shop, new_photos=[upload(jpeg(1)), upload(b"no photo", "page.jpg")])
    assert errors(response)["new_photos"] == ["page.jpg: The file is not a photo."]
    assert not Product.objects.exists()
    assert not Photo.objects.exists()


def test_change_that_the_index_must_know_owes_the_photos_again(admin, shop):
    product = shop.product()
    photo = shop.photo(product)
    assert change(admin, product, title="Better mug").status_code == 302
    photo.refresh_from_db()
    product.refresh_from_db()
    assert (product.title, photo.state) == ("Better mug", LedgerState.PENDING)


def test_saving_without_a_change_owes_nothing(admin, shop):
    product = shop.product()
    photo = shop.photo(product)
    assert change(admin, product).status_code == 302
    photo.refresh_from_db()
    assert photo.state == LedgerState.DONE


def test_sku_of_another_product_is_refused_on_change(admin, shop):
    shop.product("OTHER")
    product = shop.product()
    assert list(errors(change(admin, product, sku="OTHER"))) == ["sku"]
    product.refresh_from_db()
    assert product.sku == "MUG-1"


def test_sku_of_a_deleted_product_may_be_used_again(admin, shop):
    product = shop.product()
    shop.photo(product)
    admin.post(reverse("admin:catalog_product_delete", args=[product.pk]), {"post": "yes"})
    assert add(admin, shop, title="New mug").status_code == 302
    product.refresh_from_db()
    assert (product.title, product.deleted_at) == ("New mug", None)


def test_deleted_product_is_hidden_and_its_photos_owed_to_be_forgotten(admin, shop):
    product = shop.product()
    photo = shop.photo(product)
    address = reverse("admin:catalog_product_delete", args=[product.pk])
    assert "products and all their photos" in admin.get(address).content.decode().lower()
    assert admin.post(address, {"post": "yes"}).status_code == 302
    photo.refresh_from_db()
    product.refresh_from_db()
    assert product.deleted_at
    assert (photo.purpose, photo.state) == (Purpose.FORGET, LedgerState.PENDING)
    assert not admin.get(reverse("admin:catalog_product_changelist")).context["cl"].result_list


def test_products_deleted_in_bulk_go_by_the_same_rule(admin, shop):
    products = [shop.product(f"P-{number}") for number in range(3)]
    shop.photo(products[0])
    chosen = {"action": "delete_selected", "_selected_action": [each.pk for each in products[:2]], "post": "yes"}
    admin.post(reverse("admin:catalog_product_changelist"), chosen)
    assert list(Product.objects.filter(deleted_at=None)) == [products[2]]
    assert Photo.objects.get().purpose == Purpose.FORGET


def test_deleted_photo_is_owed_to_be_forgotten(admin, shop):
    photo = shop.photo(shop.product())
    address = reverse("admin:catalog_photo_delete", args=[photo.pk])
    assert admin.post(address, {"post": "yes"}).status_code == 302
    photo.refresh_from_db()
    assert (photo.purpose, photo.state) == (Purpose.FORGET, LedgerState.PENDING)
    assert admin.post(address, {"post": "yes"}).status_code == 403  # it is on its way out already


def test_key_is_shown_once(admin, shop):
    data = {"merchant": shop.merchant.pk, "name": "Till", "kind": "secret", "preset": "catalogue"}
    response = admin.post(reverse("admin:catalog_apikey_add"), data)
    key = ApiKey.objects.get(name="Till")
    token = response.context["token"]
    html = response.content.decode()
    assert api_key_find(token) == key
    assert html.count(token) == 1
    assert key.scopes == ["products:write", "uploads"]
    assert "no-store" in response.headers["Cache-Control"]
    page = admin.get(reverse("admin:catalog_apikey_change", args=[key.pk])).content.decode()
    assert token not in page
    assert key.digest not in page
    assert token not in str(dict(admin.session))


def test_keys_are_revoked_not_deleted(admin, shop):
    chosen = {"action": "revoke", "_selected_action": [shop.key.pk]}
    response = admin.post(reverse("admin:catalog_apikey_changelist"), chosen, follow=True)
    assert "1 key revoked." in response.content.decode()
    assert api_key_find(shop.token) is None
    assert api_key_find(shop.public_token) == shop.public_key
    assert admin.post(reverse("admin:catalog_apikey_delete", args=[shop.key.pk]), {"post": "yes"}).status_code == 403
