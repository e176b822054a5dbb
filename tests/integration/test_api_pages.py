"""Pages stay right while rows come and go, and a list costs the same for one row and for thirty."""

import base64
import json
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.api import urls
from catalog.models import Job, JobKind, Product, Synonyms, Upload, UploadRow, WebhookEndpoint
from catalog.services.webhooks.endpoint import endpoint_create, endpoint_test
from tests.api_support import API, faults, problem


def walk(client, address, link="next"):
    """Every page from this one on."""
    pages = []
    while address:
        pages.append(client.get(address).json())
        address = pages[-1][link]
    return pages


def ids(pages):
    return [row["id"] for page in pages for row in page["results"]]


def test_pages_cover_everything_once_and_lead_back(shop):
    same_moment = timezone.now()
    for number in range(25):
        shop.product(f"P-{number}")
    Product.objects.filter(sku__endswith="1").update(created_at=same_moment)
    expected = [str(pk) for pk in Product.objects.order_by("-created_at", "id").values_list("pk", flat=True)]
    pages = walk(shop.client, f"{API}/products?page_size=10")
    assert [len(page["results"]) for page in pages] == [10, 10, 5]
    assert ids(pages) == expected
    assert pages[0]["previous"] is None and pages[-1]["next_cursor"] is None
    back = walk(shop.client, pages[-1]["previous"], "previous")
    assert ids(reversed(back)) == expected[:20]
    by_cursor = shop.client.get(f"{API}/products", {"page_size": 10, "cursor": pages[0]["next_cursor"]}).json()
    assert ids([by_cursor]) == expected[10:20]


def test_many_rows_of_one_moment(shop):
    Product.objects.bulk_create(
        Product(merchant=shop.merchant, sku=f"P-{number}", title="x") for number in range(1_200)
    )
    Product.objects.update(created_at=timezone.now())
    assert len(set(ids(walk(shop.client, f"{API}/products?page_size=200")))) == 1_200


def test_new_and_deleted_rows_shift_nothing(shop):
    for number in range(9):
        shop.product(f"P-{number}")
    first = shop.client.get(f"{API}/products?page_size=3").json()
    shop.product("NEW")
    Product.objects.get(sku="P-5").delete()
    Product.objects.get(pk=first["results"][-1]["id"]).delete()
    rest = walk(shop.client, first["next"])
    assert [row["sku"] for page in rest for row in page["results"]] == ["P-4", "P-3", "P-2", "P-1", "P-0"]


def test_filters_stay_in_the_links(shop):
    for number in range(6):
        shop.product(f"P-{number}", brand="A" if number % 2 else "B")
    pages = walk(shop.client, f"{API}/products?page_size=2&brand=A")
    assert [row["brand"] for page in pages for row in page["results"]] == ["A", "A", "A"]


def encoded(*values):
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "ü",
        encoded(),
        encoded(0, "yesterday", "1"),
        encoded(2, "2026-01-01T00:00:00+00:00", "0" * 32),
        encoded(0, "2026-01-01T00:00:00", "0" * 32),
        encoded(0, ["2026-01-01"], {}),
        encoded(0, None, None),
        base64.urlsafe_b64encode(b"7").decode(),
    ],
)
def test_a_cursor_of_somebody_elses_making(shop, cursor):
    problem(shop.client.get(f"{API}/products", {"cursor": cursor}), 422, "cursor_invalid")


@pytest.mark.parametrize("size", ["0", "201", "-1", "ten", "1e2", "١"])
def test_page_sizes(shop, size):
    assert faults(problem(shop.client.get(f"{API}/products", {"page_size": size}), 422, "invalid")) == {
        "page_size": "invalid"
    }


def make_products(shop, count):
    for number in range(count):
        shop.photo(shop.product(f"N-{count}-{number}"))


def make_photos(shop, count):
    product = Product.objects.filter(merchant=shop.merchant, sku="ONE").first() or shop.product("ONE")
    for number in range(count):
        shop.photo(product, position=number)


def make_uploads(shop, count):
    for _ in range(count):
        Upload.objects.create(merchant=shop.merchant, name="a.zip", source="spool/a")


def make_rows(shop, count):
    upload = Upload.objects.filter(merchant=shop.merchant).first() or Upload.objects.create(
        merchant=shop.merchant, name="a.zip", source="spool/a"
    )
    start = upload.rows.count() + 2
    UploadRow.objects.bulk_create(
        UploadRow(upload=upload, number=start + number, verdict="created") for number in range(count)
    )


def make_searches(shop, count):
    for _ in range(count):
        shop.search()


def make_recognitions(shop, count):
    for number in range(count):
        shop.recognition((number, count, 0))


def make_items(shop, count):
    for number in range(count):
        shop.item(shop.product(f"I-{count}-{number}"), shop.product(f"J-{count}-{number}"))


def make_endpoints(shop, count):
    for number in range(count):
        WebhookEndpoint.objects.create(merchant=shop.merchant, url=f"https://shop.test/{count}/{number}", events=[])


def make_deliveries(shop, count):
    endpoint = WebhookEndpoint.objects.filter(merchant=shop.merchant).first()
    endpoint = endpoint or endpoint_create(merchant=shop.merchant, url="https://a.test/", events=["job.finished"])[0]
    for _ in range(count):
        endpoint_test(endpoint=endpoint)


