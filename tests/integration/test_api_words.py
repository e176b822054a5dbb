"""Words as shoppers write them: with a slip of the pen, in words of their own, in more than one language."""

import uuid

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import Synonyms
from catalog.selectors.words import SPELLED, words_read
from catalog.services.job import search_message
from catalog.services.product import product_delete
from catalog.services.result import search_result_store
from catalog.services.synonyms import synonyms_create
from tests.api_support import API, candidate, faults, problem, search_result

ADDRESS = f"{API}/synonyms"


def post(shop, *words):
    return shop.client.post(ADDRESS, {"words": list(words)}, format="json")


def read(shop, words):
    cache.clear()
    return [
        (each["word"], each["read_as"], each["because"]) for each in words_read(merchant=shop.merchant, words=words)
    ]


@pytest.fixture
def goods(shop, other):
    shop.product("A", title="Stoneware mug", brand="Hearth", category="Kitchen")
    shop.product("B", title="Stoneware bowl", brand="Hearth", category="Kitchen")
    shop.product("C", title="Schöner Krug 蓝色茶杯", brand="Café", category="")
    other.product("X", title="Stonewares theirs", brand="Wholly", category="Elsewhere")
    return shop


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("stonware", "stoneware"),
        ("stonneware", "stoneware"),
        ("stoenware", "stoneware"),
        ("stonevare", "stoneware"),
        ("Hearht", "hearth"),
        ("krüg", ""),
        ("schoener", "schoner"),
        ("stnewar", ""),  # two slips
        ("stoneware", ""),
        ("cafe", ""),  # the index does not tell accents apart either
        ("mgu", ""),  # too short to be sure
        ("MUG-12", ""),
        ("Elsewere", ""),  # another merchant's word
        ("蓝色", ""),
        ("!!", ""),
    ],
)
def test_a_slip_of_the_pen(goods, written, meant):
    expected = [(read_word, meant, "spelling") for read_word in [written.casefold().replace("ü", "u")] if meant]
    assert read(goods, written) == expected


def test_synonyms_in_any_language(goods, other):
    synonyms_create(merchant=goods.merchant, words=["mug", "coffee cup", "杯子"])
    synonyms_create(merchant=other.merchant, words=["mug", "theirs"])
    mug = [("mug", "coffee cup", "synonym"), ("mug", "杯子", "synonym")]
    assert read(goods, "Blue MUG") == mug
    assert read(goods, "a coffee-cup") == [("coffee cup", "mug", "synonym"), ("coffee cup", "杯子", "synonym")]
    assert read(goods, "蓝色杯子") == [("杯子", "mug", "synonym"), ("杯子", "coffee cup", "synonym")]
    assert read(goods, "smug and coffeecup") == [("smug", "mug", "spelling"), *mug]
    synonyms_create(merchant=goods.merchant, words=["stoneware", "clay"])
    assert read(goods, "stonware") == [("stonware", "stoneware", "spelling"), ("stoneware", "clay", "synonym")]


def test_a_search_is_sent_with_all_and_says_so(goods):
    synonyms_create(merchant=goods.merchant, words=["bowl", "dish"])
    job = goods.search(words="Stonware dish")
    assert search_message(job).words == "Stonware dish stoneware bowl"
    product = goods.product("D")
    found = candidate(product, goods.photo(product), image=None, probability=None, text=2.0, match="other", votes=1)
    search_result_store(result=search_result(job, found))
    body = goods.client.get(f"{API}/search-jobs/{job.pk}").json()
    assert body["request"]["words"] == "Stonware dish"
    assert body["request"]["read_as"] == [
        {"word": "stonware", "read_as": "stoneware", "because": "spelling"},
        {"word": "dish", "read_as": "bowl", "because": "synonym"},
    ]
    (hit,) = body["hits"]
    assert hit["why"] == (
        "Its text matches the words: words score 2.00. "
        "The words were read: “stonware” also as “stoneware”, “dish” also as “bowl”."
    )


