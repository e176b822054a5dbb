"""What every engine of the index promises, checked on each: embedded, the client's in-memory mode, a real server."""

import os
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient

from recognition.index import AttributeFilter, Filters, IndexQuery, PhotoPoint, PointPayload, open_index

SERVER_URL = os.environ.get("VITRINE_TEST_QDRANT_URL", "")
IN_MEMORY = Path("/dev/shm")
DIM = 256
ACME = Filters("acme")


@pytest.fixture(
    params=[
        "embedded",
        "memory",
        pytest.param(
            "server", marks=pytest.mark.skipif(not SERVER_URL, reason="VITRINE_TEST_QDRANT_URL names no Qdrant server")
        ),
    ]
)
def opener(request):
    """Opens versions that live in one place, and cleans up after the test. The embedded shards lie in memory where
    the system has a folder for it: making one waits for the disk a dozen times (test_index_embedded uses the disk)."""
    name = uuid.uuid4().hex[:8]
    folder = tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None)
    url = {"embedded": folder.name, "memory": f"memory://{name}", "server": SERVER_URL}[request.param]
    opened = []

    def open_version(version="a", **settings_):
        opened.append(open_index(url, version=f"{name}-{version}", **settings_))
        return opened[-1]

    yield open_version
    for index in opened:
        index.close()
    folder.cleanup()
    if request.param == "server":
        client = QdrantClient(url=SERVER_URL, check_compatibility=False)
        for collection in client.get_collections().collections:
            if collection.name.startswith(f"photos-{name}"):
                client.delete_collection(collection.name)
        client.close()


@pytest.fixture
def index(opener):
    return opener()


def vectors(count, seed=0):
    drawn = np.random.default_rng(seed).normal(size=(count, DIM))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def point(photo_id, image, fused=None, words="", product_id=None, **payload):
    fields = {
        "merchant_id": "acme",
        "product_id": product_id or photo_id,
        "photo_id": photo_id,
        "category": "mugs",
        "brand": "Kiln",
        "price": 10.0,
        "currency": "EUR",
        "in_stock": True,
    }
    return PhotoPoint(PointPayload(**(fields | payload)), image, image if fused is None else fused, words)


def products(hits):
    return [hit.product_id for hit in hits]


def brute_force(points, image, weight=0.5):
    """The best photo of each product by numpy: [(product id, photo id, score)], best first."""
    unit = image / np.linalg.norm(image)
    best = {}
    for p in points:
        score = weight * float(p.image @ unit) + (1 - weight) * float(p.fused @ unit)
        if p.payload.product_id not in best or score > best[p.payload.product_id][1]:
            best[p.payload.product_id] = (p.payload.photo_id, score)
    ranked = sorted(best.items(), key=lambda entry: (-entry[1][1], entry[0]))
    return [(product_id, photo_id, score) for product_id, (photo_id, score) in ranked]


def test_photo_search_equals_numpy(opener):
    index = opener(image_weight=0.7)
    image, fused, (query,) = vectors(60, 1), vectors(60, 2), vectors(1, 3)
    points = [point(f"photo{i:02d}", image[i], fused[i], product_id=f"product{i % 20:02d}") for i in range(60)]
    index.upsert(points)
    (hits,) = index.nearest([IndexQuery(ACME, image=query, limit=10)])
    expected = brute_force(points, query, weight=0.7)[:10]
    assert [(hit.product_id, hit.photo_id) for hit in hits] == [entry[:2] for entry in expected]
    for hit, (_, photo_id, score) in zip(hits, expected, strict=True):
        row = int(photo_id.removeprefix("photo"))
        assert hit.score == pytest.approx(score, abs=1e-5)
        assert hit.image_score == pytest.approx(image[row] @ query, abs=1e-5)
        assert hit.fused_score == pytest.approx(fused[row] @ query, abs=1e-5)
        assert hit.text_score is None
        assert hit.payload == points[row].payload


def test_a_query_of_any_length_is_a_direction(index):
    index.upsert([point("x", 5 * vectors(1)[0])])
    (hits,) = index.nearest([IndexQuery(ACME, image=0.01 * vectors(1)[0])])
    assert hits[0].image_score == pytest.approx(1.0, abs=1e-5)


