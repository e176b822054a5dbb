"""The webhooks of the OpenAPI document: every type is described, and what is really sent is exactly what it says."""

import base64
import io
import json

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from PIL import Image
from rest_framework.test import APIClient

from catalog.models import TEST_EVENT, EventType, WebhookEvent
from catalog.services.job import job_cancel
from catalog.services.result import search_result_store
from catalog.services.review import item_accept, item_reject
from catalog.services.upload import upload_cancel, upload_create
from catalog.services.webhooks.endpoint import endpoint_create, endpoint_test
from tests.api_support import API, candidate, jpeg, search_result
from workers.contract import Fault

FAULT = Fault(code="photo_truncated", message="The photo is cut off.", kind="client")


@pytest.fixture(scope="module")
def schema(django_db_setup):
    return APIClient().get("/api/schema?format=json").json()


def closed(schema):
    """The same schemas, in which a field that is not described is a fault."""
    schemas = {
        name: {**each, "additionalProperties": False} if each.get("type") == "object" and "properties" in each else each
        for name, each in schema["components"]["schemas"].items()
    }
    return {"schemas": schemas}


@pytest.fixture
def told(shop):
    """One event of each kind at least, with every part filled once and empty once."""
    endpoint, _ = endpoint_create(merchant=shop.merchant, url="https://shop.test/hook", events=list(EventType.values))
    product = shop.product("A")
    found = shop.search(photo=jpeg())
    search_result_store(result=search_result(found, candidate(product, shop.photo(product)), verdict="SURE"))
    failed = shop.search()
    search_result_store(result=search_result(failed, fault=FAULT))
    job_cancel(job=shop.recognition())
    upload_cancel(upload=upload_create(merchant=shop.merchant, name="a.csv", stream=io.BytesIO(b"sku,title")))
    item_accept(item=shop.item(product), reviewer=None, reviewer_name="Ada")
    item_reject(item=shop.item(product, job=found), reviewer=None, reviewer_name="Ada")
    endpoint_test(endpoint=endpoint)
    return [json.loads(body) for body in WebhookEvent.objects.values_list("body", flat=True)]


def test_every_event_is_what_the_document_says(schema, told):
    kinds = [*EventType.values, TEST_EVENT]
    assert sorted(schema["webhooks"]) == sorted(kinds) == sorted({body["type"] for body in told})
    assert {body["data"]["state"] for body in told if body["type"] == EventType.JOB_FINISHED} == {
        "done", "failed", "cancelled"
    }  # fmt: skip
    for body in told:
        operation = schema["webhooks"][body["type"]]["post"]
        assert operation["summary"] and "webhook-signature" in operation["description"]
        described = operation["requestBody"]["content"]["application/json"]["schema"]
        validator = Draft202012Validator({**described, "components": closed(schema)}, format_checker=FormatChecker())
        assert [error.message for error in validator.iter_errors(body)] == [], body


def photos_in(value):
    if isinstance(value, dict):
        found = [value["photo"]] if isinstance(value.get("photo"), str) else []
        return found + [photo for each in value.values() for photo in photos_in(each)]
    return [photo for each in value for photo in photos_in(each)] if isinstance(value, list) else []


def test_every_photo_of_an_example_can_be_sent_as_it_stands(schema, shop):
    photos = [photo for path in schema["paths"].values() for photo in photos_in(path.get("post", {}))]
    assert len(photos) == 3
    for photo in photos:
        Image.open(io.BytesIO(base64.b64decode(photo, validate=True))).load()
        assert shop.client.post(f"{API}/search-jobs", {"photo": photo}, format="json").status_code == 202
