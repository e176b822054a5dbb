"""Attributes and variants on the search page: what the filters offer, what is asked, what a card says."""

import re

import pytest
from django.core.cache import cache
from django.test import Client

from catalog.models import Job, Merchant
from catalog.selectors.search_options import FacetValue
from catalog.services.result import search_result_store
from catalog.web.attributes import attribute_menus
from catalog.web.facets import catalogue_menus
from tests.api_support import Shop, candidate, search_result


@pytest.fixture
def shop(db):
    cache.clear()
    made = Shop("harbour")
    Merchant.objects.filter(pk=made.merchant.pk).update(public_search=True)
    return made


def ask(**fields):
    client = Client()
    response = client.post("/search", {"merchant": "harbour", "words": "mug", **fields})
    return client, response


def asked_filters(**fields):
    _, response = ask(**fields)
    assert response.status_code == 202, response.json()
    return Job.objects.latest("created_at").request["filters"]["attributes"]


def stocked(shop):
    """Twelve mugs: a colour that repeats, a volume that does not, a story of each, one thing that all are."""
    for number in range(12):
        told = {"colour": ("blue", "red")[number % 3 == 0], "volume_ml": 300 + 10 * number, "safe": True}
        shop.product(f"P-{number}", attributes=told | {"story": f"The story of mug {number}."})


def test_what_tells_products_apart_is_offered(shop):
    stocked(shop)
    colour, volume = attribute_menus(shop.merchant)
    assert (colour.name, colour.label, colour.facet) == ("colour", "Colour", "attributes.colour")
    assert (colour.is_range, colour.values) == (False, (FacetValue("blue", 8), FacetValue("red", 4)))
    assert (volume.label, volume.is_range) == ("Volume ml", True)
    assert [each.value for each in volume.values] == ["300", "410"]


def test_counts_of_a_sample_are_not_told(shop, monkeypatch):
    monkeypatch.setattr("catalog.web.attributes.SAMPLE", 11)
    stocked(shop)
    colour, _ = attribute_menus(shop.merchant)
    assert {each.count for each in colour.values} == {0}


def test_values_and_ranges_become_the_search(shop):
    stocked(shop)
    chosen = asked_filters(**{"attribute.colour": ["red", "red", "blue"], "attribute_max.volume_ml": " 350,5 "})
    assert chosen == [
        {"name": "colour", "values": ["red", "blue"], "min": None, "max": None},
        {"name": "volume_ml", "values": [], "min": None, "max": 350.5},
    ]
    options = Job.objects.latest("created_at").request
    assert options["facets"][-2:] == ["attributes.colour", "attributes.volume_ml"]
    assert (
        asked_filters(**{"attribute.story": "x", "attribute.": "y", "attribute_min.colour": "3"}) == []
    )  # not offered


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"attribute_min.volume_ml": "much"}, "Write plain numbers, for example 350."),
        ({"attribute_min.volume_ml": "nan"}, "Write plain numbers, for example 350."),
        ({"attribute_min.volume_ml": "1e99"}, "Write plain numbers, for example 350."),
        (
            {"attribute_min.volume_ml": "5", "attribute_max.volume_ml": "4"},
            "The lowest number is above the highest one.",
        ),
        ({"attribute.colour": [str(each) for each in range(51)]}, "These are too many at once."),
    ],
)
def test_what_means_nothing_is_refused_in_a_sentence(shop, fields, sentence):
    stocked(shop)
    _, response = ask(**fields)
    assert (response.status_code, response.json()["message"]) == (422, sentence)
    assert not Job.objects.exists()


def test_menus_are_read_once_a_minute(shop, django_assert_num_queries):
    stocked(shop)
    with django_assert_num_queries(5):  # attributes, categories, brands, prices, variants
        catalogue_menus(shop.merchant)
    with django_assert_num_queries(0):
        assert not catalogue_menus(shop.merchant).has_variants


def test_a_card_stands_for_its_variants(shop):
    facts = {"variant_group": "TEE", "price": "20.00", "currency": "EUR"}
    red = shop.product("TEE-RED", title="Tee, red", attributes={"colour": "red", "size": "M"}, **facts)
    blue = shop.product("TEE-BLUE", title="Tee, blue", attributes={"colour": "blue", "size": "M"}, **facts)
    client, response = ask()
    found = [candidate(each, shop.photo(each), image=None, text=1.0, probability=None) for each in (red, blue)]
    assert search_result_store(result=search_result(Job.objects.get(), *found))
    html = client.get(response.json()["address"]).json()["html"]
    assert (html.count('class="card"'), html.count("· 2 variants")) == (1, 1)
    assert re.findall(r'aria-pressed="(\w+)" data-sku="([\w-]+)"', html) == [("true", "TEE-RED"), ("false", "TEE-BLUE")]
    assert re.findall(r'variant-told">(.*?)<', html) == ["red", "blue"]  # the size is the same

    client, response = ask(every_variant="true")
    assert search_result_store(result=search_result(Job.objects.latest("created_at"), *found))
    html = client.get(response.json()["address"]).json()["html"]
    assert (html.count('class="card"'), html.count("variants")) == (2, 0)
    assert 'name="every_variant"' in Client().get("/").content.decode()