def test_photos_of_a_product_are_one_hit_with_votes(index):
    a, b = vectors(2)
    near = [a + 0.01 * i * b for i in range(4)]
    index.upsert([point(f"a{i}", near[i], product_id="a") for i in range(4)] + [point("b0", b, product_id="b")])
    (hits,) = index.nearest([IndexQuery(ACME, image=a)])
    assert [(hit.product_id, hit.photo_id, hit.votes) for hit in hits] == [("a", "a0", 4), ("b", "b0", 1)]


def test_many_photos_of_few_products_do_not_hide_the_others(index):
    a, b, c = vectors(3)
    crowd = a + 0.05 * vectors(200, 5)
    index.upsert([point(f"a{i}", crowd[i], product_id="a", words="mug") for i in range(200)])
    index.upsert([point("b0", b, product_id="b", words="mug mug"), point("c0", c, product_id="c", words="mug")])
    for query in (
        IndexQuery(ACME, image=a),
        IndexQuery(ACME, text=a, words="mug"),
        IndexQuery(ACME, image=a, words="mug"),
        IndexQuery(ACME, words="mug"),
    ):
        (hits,) = index.nearest([query])
        assert sorted(products(hits)) == ["a", "b", "c"]
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_equal_scores_are_ordered_by_product(index):
    (same,) = vectors(1)
    index.upsert([point(f"photo{i}", same, words="mug", product_id=f"product{i}") for i in (3, 1, 2, 0)])
    for query in (IndexQuery(ACME, image=same), IndexQuery(ACME, words="mug")):
        assert products(index.nearest([query])[0]) == ["product0", "product1", "product2", "product3"]


def test_another_merchant_is_never_seen(index):
    (same,) = vectors(1)
    index.upsert([point("mine", same, words="mug"), point("theirs", same, words="mug", merchant_id="other")])
    for query in (IndexQuery(ACME, image=same), IndexQuery(ACME, words="mug"), IndexQuery(ACME, text=same)):
        assert products(index.nearest([query])[0]) == ["mine"]
    assert index.nearest([IndexQuery(Filters("nobody"), image=same)]) == [[]]
    assert (index.count(ACME), index.count(Filters("other")), index.count()) == (1, 1, 2)
    assert list(index.photo_ids("acme")) == ["mine"]


CATALOGUE = [
    {"product_id": "cup", "category": "mugs", "brand": "Kiln", "price": 10.0, "currency": "EUR", "in_stock": True},
    {"product_id": "jug", "category": "jugs", "brand": "Kiln", "price": 20.0, "currency": "EUR", "in_stock": False},
    {"product_id": "pot", "category": "pots", "brand": "Oven", "price": 20.01, "currency": "USD", "in_stock": True},
    {"product_id": "gift", "category": "mugs", "brand": "Oven", "price": None, "currency": None, "in_stock": True},
]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {"cup", "jug", "pot", "gift"}),
        ({"categories": ("mugs",)}, {"cup", "gift"}),
        ({"categories": ("mugs", "pots")}, {"cup", "pot", "gift"}),
        ({"categories": ("hats",)}, set()),
        ({"brands": ("Kiln",)}, {"cup", "jug"}),
        ({"categories": ("mugs",), "brands": ("Kiln",)}, {"cup"}),
        ({"price_min": 10.0, "price_max": 20.0}, {"cup", "jug"}),
        ({"price_min": 10.01}, {"jug", "pot"}),
        ({"price_max": 9.99}, set()),
        ({"price_min": 0.0}, {"cup", "jug", "pot"}),
        ({"price_min": 0.0, "currency": "USD"}, {"pot"}),
        ({"currency": "EUR"}, {"cup", "jug"}),
        ({"in_stock": True}, {"cup", "pot", "gift"}),
        ({"in_stock": False}, {"jug"}),
        ({"exclude_photo_ids": ("cup-photo", "pot-photo", "unknown")}, {"jug", "gift"}),
    ],
)
def test_filters(index, filters, expected):
    drawn = vectors(len(CATALOGUE))
    index.upsert([point(f"{p['product_id']}-photo", drawn[i], words="clay", **p) for i, p in enumerate(CATALOGUE)])
    wanted = Filters("acme", **filters)
    by_photo, by_words, by_both = index.nearest(
        [
            IndexQuery(wanted, image=drawn[0]),
            IndexQuery(wanted, words="clay"),
            IndexQuery(wanted, image=drawn[0], text=drawn[1], words="clay"),
        ]
    )
    assert set(products(by_photo)) == set(products(by_words)) == set(products(by_both)) == expected
    assert index.count(wanted) == len(expected)


