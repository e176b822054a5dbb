"""A catalogue with a real worker behind it: taken home and read back it answers the same; deleted it is forgotten.

And it is searched as people mean it: in two languages, by attributes, by articles, by photos of other things.
"""

from uuid import uuid4

import pytest
from django.core.cache import cache

from catalog.models import Item, LedgerState, Merchant, Photo, Product
from catalog.selectors.export import CatalogueExport
from catalog.selectors.product import categories_of
from catalog.selectors.search import search_answer
from catalog.selectors.search_options import SearchOptions
from catalog.services.dispatch import chunks_dispatch
from catalog.services.job import recognition_job_create, search_job_create
from catalog.services.photo import photo_remove, photos_refresh
from catalog.services.product import product_delete, product_update
from catalog.services.result import chunk_result_store, search_result_store
from catalog.services.review import item_correct, item_new_product
from catalog.services.reviewing.acting import Act
from catalog.services.search_examples import ExampleSent
from catalog.services.synonyms import synonyms_create
from tests.broker import free_port, start_redis
from tests.desk_line import SAMPLE, sample_rows, six_photos
from tests.drawing import HEADER, jpeg
from tests.integration.test_worker_line import soon
from tests.uploads import send
from tests.worker import WorkerProcess, bundle_folder, client_of, read_result
from workers.contract import AttributeFilter, Search, SearchFilters

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


KNOWN = ("BOT-122", "SPK-251", "CHR-221", "BEA-233", "BOO-164", "TIN-143")
NEW = ("BAG-281", "BOX-152", "LMP-173")


def recognised(worker, merchant, photos):
    """What the worker makes of these photos: their items, in order."""
    job = recognition_job_create(merchant=merchant, photos=photos)
    settle(worker[1])
    items = {item.photo.name: item for item in Item.objects.filter(job=job).select_related("photo", "best_product")}
    return [items[name] for name, _ in photos]


def test_the_sixth_photo_of_a_new_product_is_recognised(worker):
    """Reviewers decide on five photos of each of three products, in categories, that the catalogue never had."""
    merchant = Merchant.objects.create(slug="fresh", name="Fresh")
    rows = [row for row in sample_rows() if row["sku"] in KNOWN]
    table = ["sku,title,images", *(f"{row['sku']},{row['sku']},{row['images']}" for row in rows)]
    files = {row["images"]: (SAMPLE / "photos" / row["images"]).read_bytes() for row in rows}
    assert send(merchant, {"m.csv": "\n".join(table).encode(), **files}).rows_created == len(KNOWN)
    settle(worker[1])
    photos = {sku: six_photos(sku) for sku in NEW}
    for sku, six in photos.items():
        first, *others = recognised(worker, merchant, six[:5])
        assert sku not in {item.best_product.sku for item in (first, *others) if item.best_product}
        made = item_new_product(item=first, act=Act(None, "test"), values=new_values(sku))
        for item in others:
            item_correct(item=item, reviewer=None, product=made.product)
        settle(worker[1])
        assert made.product.photos.filter(purpose="index", state=LedgerState.DONE).count() == 5
    sixth = recognised(worker, merchant, [six[5] for six in photos.values()])
    assert [item.best_product.sku for item in sixth] == [*NEW]
    assert {item.verdict for item in sixth} <= {"SURE", "REVIEW"}
    assert categories_of(merchant=merchant) == sorted(new_values(sku)["category"] for sku in NEW)
    for item, sku in zip(sixth, NEW, strict=True):
        within = SearchFilters(categories=(new_values(sku)["category"],))
        assert list(answers(worker, merchant, key=item.photo.key, filters=within)) == [sku]


def new_values(sku):
    """A product as a reviewer describes it who finds no category that fits."""
    return {"sku": sku, "title": f"New {sku}", "category": f"New/{sku[:3].title()}"}


CLOSET = """
MUG-R,Stoneware mug red,20,MUG,red,300
MUG-B,Stoneware mug blue,21,MUG,blue,350
VASE,青花瓷花瓶,22,,blue,
POT,紫砂茶壶,23,,brown,600
LAMP,Brass desk lamp,24,,,
"""


@pytest.fixture
def closet(worker):
    """A catalogue with titles in two languages, attributes, and an article with two variants."""
    cache.clear()
    merchant = Merchant.objects.create(slug=f"closet-{uuid4().hex[:8]}", name="Closet")
    header = "sku,title,images,variant_group,colour,volume_ml"
    rows = [line.split(",") for line in CLOSET.strip().splitlines()]
    table = [",".join([sku, title, f"{photo}.jpg", *more]) for sku, title, photo, *more in rows]
    files = {"m.csv": "\n".join([header, *table]).encode()} | {f"{row[2]}.jpg": jpeg(int(row[2])) for row in rows}
    assert send(merchant, files).rows_created == len(rows)
    settle(worker[1])
    return merchant


def looked_up(worker, merchant, *, photo=None, words="", attributes=(), examples=(), limit=10, **options):
    """The hits of a search made as the API makes it, answered by the worker, read as the API reads it."""
    job = search_job_create(
        merchant=merchant,
        photo=photo,
        words=words,
        filters=SearchFilters(attributes=tuple(AttributeFilter(**each) for each in attributes)),
        limit=limit,
        options=SearchOptions(**options),
        examples=[ExampleSent(f"like.{n}", **each) for n, each in enumerate(examples)],
    )
    assert search_result_store(result=read_result(worker[1]))
    job.refresh_from_db()
    assert (job.state, job.error_message) == ("done", "")
    return search_answer(merchant=merchant, job=job).hits


