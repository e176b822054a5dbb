"""Synonyms in the admin: listed, added, changed and deleted by managers of their merchant, each change on record."""

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.urls import reverse

from catalog.models import Membership, Role, Synonyms
from catalog.selectors.words import words_read
from catalog.services.synonyms import synonyms_create

pytestmark = pytest.mark.django_db

LIST, ADD = "admin:catalog_synonyms_changelist", "admin:catalog_synonyms_add"


def login(client, *places):
    user = User.objects.create(username="ana", is_staff=True)
    for merchant, role in places:
        Membership.objects.create(user=user, merchant=merchant, role=role)
    client.force_login(user)


def page(synonyms, verb="change"):
    return reverse(f"admin:catalog_synonyms_{verb}", args=[synonyms.pk])


def logged():
    return list(LogEntry.objects.order_by("pk").values_list("action_flag", "user__username", "object_repr"))


def test_a_manager_adds_changes_and_deletes(client, shop):
    login(client, (shop.merchant, Role.MANAGER))
    response = client.post(reverse(ADD), {"merchant": shop.merchant.pk, "words": " mug\n\ncoffee cup\nMug\n杯子"})
    assert response.status_code == 302
    made = Synonyms.objects.get()
    assert (made.merchant, made.words) == (shop.merchant, ["mug", "coffee cup", "杯子"])
    assert [each["read_as"] for each in words_read(merchant=shop.merchant, words="杯子")] == ["mug", "coffee cup"]

    form = client.get(page(made)).context["adminform"].form
    assert form["words"].value() == "mug\ncoffee cup\n杯子"
    assert client.post(page(made), {"words": "mug\nbeaker"}).status_code == 302
    made.refresh_from_db()
    assert made.words == ["mug", "beaker"]

    assert client.post(page(made, "delete"), {"post": "yes"}).status_code == 302
    assert not Synonyms.objects.exists()
    assert logged() == [
        (ADDITION, "ana", "mug, coffee cup, 杯子"),
        (CHANGE, "ana", "mug, beaker"),
        (DELETION, "ana", "mug, beaker"),
    ]


@pytest.mark.parametrize("words", ["mug", "mug\nMUG!", "a\n" + "b" * 61, "\n".join(f"w{n}" for n in range(21)), ""])
def test_bad_sets_are_told_at_the_field(client, shop, words):
    login(client, (shop.merchant, Role.MANAGER))
    response = client.post(reverse(ADD), {"merchant": shop.merchant.pk, "words": words})
    assert list(response.context["adminform"].form.errors) == ["words"]
    assert not Synonyms.objects.exists()
    assert logged() == []


def test_a_full_list_is_told(client, shop):
    login(client, (shop.merchant, Role.MANAGER))
    Synonyms.objects.bulk_create([Synonyms(merchant=shop.merchant, words=["a", "b"]) for _ in range(1_000)])
    response = client.post(reverse(ADD), {"merchant": shop.merchant.pk, "words": "mug\ncup"}, follow=True)
    assert "(synonyms_too_many)" in response.content.decode()
    assert Synonyms.objects.count() == 1_000


def test_a_reviewer_looks_only(client, shop):
    made = synonyms_create(merchant=shop.merchant, words=["mug", "杯子"])
    login(client, (shop.merchant, Role.REVIEWER))
    assert "mug · 杯子" in client.get(page(made)).content.decode()
    assert client.post(page(made), {"words": "a\nb"}).status_code == 403
    assert client.get(reverse(ADD)).status_code == 403
    assert client.post(page(made, "delete"), {"post": "yes"}).status_code == 403
    assert Synonyms.objects.get().words == ["mug", "杯子"]


def test_other_merchants_sets_are_not_there(client, shop, other):
    mine = synonyms_create(merchant=shop.merchant, words=["mug", "cup"])
    theirs = synonyms_create(merchant=other.merchant, words=["secret", "hidden"])
    login(client, (shop.merchant, Role.MANAGER))
    assert list(client.get(reverse(LIST)).context["cl"].result_list) == [mine]
    for verb in ("change", "delete"):
        assert client.post(page(theirs, verb), {"post": "yes", "words": "a\nb"}).status_code == 302
    assert Synonyms.objects.get(pk=theirs.pk).words == ["secret", "hidden"]
    response = client.post(reverse(ADD), {"merchant": other.merchant.pk, "words": "a\nb"})
    assert "merchant" in response.context["adminform"].form.errors


def test_deleting_in_bulk_spares_merchants_that_one_only_reviews(client, shop, other):
    mine = [synonyms_create(merchant=shop.merchant, words=["mug", f"cup {n}"]) for n in range(2)]
    reviewed = synonyms_create(merchant=other.merchant, words=["mug", "cup"])
    login(client, (shop.merchant, Role.MANAGER), (other.merchant, Role.REVIEWER))
    chosen = {"action": "delete_selected", "post": "yes"}
    client.post(reverse(LIST), chosen | {"_selected_action": [mine[0].pk, reviewed.pk]})
    assert Synonyms.objects.count() == 3
    client.post(reverse(LIST), chosen | {"_selected_action": [each.pk for each in mine]})
    assert list(Synonyms.objects.all()) == [reviewed]
    assert [flag for flag, *_ in logged()] == [DELETION] * 2


def test_lists_are_searched_in_any_script(client, shop):
    made = synonyms_create(merchant=shop.merchant, words=["mug", "杯子"])
    synonyms_create(merchant=shop.merchant, words=["lamp", "light"])
    login(client, (shop.merchant, Role.MANAGER))
    for words in ("mug", "杯"):
        assert list(client.get(reverse(LIST), {"q": words}).context["cl"].result_list) == [made]