SHIRTS = {
    "red": (("colour", "red"), ("size", "38"), ("size", "40")),
    "blue": (("colour", "blue"), ("size", "40.5"), ("Größe.[0]", "="), ("wash", "30 °C")),
    "both": (("colour", "red"), ("colour", "blue"), ("size", "XL"), ("size=40", "red")),
    "bare": (),
}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([("colour", ("red",))], {"red", "both"}),
        ([("colour", ("red", "blue", "pink"))], {"red", "blue", "both"}),
        ([("colour", ("red",)), ("size", ("XL", "44"))], {"both"}),
        ([("colour", ("red",)), ("size", ("40.5",))], set()),
        ([("size", ("40",))], {"red"}),
        ([("size", (), 39.0, None)], {"red", "blue"}),
        ([("size", (), None, 38.0)], {"red"}),
        ([("size", (), 40.1, 50.0)], {"blue"}),
        ([("size", (), 38.5, 39.5)], set()),
        ([("wash", (), 0.0, 100.0)], set()),
        ([("colour", (), 0.0, None)], set()),
        ([("Größe.[0]", ("=",))], {"blue"}),
        ([("nothing", ("red",))], set()),
    ],
)
def test_attributes_narrow_every_kind_of_search(index, wanted, expected):
    drawn = vectors(len(SHIRTS))
    index.upsert(
        [
            point(name, drawn[i], words="shirt", attributes=attributes)
            for i, (name, attributes) in enumerate(SHIRTS.items())
        ]
    )
    filters = Filters("acme", attributes=tuple(AttributeFilter(*each) for each in wanted))
    answers = index.nearest(
        [
            IndexQuery(filters, image=drawn[0]),
            IndexQuery(filters, words="shirt"),
            IndexQuery(filters, image=drawn[0], text=drawn[1], words="shirt"),
        ]
    )
    assert [set(products(hits)) for hits in answers] == [expected] * 3
    assert index.count(filters) == len(expected)


def test_attributes_and_group_change_without_a_vector(index):
    (a,) = vectors(1)
    index.upsert([point("x", a, attributes=(("colour", "red"), ("ml", "300")), group="shirt")])
    index.set_payload("x", merchant_id="acme", attributes=(("colour", "blue"),), group="")
    assert index.count(Filters("acme", attributes=(AttributeFilter("colour", ("red",)),))) == 0
    assert index.count(Filters("acme", attributes=(AttributeFilter("ml", min=0.0),))) == 0
    (hits,) = index.nearest([IndexQuery(Filters("acme", attributes=(AttributeFilter("colour", ("blue",)),)), image=a)])
    assert [(hit.payload.group, hit.payload.attributes) for hit in hits] == [("", ())]


@pytest.mark.parametrize("kind", ["photo", "words", "both"])
def test_variants_of_an_article_count_once(index, kind):
    near, b, c = vectors(3)
    crowd = near + 0.02 * vectors(150, 5)
    index.upsert(
        [point(f"v{i:03d}", crowd[i], words="mug", group="mug") for i in range(150)]
        + [point(f"w{i}", near + (0.5 + i) * b, words="mug mug", group="jug") for i in range(2)]
        + [point("alone", near + c, words="mug"), point("mug", near + 2 * c, words="mug")]
    )
    query = {
        "photo": IndexQuery(ACME, image=near, limit=4),
        "words": IndexQuery(ACME, words="mug", limit=4),
        "both": IndexQuery(ACME, image=near, words="mug", limit=4),
    }[kind]
    (grouped,), (each,) = index.nearest([replace(query, grouped=True)]), index.nearest([query])
    articles = [hit.payload.group or hit.product_id for hit in grouped]
    assert set(articles) == {"mug", "jug", "alone"}
    assert {hit.product_id for hit in grouped if not hit.payload.group} == {"alone", "mug"}
    assert (articles.count("jug"), sum(hit.payload.group == "mug" for hit in grouped)) == (2, 10)
    assert [hit.score for hit in grouped] == sorted((hit.score for hit in grouped), reverse=True)
    assert len(each) == 4


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("thermos", "thermos"),
        ("THERMOS rot", "thermos"),
        ("保温杯", "chinese"),
        ("温杯", "chinese"),
        ("红色", "chinese"),
        ("杯", "chinese"),
        ("ZX-4711/b", "sku"),
        ("zx4711b", "sku"),
        ("4711", "sku"),
        ("cafe creme", "accents"),
    ],
)
def test_words_alone_find_by_title(index, words, expected):
    drawn = vectors(4)
    titles = {
        "thermos": "Thermos rot",
        "chinese": "小米红色保温杯",
        "sku": "Adapter ZX-4711/B",
        "accents": "Café Crème",
    }
    index.upsert([point(name, drawn[i], words=title) for i, (name, title) in enumerate(titles.items())])
    (hits,) = index.nearest([IndexQuery(ACME, words=words)])
    assert products(hits) == [expected]
    assert hits[0].text_score == hits[0].score > 0
    assert hits[0].image_score is hits[0].fused_score is None