def skus(hits):
    return [hit.product.sku for hit in hits]


@pytest.mark.parametrize(
    ("words", "first", "spoken"),
    [
        ("马克杯", None, {"MUG-R", "MUG-B"}),  # the titles are English: by a synonym
        ("蓝色马克杯", "MUG-B", {"MUG-R", "MUG-B"}),  # two words of a script without spaces, each with a synonym
        ("茶壶", "POT", {"POT"}),
        ("紫沙茶壶", "POT", {"POT"}),  # one wrong character
        ("青花磁花瓶", "VASE", {"VASE"}),
        ("stonware", None, {"MUG-R", "MUG-B"}),  # one letter missing
        ("brass lmap", "LAMP", {"LAMP"}),  # two letters swapped
        ("茶壶 and lamp", None, {"POT", "LAMP"}),
    ],
)
def test_words_of_two_languages(worker, closet, words, first, spoken):
    synonyms_create(merchant=closet, words=["mug", "马克杯"])
    synonyms_create(merchant=closet, words=["blue", "蓝色"])
    hits = looked_up(worker, closet, words=words, group_variants=False)
    found = {hit.product.sku for hit in hits if hit.candidate.scores.text}
    assert found == spoken
    assert skus(hits)[0] in ({first} if first else spoken)


def test_attributes_and_articles_follow_the_catalogue_without_a_look_at_the_photos(worker, closet):
    red, big = {"name": "colour", "values": ("red",)}, {"name": "volume_ml", "min": 320.0}
    for query in ({"photo": jpeg(20)}, {"words": "mug 茶壶"}, {"photo": jpeg(20), "words": "mug"}):
        assert skus(looked_up(worker, closet, attributes=[red], **query)) == ["MUG-R"]
        assert set(skus(looked_up(worker, closet, attributes=[big], **query))) == {"MUG-B", "POT"}
        assert skus(looked_up(worker, closet, attributes=[red, big], **query)) == []
    hit, *others = looked_up(worker, closet, photo=jpeg(20))
    assert (hit.product.sku, skus(others).count("MUG-B")) == ("MUG-R", 0)
    assert [(each.sku, each.found) for each in hit.variants] == [("MUG-B", True)]

    for photo in Photo.objects.filter(merchant=closet):
        worker[0].photo_store().delete(photo.key)  # whoever looks at one now finds nothing
    mug = Product.objects.get(merchant=closet, sku="MUG-R")
    product_update(product=mug, values={"attributes": {"colour": "green", "volume_ml": 400}, "variant_group": ""})
    settle(worker[1])
    assert skus(looked_up(worker, closet, words="mug", attributes=[red])) == []
    assert set(skus(looked_up(worker, closet, words="mug", attributes=[big]))) == {"MUG-R", "MUG-B", "POT"}
    assert photos_refresh(merchant=closet) == 5
    settle(worker[1])
    assert set(Photo.objects.filter(merchant=closet).values_list("state", flat=True)) == {LedgerState.DONE}
    assert set(skus(looked_up(worker, closet, words="mug"))[:2]) == {"MUG-R", "MUG-B"}


def test_limit_counts_articles(worker, closet):
    assert len(looked_up(worker, closet, photo=jpeg(20), limit=2)) == 2
    assert skus(looked_up(worker, closet, photo=jpeg(20), limit=1)) == ["MUG-R"]
    first, second = looked_up(worker, closet, photo=jpeg(20), limit=2, group_variants=False)
    assert (first.product.sku, list(first.variants), list(second.variants)) == ("MUG-R", [], [])


def test_photos_to_be_like_and_unlike(worker, closet):
    whole = {"like": True, "region": (0.0, 0.0, 1.0, 1.0)}
    like = looked_up(worker, closet, examples=[{"data": jpeg(22), **whole}])
    assert skus(like)[0] == "VASE"
    assert like[0].candidate.scores.image == pytest.approx(1.0, abs=0.01)
    assert (like[0].candidate.probability, like[0].why.endswith("like 1 of your examples.")) == (None, True)
    unlike = {"data": jpeg(24), "like": False, "region": (0.0, 0.0, 1.0, 1.0)}
    against = looked_up(worker, closet, examples=[{"data": jpeg(22), **whole}, unlike])
    scores = [{hit.product.sku: hit.candidate.scores.image for hit in hits} for hits in (like, against)]
    assert skus(against)[0] == "VASE" and scores[1]["LAMP"] < scores[0]["LAMP"]
    pot = Product.objects.get(merchant=closet, sku="POT")
    mixed = looked_up(worker, closet, like=(pot.pk,), examples=[{"data": jpeg(22), **whole}])
    assert skus(mixed)[0] == "VASE" and "POT" not in skus(mixed)
    half = looked_up(worker, closet, examples=[{"data": jpeg(22), "like": True, "region": (0.0, 0.0, 0.5, 0.5)}])
    assert half[0].candidate.scores.image < 0.99