def test_the_spelling_of_the_first_words_is_looked_at(goods):
    others = [f"other{chr(97 + number)}" for number in range(SPELLED - 1)]
    assert read(goods, " ".join([*others, *others, "stonware"])) == [("stonware", "stoneware", "spelling")]
    assert read(goods, " ".join([*others, "another", "stonware"])) == []


def test_a_word_longer_than_any_of_the_catalogue_has_no_edits_made(goods, monkeypatch):
    edited = []
    monkeypatch.setattr("catalog.selectors.words._edits", lambda word, letters: edited.append((word, letters)) or [])
    read(goods, "x" * 10 + " " + "y" * 11 + " " + "z" * 400)  # the longest word, stoneware, has nine letters
    assert edited == [("x" * 10, "".join(sorted(set("stonewaremughearthkitchenbowlschonerkrugcafe"))))]


def test_statements_do_not_grow(goods):
    for number in range(5):
        synonyms_create(merchant=goods.merchant, words=[f"word{number}", "other"])
    cache.clear()
    with CaptureQueriesContext(connection) as seen:
        words_read(merchant=goods.merchant, words="stonware word1 word2")
    assert len(seen) == 2
    with CaptureQueriesContext(connection) as seen:
        words_read(merchant=goods.merchant, words="stonware word1 word2")
    assert len(seen) == 1


def test_a_deleted_products_words_are_not_the_catalogues(goods):
    product = goods.product("D", title="Porcelain", brand="", category="")
    goods.photo(product)
    assert read(goods, "porcelan") == [("porcelan", "porcelain", "spelling")]
    product_delete(product=product)
    assert read(goods, "porcelan") == []


def test_add_read_change_delete(shop):
    made = post(shop, "mug", " coffee cup ", "Mug")
    assert made.status_code == 201, made.json()
    body = made.json()
    assert body["words"] == ["mug", "coffee cup"]
    assert made.headers["Location"] == f"http://testserver{ADDRESS}/{body['id']}"
    assert shop.client.get(made.headers["Location"]).json() == body
    changed = shop.client.put(f"{ADDRESS}/{body['id']}", {"words": ["mug", "杯子"]}, format="json")
    assert changed.json()["words"] == ["mug", "杯子"]
    assert [row["words"] for row in shop.client.get(ADDRESS).json()["results"]] == [["mug", "杯子"]]
    assert shop.client.delete(f"{ADDRESS}/{body['id']}").status_code == 204
    problem(shop.client.get(f"{ADDRESS}/{body['id']}"), 404, "not_found")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], "synonyms_too_few"),
        (["mug"], "synonyms_too_few"),
        (["Mug", "mug!"], "synonyms_too_few"),
        (["mug", "!!"], "synonyms_too_few"),
    ],
)
def test_a_set_needs_two_words(shop, words, code):
    assert faults(problem(post(shop, *words), 422, "invalid")) == {"words": code}
    assert not Synonyms.objects.exists()


def test_odd_bodies(shop):
    for words in ("mug", [1, {}], ["a" * 61, "b"], [f"w{n}" for n in range(21)], None):
        problem(shop.client.post(ADDRESS, {"words": words}, format="json"), 422, "invalid")
    assert not Synonyms.objects.exists()


def test_others_synonyms_are_not_there(shop, other):
    theirs = synonyms_create(merchant=other.merchant, words=["mug", "cup"])
    for method in ("get", "delete"):
        problem(getattr(shop.client, method)(f"{ADDRESS}/{theirs.pk}"), 404, "not_found")
    problem(shop.client.put(f"{ADDRESS}/{theirs.pk}", {"words": ["a", "b"]}, format="json"), 404, "not_found")
    problem(shop.client.get(f"{ADDRESS}/{uuid.uuid4()}"), 404, "not_found")
    problem(shop.public.get(ADDRESS), 403, "permission_denied")
    assert Synonyms.objects.get().words == ["mug", "cup"]


def test_sets_are_limited(shop):
    Synonyms.objects.bulk_create([Synonyms(merchant=shop.merchant, words=["a", "b"]) for _ in range(1_000)])
    problem(post(shop, "mug", "cup"), 409, "synonyms_too_many")
