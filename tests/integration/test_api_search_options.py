"""Searches that say more than what they look for: which hits count, in what order, and what is counted over them."""

import base64
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import Job, Product
from catalog.services.job import search_message
from catalog.services.result import search_result_store
from tests.api_support import API, candidate, faults, jpeg, problem, search_result

PHOTO = base64.b64encode(jpeg()).decode()


def start(shop, **body):
    return shop.client.post(f"{API}/search-jobs", body, format="json")


def started(shop, **body):
    response = start(shop, **body)
    assert response.status_code == 202, response.json()
    return Job.objects.get(pk=response.json()["id"])


@pytest.fixture
def goods(shop):
    """Four products, the first found first; the candidates as a worker would send them."""
    mugs, red = {"category": "Kitchen/Mugs"}, {"colour": "red"}
    facts = {
        "A": {"price": "20", "brand": "Hearth", **mugs, "attributes": {**red, "for": ["tea"]}},
        "B": {"price": "5", "brand": "Forge", **mugs, "in_stock": False, "attributes": {"colour": "blue"}},
        "C": {"brand": "Hearth", "category": "Kitchen", "attributes": {**red, "for": ["tea", "milk"], "x": {"y": 1}}},
        "D": {"price": "12.50", "brand": "", "category": "", "attributes": {"dishwasher": True}},
    }
    matches = {"A": ("same", 0.8), "B": ("similar", 0.1), "C": ("similar", 0.05), "D": ("other", 0.01)}
    found = []
    for number, (sku, values) in enumerate(facts.items()):
        product = shop.product(sku, currency="EUR", **values)
        Product.objects.filter(pk=product.pk).update(created_at=product.created_at + timedelta(days=number))
        match, chance = matches[sku]
        found.append(candidate(product, shop.photo(product), rank=0.9 - number / 10, match=match, probability=chance))
    return found


def answer(shop, goods, **body):
    job = started(shop, photo=PHOTO, **body)
    search_result_store(result=search_result(job, *goods, verdict="SURE"))
    return shop.client.get(f"{API}/search-jobs/{job.pk}").json()


def skus(body):
    return "".join(hit["product"]["sku"] for hit in body["hits"])


def counted(body):
    return {each["name"]: {value["value"]: value["count"] for value in each["values"]} for each in body["facets"]}


EUR = {"filters": {"currency": "EUR"}}


@pytest.mark.parametrize(
    ("options", "expected", "found"),
    [
        ({}, "ABCD", 4),
        ({"limit": 2}, "AB", 4),
        ({"sort": "price_asc", **EUR}, "BDAC", 4),
        ({"sort": "price_desc", "limit": 3, **EUR}, "ADB", 4),
        ({"sort": "newest"}, "DCBA", 4),
        ({"match": "same"}, "A", 1),
        ({"match": "similar", "sort": "newest", "limit": 1}, "C", 3),
        ({"min_probability": 0.05}, "ABC", 3),
        ({"min_score": 0.75}, "AB", 2),
        ({"min_score": 2}, "", 0),
    ],
)
def test_which_hits_count_and_in_what_order(shop, goods, options, expected, found):
    body = answer(shop, goods, **options)
    assert (skus(body), body["found"]) == (expected, found)
    asked = {name: value for name, value in options.items() if name not in ("filters", "limit")}
    assert asked.items() <= body["request"].items()


def test_facets_are_counted_over_all_that_was_found(shop, goods):
    names = ["categories", "brands", "in_stock", "prices", "attributes.colour", "attributes.for", "attributes.x"]
    body = answer(shop, goods, facets=names, limit=1)
    assert skus(body) == "A"
    assert counted(body) == {
        "categories": {"Kitchen/Mugs": 2, "Kitchen": 1},
        "brands": {"Hearth": 2, "Forge": 1},
        "in_stock": {"true": 3, "false": 1},
        "prices": {"EUR": 3},
        "attributes.colour": {"red": 2, "blue": 1},
        "attributes.for": {"tea": 2, "milk": 1},
        "attributes.x": {},
    }
    assert [each["name"] for each in body["facets"]] == names
    assert body["facets"][3]["values"] == [{"value": "EUR", "count": 3, "min": "5.00", "max": "20.00"}]
    assert body["facets"][1]["values"][0] == {"value": "Hearth", "count": 2, "min": None, "max": None}
    sifted = answer(shop, goods, facets=["brands"], match="same")
    assert counted(sifted) == {"brands": {"Hearth": 1}}


def test_a_worker_looks_deeper_only_where_options_need_it(shop):
    assert search_message(started(shop, words="mug", limit=5)).limit == 5
    assert search_message(started(shop, words="mug", limit=5, sort="newest")).limit == 100
    assert search_message(started(shop, words="mug", facets=["brands"])).limit == 100
    assert search_message(shop.search()).limit == 10  # made before there were options


