"""The admin: the catalogue, uploads, jobs, the review list and the dashboard, one module a concern.

Every list is scoped to the merchants of the person who looks (``scope``); whatever changes a row calls a service.
"""

from catalog.admin import (
    bundles,
    jobs,
    keys,
    merchants,
    people,
    photos,
    products,
    quality,
    review,
    synonyms,
    uploads,
    webhooks,
)

__all__ = [
    "bundles",
    "jobs",
    "keys",
    "merchants",
    "people",
    "photos",
    "products",
    "quality",
    "review",
    "synonyms",
    "uploads",
    "webhooks",
]