def test_words_with_their_vector_use_both(index):
    a, b, c = vectors(3)
    index.upsert([point("by-vector", a), point("by-both", a, words="kettle"), point("by-word", b, words="kettle")])
    index.upsert([point("neither", c, words="towel")])
    (hits,) = index.nearest([IndexQuery(ACME, text=a, words="kettle")])
    assert products(hits)[0] == "by-both"
    assert set(products(hits)[:3]) == {"by-both", "by-vector", "by-word"}
    scores = {hit.product_id: hit for hit in hits}
    assert scores["by-vector"].text_score == 0.0
    assert scores["by-both"].text_score == scores["by-word"].text_score > 0
    assert scores["by-vector"].fused_score == pytest.approx(1.0, abs=1e-5)
    assert scores["by-vector"].image_score is None


def test_photo_and_words_prefer_what_matches_both(index):
    red, blue, other = vectors(3)
    index.upsert(
        [
            point("red-mug", red, words="red mug"),
            point("red-bowl", red + 0.01 * other, words="red bowl"),
            point("blue-mug", blue, words="blue mug"),
            point("towel", other, words="towel"),
        ]
    )
    (hits,) = index.nearest([IndexQuery(ACME, image=red + 0.02 * other, text=red, words="mug")])
    assert products(hits)[0] == "red-mug"
    assert products(hits)[-1] == "towel"


def test_fused_query_lies_between_photo_and_text(index):
    a, b = vectors(2)
    index.upsert([point("x", a, fused=(a + b) / np.linalg.norm(a + b))])
    (hits,) = index.nearest([IndexQuery(ACME, image=3 * a, text=b)])
    assert hits[0].fused_score == pytest.approx(1.0, abs=1e-5)
    assert hits[0].score == pytest.approx(0.5 * hits[0].image_score + 0.5 * hits[0].fused_score)


def test_a_batch_answers_as_its_queries_alone(index):
    image, fused = vectors(40, 1), vectors(40, 2)
    index.upsert([point(f"p{i:02d}", image[i], fused[i], words=f"mug no{i % 7}") for i in range(40)])
    queries = [
        IndexQuery(ACME, image=image[3]),
        IndexQuery(ACME, words="no3", limit=3),
        IndexQuery(Filters("acme", exclude_photo_ids=("p05",)), image=image[5], text=fused[5], words="no5"),
        IndexQuery(Filters("nobody"), image=image[3]),
        IndexQuery(ACME, text=fused[9], limit=1),
        IndexQuery(ACME, words="!!"),
    ]
    together = index.nearest(queries)
    for hits, query in zip(together, queries, strict=True):
        (alone,) = index.nearest([query])
        assert [(hit.product_id, hit.photo_id, hit.votes) for hit in hits] == [
            (hit.product_id, hit.photo_id, hit.votes) for hit in alone
        ]
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in alone])
    assert [len(hits) for hits in together] == [10, 3, 10, 0, 1, 0]


def test_no_queries_and_empty_index(index):
    (query,) = vectors(1)
    assert index.nearest([]) == []
    assert index.nearest([IndexQuery(ACME, image=query), IndexQuery(ACME, words="mug")]) == [[], []]
    assert index.count() == 0
    assert list(index.photo_ids("acme")) == []
    index.upsert([])
    index.forget([])
    index.forget(["unknown"])


def test_limit_beyond_the_products(index):
    drawn = vectors(3)
    index.upsert([point(f"p{i}", drawn[i]) for i in range(3)])
    few, one, none = index.nearest(
        [IndexQuery(ACME, image=drawn[0], limit=limit) for limit in (100, 1, 0)],
    )
    assert (len(few), products(one), none) == (3, ["p0"], [])


