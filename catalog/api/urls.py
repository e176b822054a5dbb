"""The addresses of the API: one table. Health and figures lie outside of ``/api``, where such tools look for them."""

from typing import Any

from django.urls import path, re_path, register_converter
from django.urls.converters import PathConverter
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from catalog.api import health, metrics
from catalog.api.base import NothingHere
from catalog.api.problems import problems_page
from catalog.api.views.bulk import BulkViews
from catalog.api.views.decision_export import DecisionExportView
from catalog.api.views.explanations import HitExplanationView, ItemExplanationView
from catalog.api.views.export import ExportView
from catalog.api.views.items import ItemViews
from catalog.api.views.keys import KeyViews
from catalog.api.views.photos import PhotoViews, ProductPhotoViews
from catalog.api.views.products import ProductViews
from catalog.api.views.recognitions import RecognitionViews
from catalog.api.views.searches import SearchViews
from catalog.api.views.synonyms import SynonymsViews
from catalog.api.views.uploads import UploadRowViews, UploadViews
from catalog.api.views.webhooks import WebhookDeliveryViews, WebhookEndpointViews

V1 = "api/v1"
ONE_JOB: dict[str, Any] = {"get": "retrieve", "delete": "destroy"}
LISTED: dict[str, Any] = {"get": "list", "post": "create"}


class SkuConverter(PathConverter):
    """All of what follows, slashes and line breaks too: a spreadsheet's cell may have both."""

    regex = r"[\s\S]+"


register_converter(SkuConverter, "sku")

