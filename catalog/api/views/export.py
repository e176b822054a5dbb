"""The whole catalogue as one file, in the form that a bulk upload reads back."""

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request

from catalog.api.base import ApiView
from catalog.api.schema import problems
from catalog.api.scopes import PRODUCTS
from catalog.api.shapes.product import ProductShape
from catalog.api.streaming import file_streamed
from catalog.selectors.export import CatalogueExport
from catalog.selectors.product import product_list


@extend_schema(tags=["products"])
class ExportView(ApiView):
    """Everything the merchant sells."""

    selector = product_list
    scopes = PRODUCTS
    serializer_class = ProductShape

    @extend_schema(
        summary="Take the whole catalogue home",
        responses={
            (200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, "Every photo and a manifest, as a ZIP."),
            **problems(),
        },
    )
    def export(self, request: Request) -> HttpResponseBase:
        """A ZIP that `uploads` reads back. It is sent while it is made: one that was cut off cannot be opened."""
        make, name = CatalogueExport(self.merchant).blocks, f"{self.merchant.slug}.zip"
        return file_streamed(request, make, name=name, content_type="application/zip")
