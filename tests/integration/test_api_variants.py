"""Attributes and variants in searches: what narrows them, which articles are hits, and what is counted over them."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import Job, LedgerState, Photo, Product
from catalog.selectors.product import product_facts
from catalog.services.job import search_message
from catalog.services.photo import photos_refresh
from catalog.services.result import search_result_store
from tests.api_support import API, candidate, faults, problem, search_result
from workers.contract import AttributeFilter


def start(shop, **body):
    return shop.client.post(f"{API}/search-jobs", {"words": "tee"} | body, format="json")


def started(shop, **body):
    response = start(shop, **body)
    assert response.status_code == 202, response.json()
    return Job.objects.get(pk=response.json()["id"])


def answer(shop, found, **body):
    job = started(shop, **body)
    search_result_store(result=search_result(job, *found))
    return shop.client.get(f"{API}/search-jobs/{job.pk}").json()


def skus(body):
    return [hit["product"]["sku"] for hit in body["hits"]]


@pytest.fixture
def tees(shop, other):
    """A tee in four variants, three of them found; two other articles, one of them in two variants."""
    facts = {
        "TEE-M-RED": ("TEE", "20", "red"),
        "CAP": ("", "8", "red"),
        "TEE-L-RED": ("TEE", "22", "red"),
        "TEE-M-BLUE": ("TEE", "15", "blue"),
        "SOCK-38": ("SOCK", "5", "blue"),
        "SOCK-42": ("SOCK", None, "blue"),
    }
    found = []
    for place, (sku, (group, price, colour)) in enumerate(facts.items()):
        product = shop.product(
            sku, variant_group=group, price=price, currency="EUR", attributes={"colour": colour, "size": ["M", 38]}
        )
        photo = shop.photo(product)
        found.append(candidate(product, photo, rank=0.9 - place / 10, image=None, text=1.0, probability=None, votes=1))
    shop.product("TEE-A", variant_group="TEE")
    shop.photo(shop.product("GONE", variant_group="TEE"))
    Product.objects.filter(sku="GONE").update(deleted_at="2026-01-01T00:00Z")
    other.product("THEIRS", variant_group="TEE")
    return found


def test_an_article_is_one_hit_with_its_other_variants(shop, tees):
    body = answer(shop, tees)
    assert (skus(body), body["found"]) == (["TEE-M-RED", "CAP", "SOCK-38"], 3)
    tee, cap, sock = body["hits"]
    assert [(each["sku"], each["found"], each["price"]) for each in tee["variants"]] == [
        ("TEE-L-RED", True, "22.00"),
        ("TEE-M-BLUE", True, "15.00"),
        ("TEE-A", False, None),
    ]
    first = tee["variants"][0]
    assert set(first) == {"id", "sku", "title", "price", "currency", "in_stock", "attributes", "photo_url", "found"}
    assert first["photo_url"].startswith("http://testserver/photos/")
    assert first["attributes"] == {"colour": "red", "size": ["M", 38]}
    assert tee["why"] == (
        "Its text matches the words: words score 1.00. It stands for 4 variants of one article, 3 of which were found."
    )
    assert (cap["variants"], [each["sku"] for each in sock["variants"]]) == ([], ["SOCK-42"])
    assert cap["why"] == "Its text matches the words: words score 1.00."


def test_an_article_of_very_many_variants(shop, tees):
    Product.objects.bulk_create(
        Product(merchant=shop.merchant, sku=f"SOCK-A{n:02}", title="Sock", variant_group="SOCK") for n in range(60)
    )
    sock = answer(shop, tees)["hits"][2]
    assert [each["sku"] for each in sock["variants"]] == ["SOCK-42", *(f"SOCK-A{n:02}" for n in range(49))]
    assert [each["found"] for each in sock["variants"]] == [True] + [False] * 49


def test_every_variant_by_itself(shop, tees):
    body = answer(shop, tees, group_variants=False)
    assert (len(body["hits"]), body["found"]) == (6, 6)
    assert all(hit["variants"] == [] and "variants" not in hit["why"] for hit in body["hits"])
    assert not search_message(Job.objects.get()).grouped


def test_the_variant_that_the_order_puts_first_stands_for_its_article(shop, tees):
    body = answer(shop, tees, sort="price_asc", filters={"currency": "EUR"}, limit=2)
    assert (skus(body), body["found"]) == (["SOCK-38", "CAP"], 3)
    assert skus(answer(shop, tees, sort="price_asc", filters={"currency": "EUR"}))[2] == "TEE-M-BLUE"
    assert skus(answer(shop, tees, min_score=0.85)) == ["TEE-M-RED"]


def test_facets_count_articles_by_what_any_of_their_found_variants_has(shop, tees):
    body = answer(shop, tees, facets=["attributes.colour", "prices", "brands"])
    colour, prices, brands = (each["values"] for each in body["facets"])
    assert {each["value"]: each["count"] for each in colour} == {"red": 2, "blue": 2}
    assert prices == [{"value": "EUR", "count": 3, "min": "5.00", "max": "22.00"}]
    assert [each["count"] for each in brands] == [3]
    alone = answer(shop, tees, facets=["attributes.colour"], group_variants=False)
    assert {each["value"]: each["count"] for each in alone["facets"][0]["values"]} == {"red": 3, "blue": 3}


def test_one_statement_for_all_variants(shop, tees):
    def statements(found):
        job = started(shop)
        search_result_store(result=search_result(job, *found))
        with CaptureQueriesContext(connection) as seen:
            shop.client.get(f"{API}/search-jobs/{job.pk}")
        return len(seen)

    assert statements(tees) == statements(tees[:1]) == statements(tees[1:2]) + 1


def test_workers_are_told_what_narrows_and_groups(shop):
    wanted = {"colour": ["red", 5, 1.5, True], "volume_ml": {"min": 300, "max": 500.5}, "size": {"max": 40}}
    message = search_message(started(shop, filters={"attributes": wanted}))
    assert message.filters.attributes == (
        AttributeFilter(name="colour", values=("red", "5", "1.5", "true")),
        AttributeFilter(name="volume_ml", min=300.0, max=500.5),
        AttributeFilter(name="size", max=40.0),
    )
    assert message.grouped
    product = shop.product(
        variant_group="MUG",
        attributes={"colour": ["red", "blue", "red"], "ml": 350, "deep": {"x": 1}, "note": "x" * 201, "empty": ""},
    )
    facts = product_facts(product)
    assert (facts.group, facts.attributes) == ("MUG", (("colour", "red"), ("colour", "blue"), ("ml", "350")))
    product.attributes = {f"list {n}": list(range(300)) for n in range(3)}
    assert len(product_facts(product).attributes) == 500


def test_a_hit_says_what_of_the_attributes_it_has(shop, tees):
    wanted = {"size": ["38", "M", "40"], "colour": ["red"]}
    job = started(shop, filters={"attributes": wanted})
    assert shop.client.get(f"{API}/search-jobs/{job.pk}").json()["request"]["filters"]["attributes"] == wanted
    search_result_store(result=search_result(job, tees[1]))
    (hit,) = shop.client.get(f"{API}/search-jobs/{job.pk}").json()["hits"]
    assert hit["why"].endswith(" It has size M and 38, colour red.")
    Product.objects.filter(sku="CAP").update(attributes={"size": 39})  # changed since
    (hit,) = shop.client.get(f"{API}/search-jobs/{job.pk}").json()["hits"]
    assert hit["why"].endswith(" It has size 39, colour no more.")


@pytest.mark.parametrize(
    ("attributes", "field", "code"),
    [
        ([], "attributes", "attributes_not_an_object"),
        ("red", "attributes", "attributes_not_an_object"),
        ({f"name {n}": ["x"] for n in range(11)}, "attributes", "attribute_names_too_many"),
        ({"": ["red"]}, "attributes", "attribute_name_invalid"),
        ({"x" * 101: ["red"]}, f"attributes.{'x' * 100}", "attribute_name_invalid"),
        ({"colour": "red"}, "attributes.colour", "attribute_not_a_list"),
        ({"colour": None}, "attributes.colour", "attribute_not_a_list"),
        ({"colour": []}, "attributes.colour", "attribute_values_number"),
        ({"colour": ["red"] * 51}, "attributes.colour", "attribute_values_number"),
        ({"colour": [""]}, "attributes.colour", "attribute_value_invalid"),
        ({"colour": ["x" * 201]}, "attributes.colour", "attribute_value_invalid"),
        ({"colour": ["a\u001fb"]}, "attributes.colour", "attribute_value_invalid"),
        ({"colour": [None]}, "attributes.colour", "attribute_value_invalid"),
        ({"colour": [["red"]]}, "attributes.colour", "attribute_value_invalid"),
        ({"colour": [{"is": "red"}]}, "attributes.colour", "attribute_value_invalid"),
        ({"ml": {}}, "attributes.ml", "attribute_range_invalid"),
        ({"ml": {"min": None}}, "attributes.ml", "attribute_range_invalid"),
        ({"ml": {"min": "1"}}, "attributes.ml", "attribute_range_invalid"),
        ({"ml": {"min": True}}, "attributes.ml", "attribute_range_invalid"),
        ({"ml": {"max": 1e15}}, "attributes.ml", "attribute_range_invalid"),
        ({"ml": {"min": 2, "max": 1}}, "attributes.ml", "attribute_range_invalid"),
        ({"ml": {"min": 2, "least": 1}}, "attributes.ml", "attribute_range_invalid"),
    ],
)
def test_attributes_that_mean_nothing(shop, attributes, field, code):
    told = faults(problem(start(shop, filters={"attributes": attributes}), 422, "invalid"))
    assert told == {f"filters.{field}": code}
    assert not Job.objects.exists()


def test_products_are_listed_by_their_article(shop, tees):
    rows = shop.client.get(f"{API}/products", {"variant_group": "SOCK"}).json()["results"]
    assert [row["sku"] for row in rows] == ["SOCK-42", "SOCK-38"]
    made = shop.client.put(f"{API}/products/by-sku/SOCK-38", {"variant_group": " sock \n 2 "}, format="json")
    assert made.json()["variant_group"] == "sock 2"
    refused = shop.client.put(f"{API}/products/by-sku/SOCK-38", {"variant_group": "x" * 101}, format="json")
    assert faults(problem(refused, 422, "invalid")) == {"variant_group": "variant_group_too_long"}


def test_a_release_that_tells_more_is_told_without_a_look_at_the_photos(shop, other):
    photos = [shop.photo(shop.product()), other.photo(other.product())]
    Photo.objects.update(bundle_version="bundle-1")
    assert photos_refresh(merchant=shop.merchant) == 1
    states = dict(Photo.objects.values_list("pk", "state"))
    assert [states[photo.pk] for photo in photos] == [LedgerState.PENDING, LedgerState.DONE]
    assert photos_refresh() == 1
    assert set(Photo.objects.values_list("bundle_version", flat=True)) == {"bundle-1"}
