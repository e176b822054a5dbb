"""A search's hits page by page: all that were found, in the search's order, right while products come and go."""

import base64
import json
from datetime import timedelta

import pytest
from django.utils import timezone

from catalog.models import Job, JobState, Product
from catalog.services.result import search_result_store
from tests.api_support import API, candidate, faults, problem, search_result
from tests.integration.test_api_pages import walk

HEAD = ["P-0", "P-1", "P-2", "P-3"]


def searched(shop, count=10, *, prices=range(100), limit=3, group="", **options):
    """A finished search that found so many products, the first one first."""
    products = [
        shop.product(f"P-{number}", price=str(prices[number]), currency="EUR", variant_group=group)
        for number in range(count)
    ]
    job = shop.search()
    Job.objects.filter(pk=job.pk).update(request=job.request | {"limit": limit} | options)
    found = [candidate(each, shop.photo(each), rank=0.9 - place / 1000) for place, each in enumerate(products)]
    search_result_store(result=search_result(job, *found, verdict="SURE"))
    return f"{API}/search-jobs/{job.pk}"


def skus(*pages):
    return [hit["product"]["sku"] for page in pages for hit in page["results"]]


def test_all_that_were_found_are_there_once_and_the_way_leads_back(shop):
    address = searched(shop)
    search = shop.client.get(address).json()
    assert (search["found"], len(search["hits"])) == (10, 3)
    pages = walk(shop.client, f"{address}/hits?page_size=4")
    assert [len(page["results"]) for page in pages] == [4, 4, 2]
    assert skus(*pages) == [f"P-{number}" for number in range(10)]
    assert pages[0]["results"][:3] == search["hits"]
    assert pages[0]["previous"] is None and pages[-1]["next_cursor"] is None
    back = walk(shop.client, pages[-1]["previous"], "previous")
    assert skus(*reversed(back)) == skus(*pages[:2])
    by_cursor = shop.client.get(f"{address}/hits", {"page_size": 4, "cursor": pages[0]["next_cursor"]}).json()
    assert skus(by_cursor) == skus(pages[1])


def test_pages_follow_the_order_that_was_asked_for(shop):
    address = searched(shop, prices=[5, 3, 9, 3, 1, 7, 3, 8, 2, 6], sort="price_asc")
    expected = ["P-4", "P-8", "P-1", "P-3", "P-6", "P-0", "P-9", "P-5", "P-7", "P-2"]
    pages = walk(shop.client, f"{address}/hits?page_size=3")
    assert skus(*pages) == expected
    assert skus(*reversed(walk(shop.client, pages[-1]["previous"], "previous"))) == expected[:9]


@pytest.mark.parametrize("sort", ["relevance", "price_asc"])
def test_deleted_products_shift_nothing(shop, sort):
    first = shop.client.get(f"{searched(shop, sort=sort)}/hits?page_size=4").json()
    Product.objects.filter(sku__in=["P-0", "P-3", "P-6"]).update(deleted_at=timezone.now())
    assert skus(first, *walk(shop.client, first["next"])) == [*HEAD, "P-4", "P-5", "P-7", "P-8", "P-9"]


def test_an_article_is_one_hit(shop):
    address = searched(shop, 3, group="MUG", group_variants=True)
    (page,) = walk(shop.client, f"{address}/hits")
    assert skus(page) == ["P-0"]
    assert [each["sku"] for each in page["results"][0]["variants"]] == ["P-1", "P-2"]


def test_a_page_costs_the_same_for_one_hit_and_for_thirty(shop, django_assert_num_queries):
    address = searched(shop, 30)
    shop.client.get(address)  # notes the key's use
    for size in (1, 30):
        with django_assert_num_queries(4):  # the key, the search, products, matched photos
            assert len(shop.client.get(f"{address}/hits?page_size={size}").json()["results"]) == size


def test_before_the_end_there_are_none_and_after_a_month_none_any_more(shop, other):
    waiting = f"{API}/search-jobs/{shop.search().pk}/hits"
    assert shop.client.get(waiting).json() == {"next": None, "previous": None, "next_cursor": None, "results": []}
    address = searched(shop, 1)
    assert skus(shop.public.get(f"{address}/hits").json()) == ["P-0"]
    problem(other.client.get(f"{address}/hits"), 404, "not_found")
    problem(other.public.get(f"{address}/hits"), 404, "not_found")
    Job.objects.filter(state=JobState.DONE).update(finished_at=timezone.now() - timedelta(days=30))
    problem(shop.client.get(f"{address}/hits"), 410, "job_expired")


def encoded(*values):
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


@pytest.mark.parametrize("cursor", ["x", "ü", encoded(), encoded(0), encoded(2, 1), encoded(0, "a"), encoded(0, None)])
def test_a_cursor_of_somebody_elses_making(shop, cursor):
    problem(shop.client.get(f"{searched(shop, 1)}/hits", {"cursor": cursor}), 422, "cursor_invalid")


@pytest.mark.parametrize("cursor", [encoded(0, 10**400), encoded(0, float("nan")), encoded(1, 0, 0, 0)])
def test_odd_numbers_break_nothing(shop, cursor):
    assert shop.client.get(f"{searched(shop, 1)}/hits", {"cursor": cursor}).status_code in (200, 422)


def test_page_sizes(shop):
    response = shop.client.get(f"{searched(shop, 1)}/hits", {"page_size": "0"})
    assert faults(problem(response, 422, "invalid")) == {"page_size": "invalid"}