def test_upsert_twice_changes_nothing_and_replaces(index):
    a, b = vectors(2)
    index.upsert([point("x", a, words="mug")])
    index.upsert([point("x", a, words="mug")])
    assert index.count() == 1
    index.upsert([point("x", b, words="bowl", category="bowls")])
    by_photo, by_old, by_new = index.nearest(
        [IndexQuery(ACME, image=b), IndexQuery(ACME, words="mug"), IndexQuery(ACME, words="bowl")]
    )
    assert by_photo[0].image_score == pytest.approx(1.0, abs=1e-5)
    assert by_photo[0].payload.category == "bowls"
    assert (by_old, products(by_new), index.count()) == ([], ["x"], 1)


def test_forget(index):
    a, b = vectors(2)
    index.upsert([point("x", a), point("y", b)])
    index.forget(["x", "unknown"])
    index.forget(["x"])
    assert list(index.photo_ids("acme")) == ["y"]
    assert products(index.nearest([IndexQuery(ACME, image=a)])[0]) == ["y"]


def test_photo_and_words_are_weighed(index):
    a, b = vectors(2)
    index.upsert(
        [point("photo", a, words="red lamp"), point("words", b, words="blue mug"), point("none", -a, words="x")]
    )

    def ranked(weight):
        (hits,) = index.nearest([IndexQuery(ACME, image=a, text=b, words="blue mug", photo_weight=weight)])
        return {hit.product_id: hit.score for hit in hits}

    assert next(iter(ranked(1.0))) == "photo"
    assert next(iter(ranked(0.0))) == "words"
    assert ranked(0.0) == pytest.approx({"words": 1.0, "photo": 0.0, "none": 0.0}, abs=1e-6)
    halves = ranked(0.5)
    assert halves["words"] > 0.5 > halves["photo"] > halves["none"]


def test_what_is_weighed_is_scored_by_the_part_that_did_not_find_it(index):
    """More photos than are looked at, and a word that only the one farthest from the photo has."""
    rows, (asked,) = vectors(100, 4), vectors(1, 5)
    far = int(np.argmin(rows @ asked))
    index.upsert([point(f"photo{i:03d}", row, words="mug" if i == far else "") for i, row in enumerate(rows)])
    (hits,) = index.nearest([IndexQuery(ACME, image=asked, words="mug", photo_weight=0.4)])
    assert (products(hits)[0], len(hits)) == (f"photo{far:03d}", 10)
    looks = {f"photo{i:03d}": float(row @ asked) for i, row in enumerate(rows)}
    for hit in hits:
        spoken = float(hit.product_id == f"photo{far:03d}")
        assert hit.score == pytest.approx(0.4 * looks[hit.product_id] + 0.6 * spoken, abs=1e-5)
        assert hit.image_score == pytest.approx(looks[hit.product_id], abs=1e-5)
        assert (hit.text_score > 0) == bool(spoken)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_either_half_may_count_for_nothing(opener, weight):
    index = opener(image_weight=weight)
    image, fused, (query,) = vectors(30, 6), vectors(30, 7), vectors(1, 8)
    points = [point(f"photo{i:02d}", image[i], fused[i]) for i in range(30)]
    index.upsert(points)
    (hits,) = index.nearest([IndexQuery(ACME, image=query)])
    assert products(hits) == [entry[0] for entry in brute_force(points, query, weight)[:10]]
    rows = [int(hit.photo_id.removeprefix("photo")) for hit in hits]
    assert [hit.image_score for hit in hits] == pytest.approx(list(image[rows] @ query), abs=1e-5)
    assert [hit.fused_score for hit in hits] == pytest.approx(list(fused[rows] @ query), abs=1e-5)


def test_image_vectors_come_back_as_they_were_stored(index):
    a, b = vectors(2)
    assert index.image_vectors(["x"]) == {}
    index.upsert([point("x", a), point("y", 3 * b)])
    found = index.image_vectors(["y", "unknown", "x"])
    assert set(found) == {"x", "y"}
    assert found["x"] == pytest.approx(a / np.linalg.norm(a), abs=1e-6)
    assert found["y"] == pytest.approx(b / np.linalg.norm(b), abs=1e-6)
    assert (found["x"].dtype, index.image_vectors([])) == (np.float32, {})


