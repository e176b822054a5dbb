"""Who sees and changes what in the admin: members their own merchants, managers more than reviewers, others nothing."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from catalog.models import ApiKey, Membership, Merchant, Product, Role, Upload, UploadState
from catalog.services.webhooks.endpoint import endpoint_create, endpoint_test
from tests.api_support import Shop

pytestmark = pytest.mark.django_db

LISTS = (
    "product",
    "photo",
    "upload",
    "job",
    "item",
    "decision",
    "merchant",
    "apikey",
    "webhookendpoint",
    "webhookdelivery",
)


def login(client, *places, username="ana", **flags):
    user = User.objects.create(username=username, is_staff=True, **flags)
    for merchant, role in places:
        Membership.objects.create(user=user, merchant=merchant, role=role)
    client.force_login(user)
    return user


def filled(shop):
    """One row of each kind."""
    product = shop.product(title=f"Mug of {shop.merchant.slug}")
    item = shop.item(product, job=shop.recognition())
    upload = Upload.objects.create(
        merchant=shop.merchant, name=f"{shop.merchant.slug}.zip", source="x", state=UploadState.DONE
    )
    endpoint, _ = endpoint_create(merchant=shop.merchant, url="https://shop.test/", events=["job.finished"])
    return {
        "webhookendpoint": endpoint,
        "webhookdelivery": endpoint_test(endpoint=endpoint),
        "product": product,
        "photo": item.photo,
        "upload": upload,
        "job": item.job,
        "item": item,
        "merchant": shop.merchant,
        "apikey": shop.key,
    }


def change(row):
    return reverse(f"admin:catalog_{row._meta.model_name}_change", args=[row.pk])


def shown(response):
    return response.context["cl"].result_list


@pytest.mark.parametrize("role", Role.values)
def test_members_see_their_own_merchant_only(client, shop, other, role):
    mine, theirs = filled(shop), filled(other)
    login(client, (shop.merchant, role))
    for name, row in mine.items():
        rows = shown(client.get(reverse(f"admin:catalog_{name}_changelist")))
        assert row in rows
        assert theirs[name] not in rows
        assert client.get(change(row)).status_code == 200, name
        response = client.get(change(theirs[name]))
        assert (response.status_code, response.headers["Location"]) == (302, reverse("admin:index")), name


def test_superuser_sees_every_merchant(client, shop, other):
    mine, theirs = filled(shop), filled(other)
    login(client, is_superuser=True)
    for name, row in mine.items():
        rows = shown(client.get(reverse(f"admin:catalog_{name}_changelist")))
        assert {row, theirs[name]} <= set(rows)


@pytest.mark.parametrize("name", LISTS)
def test_staff_without_a_shop_sees_nothing(client, shop, name):
    filled(shop)
    login(client)
    assert client.get(reverse(f"admin:catalog_{name}_changelist")).status_code == 403
    assert "No shop yet" in client.get(reverse("admin:index")).content.decode()


@pytest.mark.parametrize("name", ["index", "catalog_product_changelist"])
def test_members_who_are_no_staff_do_not_come_in(client, shop, name):
    user = User.objects.create(username="bea")
    Membership.objects.create(user=user, merchant=shop.merchant, role=Role.MANAGER)
    client.force_login(user)
    assert client.get(reverse(f"admin:{name}")).status_code == 302


def test_filters_do_not_name_other_merchants(client, shop, other):
    shop.product(brand="Own brand")
    other.product(brand="Foreign brand")
    third = Shop("third")
    login(client, (shop.merchant, Role.MANAGER), (third.merchant, Role.REVIEWER))
    html = client.get(reverse("admin:catalog_product_changelist")).content.decode()
    assert "Harbour" in html
    assert "Third" in html
    assert "Other" not in html
    assert "Foreign brand" not in html


def test_reviewers_look_and_decide_but_change_nothing(client, shop):
    rows = filled(shop)
    login(client, (shop.merchant, Role.REVIEWER))
    values = {"sku": "X", "title": "Changed", "attributes": "{}", "photos-TOTAL_FORMS": 0, "photos-INITIAL_FORMS": 0}
    assert client.post(change(rows["product"]), values).status_code == 403
    assert client.get(reverse("admin:catalog_product_add")).status_code == 403
    assert client.get(reverse("admin:catalog_upload_add")).status_code == 403
    assert client.get(reverse("admin:catalog_apikey_add")).status_code == 403
    assert (
        client.post(reverse("admin:catalog_product_delete", args=[rows["product"].pk]), {"post": "yes"}).status_code
        == 403
    )
    assert Product.objects.get().title == "Mug of harbour"
    response = client.post(reverse("admin:catalog_item_reject", args=[rows["item"].pk]))
    assert response.status_code == 302
    rows["item"].refresh_from_db()
    assert rows["item"].state == "rejected"


def test_nobody_decides_on_another_merchants_item(client, shop, other):
    item = filled(other)["item"]
    login(client, (shop.merchant, Role.MANAGER))
    for verb in ("accept", "correct", "reject"):
        assert client.post(reverse(f"admin:catalog_item_{verb}", args=[item.pk])).status_code == 404
    assert client.get(reverse("admin:catalog_item_products", args=[item.pk]), {"words": "mug"}).status_code == 404
    item.refresh_from_db()
    assert item.state == "open"
    assert not item.decisions.exists()


def test_managers_add_for_their_own_merchants_only(client, shop, other):
    login(client, (shop.merchant, Role.MANAGER), (other.merchant, Role.REVIEWER))
    form = client.get(reverse("admin:catalog_product_add")).context["adminform"].form
    assert list(form.fields["merchant"].queryset) == [shop.merchant]
    before = ApiKey.objects.count()
    response = client.post(
        reverse("admin:catalog_apikey_add"),
        {"merchant": other.merchant.pk, "name": "mine", "kind": "secret", "preset": "full"},
    )
    assert response.status_code == 200
    assert "merchant" in response.context["adminform"].form.errors
    assert ApiKey.objects.count() == before


def test_deleting_in_bulk_spares_merchants_that_one_only_reviews(client, shop, other):
    mine, theirs = shop.product(), other.product()
    login(client, (shop.merchant, Role.MANAGER), (other.merchant, Role.REVIEWER))
    chosen = {"action": "delete_selected", "_selected_action": [mine.pk, theirs.pk], "post": "yes"}
    client.post(reverse("admin:catalog_product_changelist"), chosen)
    assert Product.objects.filter(deleted_at=None).count() == 2


def test_people_are_the_superusers_business(client, shop):
    login(client, (shop.merchant, Role.MANAGER))
    assert client.get(reverse("admin:auth_user_changelist")).status_code == 403
    assert client.get(reverse("admin:catalog_merchant_add")).status_code == 403
    looked_up = {"app_label": "catalog", "model_name": "membership", "field_name": "user", "term": "ana"}
    assert client.get(reverse("admin:autocomplete"), looked_up).json()["results"][0]["text"] == "ana"


def test_manager_lets_a_colleague_in(client, shop):
    login(client, (shop.merchant, Role.MANAGER))
    colleague = User.objects.create(username="ben", is_staff=True)
    place = shop.merchant.memberships.get()
    values = {
        "name": "Harbour", "slug": "harbour", "memberships-TOTAL_FORMS": 2, "memberships-INITIAL_FORMS": 1,
        "memberships-0-id": place.pk, "memberships-0-merchant": shop.merchant.pk, "memberships-0-user": place.user_id,
        "memberships-0-role": "manager", "memberships-1-user": colleague.pk, "memberships-1-role": "reviewer",
        "memberships-1-merchant": shop.merchant.pk,
    }  # fmt: skip
    response = client.post(change(shop.merchant), values)
    assert response.status_code == 302, response.context["errors"]
    assert set(shop.merchant.memberships.values_list("user__username", "role")) == {
        ("ana", "manager"),
        ("ben", "reviewer"),
    }


def test_full_merchant_is_not_deleted(client, shop):
    shop.photo()
    login(client, is_superuser=True)
    assert (
        client.post(reverse("admin:catalog_merchant_delete", args=[shop.merchant.pk]), {"post": "yes"}).status_code
        == 403
    )
    assert Merchant.objects.filter(pk=shop.merchant.pk).exists()
