"""What was asked, as the fields of the search page say it: the way back from a job to its form (``forms``).

Comes when the page is opened at the address of a search; before the page's script, which fills the fields in.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from catalog.models import Job
from catalog.selectors.product import product_list, with_main_photo
from catalog.selectors.search_options import SearchOptions
from catalog.web.photos import job_photo_address, photo_address
from workers.contract import SearchFilters

Fields = dict[str, list[str]]


def question_of(job: Job) -> dict[str, Any]:
    """Values by the names of the form's fields, and what the page keeps beside them. One query where there are
    examples; a product that is gone since is none.
    """
    options = SearchOptions.model_validate(job.request)
    examples = _examples(job, [*options.like, *options.unlike])
    return {
        "fields": _fields(job, options),
        "photo": job_photo_address(job.pk, size="large") if job.key else None,
        "region": job.request["region"],
        "like": [examples[each] for each in options.like if each in examples],
        "unlike": [examples[each] for each in options.unlike if each in examples],
    }


def _fields(job: Job, options: SearchOptions) -> Fields:
    filters = SearchFilters.model_validate(job.request["filters"])
    fields: dict[str, Sequence[str]] = {
        "words": [job.request["words"]],
        "sort": [options.sort],
        "photo_weight": _number(options.photo_weight),
        "category": filters.categories,
        "brand": filters.brands,
        "price_min": _number(filters.price_min),
        "price_max": _number(filters.price_max),
        "currency": [filters.currency] if filters.currency else [],
        "in_stock": ["true"] if filters.in_stock else [],
        "every_variant": [] if options.group_variants else ["true"],
    }
    for each in filters.attributes:
        fields[f"attribute.{each.name}"] = each.values
        fields[f"attribute_min.{each.name}"] = _number(each.min)
        fields[f"attribute_max.{each.name}"] = _number(each.max)
    return {name: list(values) for name, values in fields.items() if values}


def _number(value: float | None) -> list[str]:
    """As a person types it: 50, not 50.0."""
    return [] if value is None else [str(int(value) if value.is_integer() else value)]


def _examples(job: Job, wanted: Sequence[UUID]) -> dict[UUID, dict[str, str]]:
    if not wanted:
        return {}
    products = with_main_photo(product_list(merchant=job.merchant).filter(pk__in=wanted))
    return {
        product.pk: {
            "id": str(product.pk),
            "name": product.title,
            "photo": photo_address(product.main_photo_id, size="medium") if product.main_photo_id else "",
        }
        for product in products
    }
