"""Rows with the columns that a query added, as types: what ``annotate`` put beside a model's own fields.

Named by the selectors and admin pages that add such columns and by whoever reads them. For the type checker only: at
run time each is its model, and the checker's package need not be installed.
"""

from typing import TYPE_CHECKING, TypedDict
from uuid import UUID

from catalog.models import Job, Merchant, Photo, Product, Upload


class MainPhoto(TypedDict):
    """Added by ``selectors.product.with_main_photo``."""

    main_photo_id: UUID | None


class ProductFigures(MainPhoto):
    """Added by ``selectors.product.with_photos``."""

    photos_total: int
    photos_indexed: int


class VariantFigures(MainPhoto):
    """Added by ``selectors.search`` to the other variants of what was found."""

    found: bool


class PhotosShown(TypedDict):
    """Prefetched for the admin's list of products."""

    photos_shown: list[Photo]


class MerchantFigures(TypedDict):
    """Counted for the admin's list of merchants."""

    products_total: int
    photos_total: int
    items_open: int


class JobFigures(TypedDict):
    """Counted for the admin's list of jobs."""

    items_total: int


class UploadFigures(TypedDict):
    """Counted for the admin's list of uploads."""

    photos_total: int
    photos_finished: int


if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    ProductWithMainPhoto = WithAnnotations[Product, MainPhoto]
    ProductWithFigures = WithAnnotations[Product, ProductFigures]
    ProductWithPhotos = WithAnnotations[Product, PhotosShown]
    Variant = WithAnnotations[Product, VariantFigures]
    MerchantWithFigures = WithAnnotations[Merchant, MerchantFigures]
    JobWithFigures = WithAnnotations[Job, JobFigures]
    UploadWithFigures = WithAnnotations[Upload, UploadFigures]
else:
    ProductWithMainPhoto = ProductWithFigures = ProductWithPhotos = Variant = Product
    MerchantWithFigures, JobWithFigures, UploadWithFigures = Merchant, Job, Upload
