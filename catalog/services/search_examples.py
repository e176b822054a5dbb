"""The examples of a search: products and photos to be like and unlike, checked, their bytes kept for the worker.

Comes when a search is made, before ``job`` commits it. A photo comes as bytes, or from an earlier search of the same
merchant; a product's photo is in the index, and its vector is not made again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from catalog.models import ExamplePhoto, Job, JobKind, Merchant
from catalog.selectors.job import job_list, jobs_kept
from catalog.selectors.photo import example_photos
from catalog.selectors.product import product_list
from catalog.selectors.search_options import ExampleAsked, SearchOptions
from catalog.services.errors import Refused
from catalog.services.problems import Problem, problem
from workers import client
from workers.client import PhotoError
from workers.contract import Region


@dataclass(frozen=True)
class ExampleSent:
    """A photo to be ``like``, or unlike: its bytes, or the earlier search whose photo it is.

    ``field`` names it in problems. Without a ``region`` all of it counts; of an earlier search what that looked at.
    """

    field: str
    like: bool
    data: bytes | None = None
    search_id: UUID | None = None
    region: Region | None = None


def examples_check(*, merchant: Merchant, options: SearchOptions) -> None:
    """Check the products. Raises ``Refused``: ``product_not_found`` (404), ``example_without_photo``."""
    wanted = {*options.like, *options.unlike}
    if not wanted:
        return
    known = set(product_list(merchant=merchant).filter(pk__in=wanted).values_list("pk", flat=True))
    if wanted - known:
        raise Refused("product_not_found", "This merchant has no such product.", status=404)
    if wanted - example_photos(merchant_id=merchant.pk, product_ids=wanted).keys():
        raise Refused("example_without_photo", "An example has no indexed photo yet; nothing was started.")


def examples_keep(*, merchant: Merchant, sent: Sequence[ExampleSent]) -> list[ExamplePhoto]:
    """The photos as rows to be saved with their search, in their order; one query where earlier searches are named.

    Raises ``Refused``: ``example_not_found`` (404), ``example_without_photo``, ``photos_refused`` naming every photo
    that cannot be used; then no bytes were kept.
    """
    searches = _searches(merchant, sent)
    _inspect(sent)
    kept = []
    for each in sent:
        search = searches.get(each.search_id) if each.search_id else None
        key = search.key if search else client.photo_store().write(each.data or b"").key
        seen = (search.box or search.request["region"]) if search else None
        kept.append(ExamplePhoto(like=each.like, key=key, region=each.region or seen))
    return kept


def examples_told(*, sent: Sequence[ExampleSent], kept: Sequence[ExamplePhoto]) -> dict[str, tuple[ExampleAsked, ...]]:
    """What the search's request says of these photos."""
    pairs = list(zip(sent, kept, strict=True))
    return {
        name: tuple(
            ExampleAsked(region=row.region, search_id=each.search_id) for each, row in pairs if row.like == like
        )
        for name, like in (("like_photos", True), ("unlike_photos", False))
    }


def _searches(merchant: Merchant, sent: Sequence[ExampleSent]) -> dict[UUID, Job]:
    wanted = {each.search_id for each in sent if each.search_id}
    if not wanted:
        return {}
    found = jobs_kept(jobs=job_list(merchant=merchant, kind=JobKind.SEARCH)).in_bulk(wanted)
    if wanted - found.keys():
        raise Refused("example_not_found", "This merchant has no such search any more.", status=404)
    if not all(search.key for search in found.values()):
        raise Refused("example_without_photo", "An example is a search without a photo; nothing was started.")
    return found


def _inspect(sent: Sequence[ExampleSent]) -> None:
    problems: list[Problem] = []
    for each in sent:
        try:
            if each.data is not None:
                client.inspect_photo(each.data)
        except PhotoError as error:
            problems.append(problem(error.code, error.message, field=each.field))
    if problems:
        raise Refused("photos_refused", "Some photos cannot be used; nothing was started.", problems=problems)
