"""Products and photos one by one, as the API and the admin change them: by the same rules as a bulk upload."""

import os
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from catalog.models import Job, JobKind, LedgerState, LooseBytes, Merchant, Photo, PhotoOrigin, Product, Purpose
from catalog.services.dispatch import chunks_dispatch
from catalog.services.errors import Refused
from catalog.services.photo import bytes_sweep, photo_add, photo_remove, photos_delete, photos_reindex, photos_requeue
from catalog.services.product import (
    product_create,
    product_delete,
    product_purge_if_empty,
    product_update,
    product_upsert,
)
from tests.drawing import jpeg
from tests.worker import read_chunk
from workers import client
from workers.client import PhotoError

pytestmark = pytest.mark.django_db

MUG = {"sku": "MUG-1", "title": "Sea green mug", "price": "14.90", "currency": "EUR"}


@pytest.fixture
def mug(merchant):
    return product_create(merchant=merchant, values=MUG)


def add(product, number=1, **options):
    values = {"data": jpeg(number), "name": f"{number}.jpg", "origin": PhotoOrigin.API, "position": 0} | options
    return photo_add(merchant=product.merchant, product=product, purpose=Purpose.INDEX, **values)


def refused(call, **arguments):
    with pytest.raises(Refused) as raised:
        call(**arguments)
    return raised.value.code, [problem["code"] for problem in raised.value.problems]


def test_a_product_is_created_once(merchant, mug):
    assert (mug.price, mug.currency, mug.in_stock, mug.attributes) == (Decimal("14.90"), "EUR", True, {})
    assert refused(product_create, merchant=merchant, values=MUG) == ("sku_duplicate", ["sku_duplicate"])
    other = Merchant.objects.create(slug="other", name="Other")
    assert product_create(merchant=other, values=MUG).pk != mug.pk


def test_every_problem_is_told_and_nothing_is_changed(merchant):
    values = {
        "sku": " ",
        "price": "-1",
        "currency": "EURO",
        "in_stock": "perhaps",
        "brand": 7,
        "attributes": [],
        "colour": "red",
    }
    assert refused(product_create, merchant=merchant, values=values) == (
        "invalid",
        [
            "sku_missing",
            "price_negative",
            "currency_unknown",
            "in_stock_not_yes_or_no",
            "brand_not_text",
            "attributes_not_an_object",
            "field_unknown",
            "title_missing",
        ],
    )
    assert Product.objects.count() == 0


