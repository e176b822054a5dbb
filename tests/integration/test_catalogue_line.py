"""A catalogue with a real worker behind it: taken home and read back it answers the same; deleted it is forgotten."""

from uuid import uuid4

import pytest

from catalog.models import LedgerState, Merchant, Photo, Product
from catalog.selectors.export import CatalogueExport
from catalog.services.dispatch import chunks_dispatch
from catalog.services.photo import photo_remove
from catalog.services.product import product_delete, product_update
from catalog.services.result import chunk_result_store
from tests.broker import free_port, start_redis
from tests.drawing import HEADER, jpeg
from tests.integration.test_worker_line import soon
from tests.uploads import send
from tests.worker import WorkerProcess, bundle_folder, client_of, read_result
from workers.contract import Search, SearchFilters

pytestmark = pytest.mark.django_db(transaction=True)
PRODUCTS = 4


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """One worker; every test uses merchants of its own."""
    folder = tmp_path_factory.mktemp("catalogue")
    settings = {"VITRINE_BUNDLE": str(bundle_folder()), "VITRINE_PHOTO_STORE": str(folder / "photos")}
    with (
        start_redis(free_port(), folder / "redis") as server,
        client_of(server.url, folder / "photos") as client,
        WorkerProcess(folder, server.url, **settings) as process,
        server.client() as redis,
    ):
        assert process.process.poll() is None, process.output()
        yield client, redis


def settle(redis):
    """Hand out what is owed and store what comes back, until nothing is owed."""
    owed = Photo.objects.filter(state__in=(LedgerState.PENDING, LedgerState.DISPATCHED))
    while owed.exists():
        assert chunks_dispatch() > 0
        while owed.filter(state=LedgerState.DISPATCHED).exists():
            chunk_result_store(result=read_result(redis))


def answers(worker, merchant, **query):
    """What a search finds, as skus with their scores."""
    client, redis = worker
    client.send_search(Search(job_id=uuid4(), merchant_id=merchant.pk, deadline=soon(), **query))
    skus = dict(Product.objects.values_list("pk", "sku"))
    result = read_result(redis)
    assert result.fault is None
    return {skus[each.product_id]: each.scores for each in result.candidates}


@pytest.fixture
def shop(worker):
    merchant = Merchant.objects.create(slug=f"shop-{uuid4().hex[:8]}", name="Shop")
    rows = [f"P-{n},Thing number{n},Brand {n % 2},Kind,{5 + n}.50,EUR,,p{n}.jpg" for n in range(PRODUCTS)]
    files = {"m.csv": "\n".join([HEADER, *rows]).encode()} | {f"p{n}.jpg": jpeg(n) for n in range(PRODUCTS)}
    assert send(merchant, files).rows_created == PRODUCTS
    settle(worker[1])
    return merchant


def test_what_is_read_back_answers_the_same(worker, shop):
    archive = b"".join(CatalogueExport(shop).blocks())
    copy = Merchant.objects.create(slug="copy", name="Copy")
    assert send(copy, archive).rows_created == PRODUCTS
    settle(worker[1])
    key = Photo.objects.get(product__merchant=shop, product__sku="P-2").key
    for query in (
        {"key": key},
        {"words": "thing number3"},
        {"filters": SearchFilters(brands=("Brand 1",)), "key": key},
    ):
        before, after = answers(worker, shop, **query), answers(worker, copy, **query)
        assert list(before) == list(after)
        for sku, scores in before.items():
            assert scores.image == pytest.approx(after[sku].image, abs=1e-4)
            assert scores.fused == pytest.approx(after[sku].fused, abs=1e-4)


def test_a_change_is_found_and_a_deletion_forgotten(worker, shop):
    cheap, dear, gone, kept = (Product.objects.get(merchant=shop, sku=f"P-{n}") for n in range(PRODUCTS))
    keys = {photo.product_id: photo.key for photo in Photo.objects.filter(merchant=shop)}
    product_update(product=dear, values={"price": "950", "in_stock": False})
    product_update(product=cheap, values={"title": "Renamed zebra"})
    settle(worker[1])
    sold_out = SearchFilters(price_min=900.0, currency="EUR", in_stock=False)
    assert list(answers(worker, shop, key=keys[kept.pk], filters=sold_out)) == ["P-1"]
    assert next(iter(answers(worker, shop, words="zebra"))) == "P-0"

    product_delete(product=gone)
    photo_remove(photo=Photo.objects.get(product=kept))
    settle(worker[1])
    assert not Product.objects.filter(pk=gone.pk).exists()
    assert set(answers(worker, shop, key=keys[gone.pk])) == {"P-0", "P-1"}
    assert Product.objects.filter(pk=kept.pk).exists()