def test_options_in_a_form(shop):
    body = {"photo": SimpleUploadedFile("a.jpg", jpeg()), "facets": '["brands"]', "match": "same", "min_score": "0.5"}
    response = shop.client.post(f"{API}/search-jobs", body)
    assert response.status_code == 202, response.json()
    asked = response.json()["request"]
    assert (asked["facets"], asked["match"], asked["min_score"]) == (["brands"], "same", 0.5)


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"sort": "price_asc"}, "sort", "invalid"),
        ({"sort": "random"}, "sort", "invalid_choice"),
        ({"match": "same"}, "match", "invalid"),
        ({"min_probability": 0.5}, "min_probability", "invalid"),
        ({"photo": PHOTO, "min_probability": 1.5}, "min_probability", "max_value"),
        ({"facets": ["colour"]}, "facets.0", "facet_unknown"),
        ({"facets": ["attributes."]}, "facets.0", "facet_unknown"),
        ({"facets": "brands"}, "facets", "not_a_list"),
        ({"facets": ["brands"] * 21}, "facets", "max_length"),
    ],
)
def test_options_that_mean_nothing(shop, body, field, code):
    assert faults(problem(start(shop, words="mug", **body), 422, "invalid"))[field] == code
    assert not Job.objects.exists()


def test_a_category_stands_for_all_beneath_it(shop, other, goods):
    other.product("X", category="Kitchen/Theirs")
    shop.product("Y", category="Kitchenware")
    asked = {"categories": ["Kitchen/*", "Lamps", "Nothing/*"]}
    job = started(shop, words="mug", filters=asked)
    with CaptureQueriesContext(connection) as seen:
        categories = search_message(job).filters.categories
    assert (categories, len(seen)) == (
        ("Kitchen/*", "Lamps", "Nothing/*", "Kitchen", "Kitchen/Mugs"),
        2,
    )  # they, and the live bundle
    assert (
        shop.client.get(f"{API}/search-jobs/{job.pk}").json()["request"]["filters"]["categories"] == asked["categories"]
    )


def test_statements_do_not_grow(shop, goods):
    def statements(**body):
        job = started(shop, photo=PHOTO, **body)
        search_result_store(result=search_result(job, *goods, verdict="SURE"))
        with CaptureQueriesContext(connection) as seen:
            shop.client.get(f"{API}/search-jobs/{job.pk}")
        return len(seen)

    statements()
    assert statements() == statements(sort="newest", facets=["brands", "prices", "attributes.colour"], match="similar")


def test_like_this_but_not_like_that(shop, goods):
    first, second = goods[0].product_id, goods[1].product_id
    job = started(shop, like=[str(first)], unlike=[str(second)], limit=3)
    message = search_message(job)
    assert (message.like, message.unlike) == ((goods[0].photo_id,), (goods[1].photo_id,))
    assert (message.limit, message.key, message.words) == (5, None, "")
    search_result_store(result=search_result(job, *goods))
    body = shop.client.get(f"{API}/search-jobs/{job.pk}").json()
    assert (skus(body), body["found"]) == ("CD", 2)  # an example is no answer
    assert body["hits"][0]["why"].endswith(" You asked for what is like 1 of your examples, unlike 1.")
    assert (body["request"]["like"], body["request"]["unlike"]) == ([str(first)], [str(second)])


def test_examples_are_ones_own_and_have_a_photo(shop, other):
    theirs, bare = other.product("A"), shop.product("BARE")
    other.photo(theirs)
    problem(start(shop, like=[str(theirs.pk)]), 404, "product_not_found")
    problem(start(shop, like=[str(bare.pk)]), 422, "example_without_photo")
    assert not Job.objects.exists()


def test_photo_and_words_are_weighed(shop):
    job = started(shop, photo=PHOTO, words="mug", photo_weight=0.25)
    assert (search_message(job).photo_weight, search_message(job).limit) == (0.25, 10)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"photo_weight": 0.5}, "photo_weight"),
        ({"photo": PHOTO, "words": " ", "photo_weight": 0.5}, "photo_weight"),
        ({"photo": PHOTO, "photo_weight": 2}, "photo_weight"),
        ({"unlike": ["6f1c0c3e-5a7b-4c0e-9a3d-2f1b8c7d6e5f"]}, "unlike"),
        ({"photo": PHOTO, "like": ["6f1c0c3e-5a7b-4c0e-9a3d-2f1b8c7d6e5f"], "match": "same"}, "like"),
        ({"like": ["x"]}, "like.0"),
    ],
)
def test_examples_and_weights_that_mean_nothing(shop, body, field):
    assert field in faults(problem(start(shop, **{"words": "mug", **body}), 422, "invalid"))