@pytest.mark.parametrize(
    ("price", "code"),
    [
        (True, "price_not_a_number"),
        (float("nan"), "price_not_a_number"),
        ("1,234", "price_ambiguous"),
        (1.005, "price_too_many_decimals"),
    ],
)
def test_odd_prices(merchant, price, code):
    assert refused(product_create, merchant=merchant, values=MUG | {"price": price}) == ("invalid", [code])


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\x1b[31m"])
def test_text_that_no_database_keeps_is_refused(merchant, text):
    assert refused(product_create, merchant=merchant, values=MUG | {"title": text}) == ("invalid", ["title_not_text"])
    attributes = {"attributes": {"deep": [{"x": text}]}}
    assert refused(product_create, merchant=merchant, values=MUG | attributes) == ("invalid", ["attributes_not_text"])


def test_an_update_changes_the_fields_given_and_owes_the_photos_again(mug):
    photo, _ = add(mug)
    Photo.objects.update(state=LedgerState.DONE, chunk_id=mug.pk)
    changed = product_update(product=mug, values={"price": "12"})
    assert (changed.price, changed.title) == (Decimal("12.00"), MUG["title"])
    photo.refresh_from_db()
    assert (photo.state, photo.chunk_id) == (LedgerState.PENDING, None)
    Photo.objects.update(state=LedgerState.DONE)
    product_update(product=mug, values={"price": "12.00", "attributes": {}})
    photo.refresh_from_db()
    assert photo.state == LedgerState.DONE


def test_an_update_that_would_leave_a_price_without_currency_is_refused(mug):
    assert refused(product_update, product=mug, values={"currency": ""}) == ("invalid", ["currency_missing"])
    assert refused(product_update, product=mug, values={"title": ""}) == ("invalid", ["title_missing"])
    mug.refresh_from_db()
    assert (mug.currency, mug.title) == ("EUR", MUG["title"])


def test_a_sku_cannot_be_taken_from_another_product(merchant, mug):
    other = product_create(merchant=merchant, values=MUG | {"sku": "MUG-2"})
    assert refused(product_update, product=other, values={"sku": "MUG-1"})[0] == "sku_duplicate"


def test_upsert_creates_updates_or_leaves(merchant):
    values = {key: value for key, value in MUG.items() if key != "sku"}
    first, outcome = product_upsert(merchant=merchant, sku="MUG-1", values=values)
    assert outcome == "created"
    assert product_upsert(merchant=merchant, sku="MUG-1", values=values) == (first, "unchanged")
    assert product_upsert(merchant=merchant, sku="MUG-1", values={"price": 3})[1] == "updated"
    assert refused(product_upsert, merchant=merchant, sku="MUG-2", values={"price": 3})[1] == [
        "title_missing",
        "currency_missing",
    ]


def test_a_product_without_photos_is_deleted_at_once(mug):
    product_delete(product=mug)
    assert Product.objects.count() == 0


def test_a_product_goes_with_its_last_photo_and_a_deleted_sku_comes_back(merchant, mug):
    photo, _ = add(mug)
    product_delete(product=mug)
    photo.refresh_from_db()
    assert (photo.purpose, photo.state) == (Purpose.FORGET, LedgerState.PENDING)
    assert not product_purge_if_empty(product=mug)
    back, outcome = product_upsert(merchant=merchant, sku="MUG-1", values={"title": "New mug"})
    assert (back.pk, outcome, back.deleted_at, back.title, back.price) == (mug.pk, "created", None, "New mug", None)
    photo.delete()
    assert not product_purge_if_empty(product=mug)
    product_delete(product=back)
    assert Product.objects.count() == 0


def test_a_photo_is_added_once(mug):
    photo, created = add(mug)
    assert created
    assert (photo.state, photo.purpose, photo.width, photo.content_type) == ("pending", "index", 320, "image/jpeg")
    assert client.photo_store().read(photo.key) == jpeg(1)
    Photo.objects.update(state=LedgerState.FAILED, error_code="bug")
    again, created = add(mug)
    assert (again, created, again.state) == (photo, False, LedgerState.FAILED)
    retried, created = add(mug, retry=True)
    assert (retried.pk, created, retried.state, retried.error_code) == (photo.pk, False, LedgerState.PENDING, "")


def test_a_photo_that_is_to_be_recognised_may_come_twice(merchant):
    job = Job.objects.create(merchant=merchant, kind=JobKind.RECOGNITION)
    for position in (0, 1):
        _, created = photo_add(
            merchant=merchant,
            product=None,
            data=jpeg(1),
            name="x.jpg",
            origin=PhotoOrigin.API,
            position=position,
            purpose=Purpose.RECOGNISE,
            job=job,
        )
        assert created


def test_a_bad_photo_is_refused_and_leaves_nothing(mug):
    with pytest.raises(PhotoError, match="photo_not_an_image"):
        add(mug, data=b"no photo")
    assert Photo.objects.count() == 0


def test_a_removed_photo_is_forgotten_first_and_comes_back_when_added(mug):
    photo, _ = add(mug)
    photo_remove(photo=photo)
    photo.refresh_from_db()
    assert (photo.purpose, photo.state) == (Purpose.FORGET, LedgerState.PENDING)
    assert photos_requeue(product=mug) == 0
    back, created = add(mug)
    assert (back.pk, created, back.purpose) == (photo.pk, False, Purpose.INDEX)


def test_bytes_go_with_the_last_row_that_refers_to_them(merchant, mug):
    other = product_create(merchant=merchant, values=MUG | {"sku": "MUG-2"})
    one, _ = add(mug, 77)
    two, _ = add(other, 77)

    def forget(photo):
        photos_delete(photos=[photo])
        bytes_sweep(now=timezone.now() + timedelta(hours=2))
        assert not LooseBytes.objects.exists()
        return client.photo_store().exists(one.key)

    assert forget(one)
    search = Job.objects.create(merchant=merchant, kind=JobKind.SEARCH, key=one.key)
    assert forget(two)
    search.delete()
    assert not forget(two)


def test_bytes_stored_again_before_their_row_is_committed_stay(mug):
    photo, _ = add(mug, 78)
    path = f"{client.photo_store()._root}/{photo.key}"
    photos_delete(photos=[photo])
    two_hours = timedelta(hours=2).total_seconds()
    os.utime(path, (timezone.now().timestamp() - two_hours,) * 2)
    LooseBytes.objects.update(since=timezone.now() - timedelta(hours=2))
    client.photo_store().write(jpeg(78))  # a second upload of the photo; its row is not there yet
    assert bytes_sweep(now=timezone.now()) == 0
    assert client.photo_store().read(photo.key) == jpeg(78)
    again, created = add(mug, 78)
    assert created
    assert bytes_sweep(now=timezone.now() + timedelta(hours=2)) == 0
    assert client.photo_store().exists(again.key)
    assert not LooseBytes.objects.exists()


@pytest.mark.parametrize(
    ("values", "owed"),
    [
        ({"price": "9.90"}, 2),  # part of the fused vector, and of what searches filter by
        ({"in_stock": False}, 2),
        ({"title": "Deep sea mug"}, 2),
        ({"attributes": {"care": "by hand"}}, 2),
        ({"variant_group": "MUG"}, 2),
        ({"sku": "MUG-2"}, 0),
        ({"price": "14.90", "title": MUG["title"]}, 0),
    ],
)
def test_no_change_of_a_product_has_its_photos_embedded_anew(mug, redis_server, live_worker, values, owed):
    photos = [add(mug, number)[0] for number in (1, 2)]
    Photo.objects.update(state=LedgerState.DONE, bundle_version="bundle-1")
    product_update(product=mug, values=values)
    assert Photo.objects.filter(state=LedgerState.PENDING).count() == owed
    live_worker("bundle-1")
    if owed:
        chunks_dispatch()
        with redis_server.client() as redis:
            works = read_chunk(redis).photos
        assert {(work.photo_id, work.embedded_by) for work in works} == {(photo.pk, "bundle-1") for photo in photos}


def test_a_new_photo_and_a_reindex_are_embedded(mug, redis_server, live_worker):
    add(mug, 1)
    live_worker("bundle-1")
    chunks_dispatch()
    with redis_server.client() as redis:
        assert [work.embedded_by for work in read_chunk(redis).photos] == [""]
        Photo.objects.update(state=LedgerState.DONE, bundle_version="bundle-1", chunk_id=None)
        assert photos_reindex() == 1
        chunks_dispatch()
        assert [work.embedded_by for work in read_chunk(redis).photos] == [""]