def test_set_payload_changes_what_filters_match(index):
    a, b = vectors(2)
    index.upsert([point("x1", a, product_id="x"), point("x2", b, product_id="x"), point("y1", b, product_id="y")])
    index.upsert([point("z1", b, product_id="x", merchant_id="other")])
    index.set_payload("x", merchant_id="acme", price=None, currency=None, in_stock=False, brand="Oven", category="pots")
    index.set_payload("x", merchant_id="acme")
    index.set_payload("unknown", merchant_id="acme", price=1.0)
    (hits,) = index.nearest([IndexQuery(Filters("acme", in_stock=False), image=a)])
    expected = point("x1", a, product_id="x", price=None, currency=None, in_stock=False, brand="Oven", category="pots")
    assert [hit.payload for hit in hits] == [expected.payload]
    assert index.count(Filters("acme", brands=("Oven",), categories=("pots",))) == 2
    assert index.count(Filters("acme", price_min=0.0)) == 1
    assert index.count(Filters("other", price_min=0.0, in_stock=True)) == 1
    index.set_payload("x", merchant_id="acme", price=5.0, currency="USD")
    assert index.count(Filters("acme", price_min=5.0, price_max=5.0, currency="USD")) == 2


def test_refused_input_changes_nothing(index):
    (a,) = vectors(1)
    for bad in (a[:10], np.full(DIM, np.nan), a[None]):
        with pytest.raises(ValueError, match="vector"):
            index.upsert([point("fine", a), point("bad", bad)])
        with pytest.raises(ValueError, match="vector"):
            index.nearest([IndexQuery(ACME, image=bad)])
    with pytest.raises(ValueError, match="photo_id"):
        index.set_payload("x", merchant_id="acme", photo_id="other")
    with pytest.raises(ValueError, match="needs"):
        index.nearest([IndexQuery(ACME)])
    assert index.count() == 0


def test_photo_ids_reads_page_by_page(index, monkeypatch):
    monkeypatch.setattr("recognition.index._schema.SCROLL_PAGE", 7)
    drawn = vectors(30)
    index.upsert([point(f"p{i}", drawn[i]) for i in range(30)])
    assert sorted(index.photo_ids("acme")) == sorted(f"p{i}" for i in range(30))


def test_a_dropped_version_is_gone_and_one_in_use_is_not_dropped(opener):
    old, new = opener("old"), opener("new")
    gone, live = (next(v for v in new.versions() if v.endswith(end)) for end in ("-old", "-new"))
    new.promote(live)
    with pytest.raises(ValueError, match="in use"):
        new.drop(live)
    with pytest.raises(ValueError, match="in use"):
        old.drop(gone)  # what is opened here
    old.close()
    new.drop(gone)
    new.drop(gone)
    assert gone not in new.versions()
    assert live in new.versions()


def test_versions_are_apart_and_promote_moves_the_live_one(opener):
    old, new = opener("old"), opener("new")
    (a,) = vectors(1)
    old.upsert([point("x", a)])
    assert (old.count(), new.count()) == (1, 0)
    name = old.versions()[0].split("-")[0]
    assert [v for v in new.versions() if v.startswith(name)] == [f"{name}-new", f"{name}-old"]
    old.promote(f"{name}-old")
    assert (old.health().version, new.health().version) == (f"{name}-old", f"{name}-old")
    assert old.health().notes == ()
    assert "live one is" in " ".join(new.health().notes)
    with pytest.raises(ValueError, match="no collection"):
        new.promote("never-made")
    new.promote(f"{name}-new")
    new.promote(f"{name}-new")
    assert old.health().version == f"{name}-new"
    old.promote(f"{name}-old")
    assert new.health().version == f"{name}-old"
    assert (old.health().points, old.health().ok) == (1, True)


def test_reopened_it_still_knows(opener):
    first = opener()
    (a,) = vectors(1)
    first.upsert([point("x", a, words="mug")])
    version = first.versions()[0]
    first.promote(version)
    first.flush()
    first.close()
    first.close()
    again = opener()
    assert products(again.nearest([IndexQuery(ACME, image=a)])[0]) == ["x"]
    assert (again.count(), again.health().version) == (1, version)


def test_another_vector_length_is_refused(opener):
    opener().close()
    with pytest.raises(ValueError, match="128"):
        opener(dim=128)


@pytest.mark.parametrize("version", ["", "a/b", "../up", "-x", "v" * 101])
def test_a_version_that_cannot_name_a_collection_is_refused(tmp_path, version):
    with pytest.raises(ValueError, match="version"):
        open_index(str(tmp_path), version=version)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("url", "weight"), [("redis://x", 0.5), ("memory://", 1.5)])