urlpatterns = [
    path(f"{V1}/products", ProductViews.as_view(LISTED), name="api-products"),
    path(
        f"{V1}/products/<uuid:id>",
        ProductViews.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="api-product",
    ),
    path(f"{V1}/products/<uuid:product_id>/photos", ProductPhotoViews.as_view(LISTED), name="api-product-photos"),
    path(f"{V1}/products/bulk", BulkViews.as_view({"post": "bulk"}), name="api-products-bulk"),
    path(f"{V1}/products/export.zip", ExportView.as_view({"get": "export"}), name="api-products-export"),
    path(
        f"{V1}/products/by-sku/<sku:sku>",
        ProductViews.as_view(
            {"get": "retrieve_by_sku", "put": "upsert", "patch": "update_by_sku", "delete": "destroy_by_sku"}
        ),
        name="api-product-by-sku",
    ),
    path(f"{V1}/photos/<uuid:id>", PhotoViews.as_view({"get": "retrieve", "delete": "destroy"}), name="api-photo"),
    path(f"{V1}/synonyms", SynonymsViews.as_view(LISTED), name="api-synonyms"),
    path(
        f"{V1}/synonyms/<uuid:id>",
        SynonymsViews.as_view({"get": "retrieve", "put": "update", "delete": "destroy"}),
        name="api-synonyms-set",
    ),
    path(f"{V1}/uploads", UploadViews.as_view(LISTED), name="api-uploads"),
    path(f"{V1}/uploads/<uuid:id>", UploadViews.as_view({"get": "retrieve"}), name="api-upload"),
    path(f"{V1}/uploads/<uuid:id>/cancel", UploadViews.as_view({"post": "cancel"}), name="api-upload-cancel"),
    path(f"{V1}/uploads/<uuid:id>/events", UploadViews.as_view({"get": "events"}), name="api-upload-events"),
    path(f"{V1}/uploads/<uuid:id>/bad-rows.csv", UploadViews.as_view({"get": "bad_rows"}), name="api-upload-bad-rows"),
    path(f"{V1}/uploads/<uuid:id>/rows", UploadRowViews.as_view({"get": "list"}), name="api-upload-rows"),
    path(f"{V1}/search-jobs", SearchViews.as_view(LISTED), name="api-searches"),
    path(f"{V1}/search-jobs/<uuid:id>", SearchViews.as_view(ONE_JOB), name="api-search"),
    path(f"{V1}/search-jobs/<uuid:id>/hits", SearchViews.as_view({"get": "hits"}), name="api-search-hits"),
    path(f"{V1}/search-jobs/<uuid:id>/events", SearchViews.as_view({"get": "events"}), name="api-search-events"),
    path(f"{V1}/search-jobs/<uuid:id>/cancel", SearchViews.as_view({"post": "cancel"}), name="api-search-cancel"),
    path(
        f"{V1}/search-jobs/<uuid:id>/hits/<uuid:product_id>/explanation",
        HitExplanationView.as_view({"get": "explanation"}),
        name="api-hit-explanation",
    ),
    path(f"{V1}/recognition-jobs", RecognitionViews.as_view(LISTED), name="api-recognitions"),
    path(f"{V1}/recognition-jobs/<uuid:id>", RecognitionViews.as_view(ONE_JOB), name="api-recognition"),
    path(
        f"{V1}/recognition-jobs/<uuid:id>/events",
        RecognitionViews.as_view({"get": "events"}),
        name="api-recognition-events",
    ),
    path(
        f"{V1}/recognition-jobs/<uuid:id>/cancel",
        RecognitionViews.as_view({"post": "cancel"}),
        name="api-recognition-cancel",
    ),
    path(f"{V1}/review-items", ItemViews.as_view({"get": "list"}), name="api-items"),
    path(
        f"{V1}/review-items/export.<str:kind>",
        DecisionExportView.as_view({"get": "export"}),
        name="api-items-export",
    ),
    path(f"{V1}/review-items/claims", ItemViews.as_view({"post": "claim"}), name="api-items-claims"),
    path(f"{V1}/review-items/<uuid:id>", ItemViews.as_view({"get": "retrieve"}), name="api-item"),
    path(f"{V1}/review-items/<uuid:id>/accept", ItemViews.as_view({"post": "accept"}), name="api-item-accept"),
    path(f"{V1}/review-items/<uuid:id>/correct", ItemViews.as_view({"post": "correct"}), name="api-item-correct"),
    path(f"{V1}/review-items/<uuid:id>/reject", ItemViews.as_view({"post": "reject"}), name="api-item-reject"),
    path(f"{V1}/review-items/<uuid:id>/unknown", ItemViews.as_view({"post": "unknown"}), name="api-item-unknown"),
    path(
        f"{V1}/review-items/<uuid:id>/new-product",
        ItemViews.as_view({"post": "new_product"}),
        name="api-item-new-product",
    ),
    path(f"{V1}/review-items/<uuid:id>/undo", ItemViews.as_view({"post": "undo"}), name="api-item-undo"),
    path(
        f"{V1}/review-items/<uuid:id>/explanation",
        ItemExplanationView.as_view({"get": "explanation"}),
        name="api-item-explanation",
    ),
    path(f"{V1}/keys", KeyViews.as_view(LISTED), name="api-keys"),
    path(
        f"{V1}/keys/<uuid:id>",
        KeyViews.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="api-key",
    ),
    path(f"{V1}/keys/<uuid:id>/rotate", KeyViews.as_view({"post": "rotate"}), name="api-key-rotate"),
    path(f"{V1}/webhook-endpoints", WebhookEndpointViews.as_view(LISTED), name="api-webhook-endpoints"),
    path(
        f"{V1}/webhook-endpoints/<uuid:id>",
        WebhookEndpointViews.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="api-webhook-endpoint",
    ),
    path(
        f"{V1}/webhook-endpoints/<uuid:id>/rotate-secret",
        WebhookEndpointViews.as_view({"post": "rotate_secret"}),
        name="api-webhook-endpoint-rotate-secret",
    ),
    path(
        f"{V1}/webhook-endpoints/<uuid:id>/test",
        WebhookEndpointViews.as_view({"post": "test"}),
        name="api-webhook-endpoint-test",
    ),
    path(f"{V1}/webhook-deliveries", WebhookDeliveryViews.as_view({"get": "list"}), name="api-webhook-deliveries"),
    path(
        f"{V1}/webhook-deliveries/<uuid:id>",
        WebhookDeliveryViews.as_view({"get": "retrieve"}),
        name="api-webhook-delivery",
    ),
    path(
        f"{V1}/webhook-deliveries/<uuid:id>/replay",
        WebhookDeliveryViews.as_view({"post": "replay"}),
        name="api-webhook-delivery-replay",
    ),
    path("api/schema", SpectacularAPIView.as_view(), name="api-schema"),
    path("api/docs", SpectacularSwaggerSplitView.as_view(url_name="api-schema"), name="api-docs"),
    path("api/errors", problems_page, name="api-errors"),
    re_path(r"^api/", NothingHere.as_view({"options": "options"})),
    path("health/live", health.live, name="health-live"),
    path("health/ready", health.ready, name="health-ready"),
    path("metrics", metrics.metrics, name="metrics"),
]
