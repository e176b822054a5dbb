"""``manage.py reindex`` owes exactly the photos that it should, and only through the ledger."""

import uuid

import pytest
from django.core.management import CommandError, call_command

from catalog.models import LedgerState, Merchant, Photo, Product, Purpose

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def photos():
    merchant = Merchant.objects.create(slug="harbour", name="Harbour")
    product = Product.objects.create(merchant=merchant, sku="MUG-1", title="Mug")

    def photo(**fields):
        return Photo.objects.create(merchant=merchant, product=product, sha256=uuid.uuid4().hex, key="k", **fields)

    return {
        "old": photo(state=LedgerState.DONE, bundle_version="b1", attempts=2),
        "new": photo(state=LedgerState.DONE, bundle_version="b2"),
        "failed": photo(state=LedgerState.FAILED),
        "recognised": photo(state=LedgerState.DONE, purpose=Purpose.RECOGNISE, bundle_version="b1"),
    }


def owed(photos):
    return {name for name, photo in photos.items() if Photo.objects.get(pk=photo.pk).state == LedgerState.PENDING}


def test_all_means_every_indexed_photo(photos, capsys):
    call_command("reindex", "--all")
    assert owed(photos) == {"old", "new"}
    assert Photo.objects.get(pk=photos["old"].pk).attempts == 0
    assert capsys.readouterr().out == "2 photos are to be embedded again.\n"


def test_without_a_live_worker_the_bundle_is_unknown(photos, redis_server):
    with pytest.raises(CommandError, match="none is alive"):
        call_command("reindex")
    assert owed(photos) == set()


def test_only_what_another_bundle_embedded(photos, redis_server, live_worker):
    live_worker("b2")
    call_command("reindex", "--merchant", "harbour")
    assert owed(photos) == {"old"}


def test_an_unknown_merchant_is_refused(photos):
    with pytest.raises(CommandError, match="no merchant 'nobody'"):
        call_command("reindex", "--all", "--merchant", "nobody")
    assert owed(photos) == set()


def test_with_their_vectors_kept_no_bundle_is_forgotten(photos, capsys):
    call_command("reindex", "--keep-vectors", "--merchant", "harbour")
    assert owed(photos) == {"old", "new"}
    assert Photo.objects.get(pk=photos["old"].pk).bundle_version == "b1"
    assert capsys.readouterr().out == "2 photos are to be stored again with their vectors.\n"
    with pytest.raises(CommandError, match="not allowed with"):
        call_command("reindex", "--keep-vectors", "--all")
