"""The OpenAPI document is valid, complete, and shown by a page that loads nothing from elsewhere."""

import re

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from jsonschema import Draft202012Validator, FormatChecker
from rest_framework.test import APIClient

from catalog.api import urls
from catalog.api.problems import PROBLEMS
from catalog.models import LedgerState, Photo, Scope, Upload, UploadRow, WebhookAttempt
from catalog.services.result import search_result_store
from catalog.services.synonyms import synonyms_create
from catalog.services.webhooks.endpoint import endpoint_create, endpoint_test
from tests.api_support import API, PROBLEM, candidate, jpeg, search_result

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def schema(django_db_setup):
    return APIClient().get("/api/schema?format=json").json()


@pytest.fixture
def operations(schema):
    return [operation for path in schema["paths"].values() for name, operation in path.items() if name in METHODS]


def test_it_is_valid_and_nothing_is_guessed(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))


def test_it_is_openapi_3_1(schema):
    assert schema["openapi"].startswith("3.1")
    assert schema["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"


def test_every_address_is_in_it(schema):
    documented = {re.sub(r"\{\w+\}", "*", path) for path in schema["paths"]}
    served = {
        "/" + re.sub(r"<\w+:\w+>", "*", str(each.pattern)) for each in urls.urlpatterns if "api/v1" in str(each.pattern)
    }
    assert documented == served


def test_every_operation_is_described(operations):
    assert len({each["operationId"] for each in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"] and operation["description"], operation["operationId"]
        ((scope,),) = (each["ApiKey"] for each in operation["security"])
        assert scope in Scope.values and scope != Scope.ALL, f"{operation['operationId']}: name the view's scopes"
        for parameter in operation.get("parameters", []):
            assert parameter.get("description") or parameter["in"] == "path", (operation["operationId"], parameter)


def test_every_operation_names_its_errors_with_examples(operations):
    for operation in operations:
        errors = {status: each for status, each in operation["responses"].items() if status >= "400"}
        assert {"401", "403", "429", "500", "503"} <= set(errors), operation["operationId"]
        for status, response in errors.items():
            assert list(response["content"]) == [PROBLEM]
            for example in response["content"][PROBLEM]["examples"].values():
                assert str(PROBLEMS[example["value"]["code"]][0]) == status
        good = [each for status, each in operation["responses"].items() if status < "400"]
        assert good and all(each["description"] for each in good), operation["operationId"]


def test_every_post_takes_an_idempotency_key(schema):
    for path in schema["paths"].values():
        for method, operation in path.items():
            names = [parameter["name"] for parameter in operation.get("parameters", [])]
            assert ("Idempotency-Key" in names) == (method == "post")


def test_what_runs_later_says_where_to_look(operations):
    for operation in operations:
        if "202" in operation["responses"]:
            assert "Location" in operation["responses"]["202"]["headers"], operation["operationId"]


def full_answers(shop):
    """Addresses whose answers have every part filled, with the path in the document that describes them."""
    product = shop.product("A", price="5.00", currency="EUR", attributes={"volume": 1})
    photo = shop.photo(product)
    waiting, finished = shop.search(photo=jpeg()), shop.search()
    search_result_store(result=search_result(finished, candidate(product, photo, text=1.0), verdict="SURE"))
    recognition = shop.recognition((1, 1, 1), (2, 2, 2))
    Photo.objects.filter(job=recognition, position=0).update(
        state=LedgerState.FAILED, error_code="x", error_message="X"
    )
    item = shop.item(product, job=recognition, product=product, decided_at=finished.created_at)
    upload = Upload.objects.create(merchant=shop.merchant, name="a.zip", source="spool/a")
    trouble = [{"code": "x", "message": "X.", "field": "price", "photo": ""}]
    UploadRow.objects.create(upload=upload, number=2, verdict="refused", problems=trouble, values={"sku": "A"})
    words = synonyms_create(merchant=shop.merchant, words=["mug", "cup"])
    endpoint, _ = endpoint_create(merchant=shop.merchant, url="https://shop.test/hook", events=["job.finished"])
    delivery = endpoint_test(endpoint=endpoint)
    WebhookAttempt.objects.create(
        delivery=delivery, number=1, at=finished.created_at, seconds=0.5, status=500, error_code="http_error"
    )
    return [
        ("/products", "products"),
        ("/products/{id}", f"products/{product.pk}"),
        ("/products/{product_id}/photos", f"products/{product.pk}/photos"),
        ("/photos/{id}", f"photos/{photo.pk}"),
        ("/uploads", "uploads"),
        ("/uploads/{id}", f"uploads/{upload.pk}"),
        ("/uploads/{id}/rows", f"uploads/{upload.pk}/rows"),
        ("/search-jobs", "search-jobs"),
        ("/search-jobs/{id}", f"search-jobs/{waiting.pk}"),
        ("/search-jobs/{id}", f"search-jobs/{finished.pk}"),
        ("/recognition-jobs", "recognition-jobs"),
        ("/recognition-jobs/{id}", f"recognition-jobs/{recognition.pk}"),
        ("/keys", "keys"),
        ("/keys/{id}", f"keys/{shop.public_key.pk}"),
        ("/review-items", "review-items"),
        ("/review-items/{id}", f"review-items/{item.pk}"),
        ("/synonyms", "synonyms"),
        ("/synonyms/{id}", f"synonyms/{words.pk}"),
        ("/webhook-endpoints", "webhook-endpoints"),
        ("/webhook-endpoints/{id}", f"webhook-endpoints/{endpoint.pk}"),
        ("/webhook-deliveries", "webhook-deliveries"),
        ("/webhook-deliveries/{id}", f"webhook-deliveries/{delivery.pk}"),
    ]


def test_answers_are_what_the_document_says(shop, schema):
    for path, address in full_answers(shop):
        described = schema["paths"][f"{API}{path}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        response = shop.client.get(f"{API}/{address}")
        assert response.status_code == 200, response.json()
        validator = Draft202012Validator(
            {**described, "components": schema["components"]}, format_checker=FormatChecker()
        )
        assert [error.message for error in validator.iter_errors(response.json())] == [], address


def test_the_page_loads_nothing_from_elsewhere(db):
    page = APIClient().get("/api/docs").content.decode()
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    sources.remove("/api/docs?script=")  # the page's own script, served apart from it
    assert sources and all(source.startswith("/static/drf_spectacular_sidecar/") for source in sources)
    assert all(finders.find(source.removeprefix("/static/")) for source in sources)
    assert not re.findall(r"https?://(?!testserver)", page)
