"""The Python client against the OpenAPI document: every operation has a call, every model and parameter a schema."""

import inspect
import re
import types
import typing

import pytest
from rest_framework.test import APIClient

from vitrine import Vitrine, models, params
from vitrine._calls import Resource, call, stream

API = "/api/v1/"
METHODS = {"get", "post", "put", "patch", "delete"}
LEFT_OUT = {
    ("DELETE", "search-jobs/{id}"): "the same as cancel, which a retry may repeat",
    ("DELETE", "recognition-jobs/{id}"): "the same as cancel, which a retry may repeat",
}
# The fullest component of each model; where lists show less, that component too: what it lacks has a default.
MODELS = {
    models.Fault: ["FaultShape"],
    models.Error: ["ErrorShape"],
    models.QueuePlace: ["QueuePlaceShape"],
    models.ProductBrief: ["ProductBrief"],
    models.Product: ["ProductShape"],
    models.Photo: ["PhotoShape"],
    models.RowProblem: ["RowProblem"],
    models.BulkLine: ["LineShape"],
    models.Bulk: ["BulkShape"],
    models.UploadProgress: ["UploadProgressShape"],
    models.Upload: ["UploadDetail", "UploadShape"],
    models.UploadRow: ["RowShape"],
    models.Scores: ["ScoresShape"],
    models.Variant: ["VariantShape"],
    models.Hit: ["HitShape"],
    models.ExamplePhoto: ["ExampleShape"],
    models.Reading: ["ReadingShape"],
    models.FacetValue: ["FacetValueShape"],
    models.Facet: ["FacetShape"],
    models.SearchRequest: ["SearchRequestShape"],
    models.SearchJob: ["SearchShape", "SearchSummary"],
    models.ItemPhoto: ["ItemPhoto"],
    models.Item: ["ItemShape"],
    models.Claims: ["ClaimShape"],
    models.RecognitionRequest: ["RecognitionRequestShape"],
    models.RecognitionProgress: ["ProgressShape"],
    models.FailedPhoto: ["FailedPhoto"],
    models.RecognitionJob: ["RecognitionShape", "RecognitionSummary"],
    models.HeatMap: ["HeatMapShape"],
    models.SeenPhoto: ["SeenPhotoShape"],
    models.ScorePart: ["ScorePartShape"],
    models.Similarity: ["SimilarityShape"],
    models.Explanation: ["ExplanationShape"],
    models.Synonyms: ["SynonymsShape"],
    models.WebhookEndpoint: ["EndpointWithSecret", "EndpointShape"],
    models.WebhookAttempt: ["AttemptShape"],
    models.WebhookDelivery: ["DeliveryDetail", "DeliveryShape"],
    models.Key: ["NewKeyShape", "KeyShape"],
}
NOT_OF_THE_DOCUMENT = {models.Model, models.Job, models.Page, models.Event, models.WebhookEvent}
BODIES = {
    params.SearchParams: "SearchBodyRequest",
    params.Filters: "FiltersBodyRequest",
    params.RecognitionPhoto: "NamedPhotoRequest",
    params.ProductFacts: "ProductFactsBodyRequest",
    params.ProductLine: "ProductBodyRequest",
    params.ProductChange: "PatchedProductChangeRequest",
    params.KeyChange: "PatchedKeyChangeRequest",
    params.EndpointChange: "PatchedEndpointChangeRequest",
}


@pytest.fixture(scope="module")
def schema(django_db_setup):
    return APIClient().get("/api/schema?format=json").json()


@pytest.fixture
def client():
    with Vitrine("vit_sk_x", "http://127.0.0.1:1") as client:
        yield client


def calls(resource):
    """Every call of a resource and of those that it has."""
    for name, each in inspect.getmembers_static(type(resource)):
        if isinstance(each, call | stream):
            yield f"{type(resource).__name__}.{name}", resource, each
    for name, value in vars(resource).items():
        if isinstance(value, Resource) and name != "_runner":
            yield from calls(value)


def first_request(resource, each):
    """The request that a call begins with, its required arguments made up."""
    signature = inspect.signature(each.flow)
    made_up = {"id": "ID", "photos": [b"x"], "products": [{"sku": "A"}], "file": b"x", "to": "x.zip"}
    given = {
        name: made_up.get(name, "ID")
        for name, parameter in signature.parameters.items()
        if name != "self" and parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
    flow = each.flow(resource, **given)
    request = next(flow).request
    flow.close()
    return request


def test_every_operation_has_a_call(client, schema):
    operations = {
        (method.upper(), path.removeprefix(API)): operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    }
    patterns = {(method, path): re.compile(re.sub(r"\\{\w+\\}", "ID", re.escape(path))) for method, path in operations}
    covered = set()
    for name, resource, each in calls(client):
        request = first_request(resource, each)
        matching = [
            op for op, pattern in patterns.items() if op[0] == request.method and pattern.fullmatch(request.path)
        ]
        assert len(matching) == 1, (name, request.method, request.path)
        covered.add(matching[0])
        asked = {each["name"] for each in operations[matching[0]].get("parameters", []) if each["in"] == "query"}
        assert set(request.params) <= asked, name
        if isinstance(each, stream):
            narrowed = set(inspect.signature(each.flow).parameters) - {"self", "id", "product_id", "options", "asked"}
            assert narrowed <= asked, name
    assert covered & set(LEFT_OUT) == set()
    assert covered | set(LEFT_OUT) == set(operations)


def takes_none(annotation):
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return type(None) in options


def may_be_null(described):
    kinds = described.get("type", "")
    return "null" in kinds or any(may_be_null(each) for each in described.get("oneOf", []))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_is_what_the_document_says(model, schema):
    fullest, *lesser = [schema["components"]["schemas"][name] for name in MODELS[model]]
    fields = model.model_fields
    assert set(fields) == set(fullest["properties"])
    for name, described in fullest["properties"].items():
        assert not may_be_null(described) or takes_none(fields[name].annotation), name
    for each in [fullest, *lesser]:
        needed = {name for name, field in fields.items() if field.is_required()}
        assert needed <= set(each.get("required", ()))
        assert all(takes_none(fields[name].annotation) for name, is_ in each["properties"].items() if may_be_null(is_))


def test_every_model_was_compared():
    ours = {each for each in vars(models).values() if inspect.isclass(each) and issubclass(each, models.Model)}
    assert ours == set(MODELS) | NOT_OF_THE_DOCUMENT


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_every_parameter_is_a_field_of_the_body(body, schema):
    fields = set(typing.get_type_hints(body)) - set(typing.get_type_hints(params.Options))
    assert fields == set(schema["components"]["schemas"][BODIES[body]]["properties"])


def test_a_key_and_a_query_ask_for_what_there_is(schema):
    key = set(schema["components"]["schemas"]["KeyBodyRequest"]["properties"])
    assert set(typing.get_type_hints(params.KeyParams)) | {"name"} == key
    listed = schema["paths"]["/api/v1/products"]["get"]["parameters"]
    query = {each["name"] for each in listed if each["in"] == "query"} - {"cursor", "page_size"}
    assert set(typing.get_type_hints(params.ProductQuery)) - set(typing.get_type_hints(params.Options)) == query