def test_settings_that_can_never_work_are_refused(url, weight):
    with pytest.raises(ValueError, match=r"address|share"):
        open_index(url, version="v", image_weight=weight)


def test_an_inventory_tells_every_point_of_every_merchant(index):
    image = vectors(7, 9)
    ids = [str(uuid.uuid4()) for _ in image]
    shelf = [point(ids[i], image[i], merchant_id="acme" if i % 2 else "other", price=None) for i in range(7)]
    index.upsert(shelf)
    pages, after = [], None
    while not pages or after:
        page, after = index.points(after, 3)
        pages.append(page)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert {each.payload.photo_id: each.payload for page in pages for each in page} == {
        each.payload.photo_id: each.payload for each in shelf
    }
    assert not any(each.misplaced for page in pages for each in page)
    (stored,) = index.stored([ids[2], str(uuid.uuid4())])
    assert (stored.payload, stored.misplaced) == (shelf[2].payload, False)
    assert index.stored([]) == []
    index.remove([stored.point_id, str(uuid.uuid4())])
    index.remove([])
    assert index.stored(ids[2:3]) == []
    assert index.count() == 6


def test_a_point_under_an_id_that_no_photo_has_is_told(index, monkeypatch):
    (image,) = vectors(1, 3)
    monkeypatch.setattr("recognition.index._schema.point_id", lambda photo_id: str(uuid.UUID(int=5)))
    index.upsert([point("photo", image)])
    monkeypatch.undo()
    index.upsert([point("photo", image)])
    page, _ = index.points(None, 10)
    assert sorted(each.misplaced for each in page) == [False, True]
    index.remove([each.point_id for each in page if each.misplaced])
    assert [each.misplaced for each in index.points(None, 10)[0]] == [False]


@st.composite
def shelves(draw):
    """Photos of a merchant, each with its payload; prices from few values so that bounds are hit."""
    return [
        {
            "product_id": f"p{draw(st.integers(0, 9))}",
            "category": draw(st.sampled_from("abc")),
            "brand": draw(st.sampled_from("xy")),
            "price": draw(st.sampled_from([None, 1.0, 2.0, 3.0])),
            "currency": draw(st.sampled_from(["EUR", "USD", None])),
            "in_stock": draw(st.booleans()),
        }
        for _ in range(draw(st.integers(0, 40)))
    ]


wanted_filters = st.builds(
    Filters,
    merchant_id=st.just(""),
    categories=st.sets(st.sampled_from("abcd"), max_size=2).map(tuple),
    brands=st.sets(st.sampled_from("xy"), max_size=1).map(tuple),
    price_min=st.sampled_from([None, 1.0, 1.5, 2.0]),
    price_max=st.sampled_from([None, 2.0, 3.0]),
    currency=st.sampled_from([None, None, "EUR"]),
    in_stock=st.sampled_from([None, None, True, False]),
)


def allows(filters, payload):
    if filters.price_min is not None and (payload.price is None or payload.price < filters.price_min):
        return False
    if filters.price_max is not None and (payload.price is None or payload.price > filters.price_max):
        return False
    return (
        (not filters.categories or payload.category in filters.categories)
        and (not filters.brands or payload.brand in filters.brands)
        and filters.currency in (None, payload.currency)
        and filters.in_stock in (None, payload.in_stock)
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shelf=shelves(), filters=wanted_filters, limit=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_filtered_nearest_equals_brute_force(index, shelf, filters, limit, seed):
    merchant = uuid.uuid4().hex
    drawn = vectors(2 * len(shelf) + 1, seed)
    points = [
        point(f"{merchant}-{i}", drawn[2 * i], drawn[2 * i + 1], merchant_id=merchant, **p) for i, p in enumerate(shelf)
    ]
    index.upsert(points)
    filters = replace(filters, merchant_id=merchant)
    (hits,) = index.nearest([IndexQuery(filters, image=drawn[-1], limit=limit)])
    matching = [p for p in points if allows(filters, p.payload)]
    expected = brute_force(matching, drawn[-1])[:limit]
    assert [(hit.product_id, hit.photo_id) for hit in hits] == [entry[:2] for entry in expected]
    assert [hit.score for hit in hits] == pytest.approx([entry[2] for entry in expected], abs=1e-5)
    assert index.count(filters) == len(matching)