def make_synonyms(shop, count):
    Synonyms.objects.bulk_create(Synonyms(merchant=shop.merchant, words=["mug", "cup"]) for _ in range(count))


KEY = 1  # the query that finds the API key
LISTS = [
    ("products", make_products, KEY + 1),
    ("products/{product}/photos", make_photos, KEY + 2),
    ("uploads", make_uploads, KEY + 1),
    ("uploads/{upload}/rows", make_rows, KEY + 2),
    ("search-jobs", make_searches, KEY + 1),
    ("recognition-jobs", make_recognitions, KEY + 1),
    ("webhook-endpoints", make_endpoints, KEY + 1),
    ("webhook-deliveries", make_deliveries, KEY + 1),
    ("synonyms", make_synonyms, KEY + 1),
    ("review-items", make_items, KEY + 4),  # items, products of all candidates, matched photos, rejections
]


def test_no_list_is_forgotten():
    """Keys have two rows from the start, and a test of their own in test_api_key_management."""
    routes = [each for each in urls.urlpatterns if getattr(each.callback, "actions", {}).get("get") == "list"]
    paths = {str(each.pattern).removeprefix("api/v1/") for each in routes}
    assert {re.sub(r"\{.*?\}", "<>", path) for path, *_ in LISTS} | {"keys"} == {
        re.sub(r"<.*?>", "<>", path) for path in paths
    }


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the plan is read as SQLite tells it")
@pytest.mark.parametrize(("path", "make"), [each[:2] for each in LISTS], ids=[path for path, *_ in LISTS])
def test_a_page_far_down_is_found_in_an_index_and_read_from_there(shop, path, make):
    make(shop, 3)
    product, upload = Product.objects.first(), Upload.objects.first()
    address = f"{API}/" + path.format(product=product and product.pk, upload=upload and upload.pk)
    second = shop.client.get(f"{address}?page_size=1").json()["next"]
    with CaptureQueriesContext(connection) as seen:
        shop.client.get(second)
    (page,) = (query["sql"] for query in seen if query["sql"].endswith("LIMIT 2"))
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {page}")
        plan = [(parent, words) for _, parent, _, words in cursor.fetchall()]
    found = [words for parent, words in plan if parent == 0 and words.startswith(("SEARCH", "SCAN"))]
    if "photos" in path:  # a product has a hundred at most
        assert "(product_id=?)" in found[0]
        return
    assert any(re.search(r"USING INDEX .*_id=\? AND (kind=\? AND )?(created_at<\?|number>\?)", each) for each in found)
    assert not any(words == "USE TEMP B-TREE FOR ORDER BY" for parent, words in plan if parent == 0)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the plan is read as SQLite tells it")
def test_a_page_of_one_brand_is_found_in_an_index_and_read_from_there(shop):
    for number in range(3):
        shop.product(f"P-{number}", brand="A")
    second = shop.client.get(f"{API}/products", {"page_size": 1, "brand": "A"}).json()["next"]
    with CaptureQueriesContext(connection) as seen:
        assert len(shop.client.get(second).json()["results"]) == 1
    (page,) = (query["sql"] for query in seen if query["sql"].endswith("LIMIT 2"))
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {page}")
        plan = [words for _, parent, _, words in cursor.fetchall() if parent == 0]
    assert "USING INDEX product_brand (merchant_id=? AND brand=? AND created_at<?)" in plan[0]
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan


@pytest.mark.parametrize(("path", "make", "queries"), LISTS, ids=[path for path, *_ in LISTS])
def test_a_page_costs_the_same_for_one_row_and_for_thirty(shop, django_assert_num_queries, path, make, queries):
    make(shop, 1)
    shop.client.get(f"{API}/products")  # notes the key's use
    product, upload = Product.objects.first(), Upload.objects.first()
    address = f"{API}/" + path.format(product=product and product.pk, upload=upload and upload.pk)
    with django_assert_num_queries(queries):
        assert len(shop.client.get(address).json()["results"]) == 1
    make(shop, 29)
    with django_assert_num_queries(queries):
        assert len(shop.client.get(address).json()["results"]) == 30


def test_a_search_costs_the_same_for_one_hit_and_for_thirty(shop, django_assert_num_queries):
    shop.client.get(f"{API}/products")
    for count in (1, 30):
        item = shop.item(*(shop.product(f"S-{count}-{number}") for number in range(count)))
        job = shop.search()
        Job.objects.filter(pk=job.pk).update(
            state="done", candidates=item.candidates, request=job.request | {"limit": count}
        )
        with django_assert_num_queries(KEY + 3):  # the job, the products, the matched photos
            assert len(shop.client.get(f"{API}/search-jobs/{job.pk}").json()["hits"]) == count


def test_a_recognition_costs_the_same_for_one_item_and_for_thirty(shop, django_assert_num_queries):
    shop.client.get(f"{API}/products")
    for count in (1, 30):
        job = Job.objects.create(
            merchant=shop.merchant, kind=JobKind.RECOGNITION, created_at=timezone.now() - timedelta(minutes=1)
        )
        for number in range(count):
            shop.item(shop.product(f"R-{count}-{number}"), job=job)
        with django_assert_num_queries(KEY + 8):  # job, items, products, photos, rejections, two counts, failed photos
            body = shop.client.get(f"{API}/recognition-jobs/{job.pk}").json()
        assert len(body["items"]["results"]) == body["progress"]["finished"] == count
