"""What an operator does with bundles: into the shadow, compare, promote, roll back, retire. One step each.

Comes after the admin's page or ``manage.py bundle`` asked; before ``shadow``, which owes the photos, and the workers,
which load what the assignment names. A promotion is one commit: searches name the bundle that was live when they were
asked, and workers serve both for as long as there are both. Why so: docs/decisions/bundles.md.
"""

import logging
from pathlib import Path
from typing import Any, cast

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone

from catalog.models import (
    Bundle,
    BundleState,
    ComparedPhoto,
    Comparison,
    Item,
    ItemState,
    LedgerState,
    Photo,
    Product,
    ShadowPhoto,
)
from catalog.selectors.bundle import bundle_in, photos_indexed, photos_missing
from catalog.services.enqueue import dispatch_soon
from catalog.services.errors import Refused
from catalog.services.photo import photos_owe
from config.env import load_env
from workers import client
from workers.client import BundleError

log = logging.getLogger(__name__)

COMPARED = 200  # photos
SWAPPED_AT_ONCE = 500


def bundle_shadow(*, folder: Path, by: str = "") -> Bundle:
    """Put the bundle in a folder into the shadow: its files go to the photo store, every indexed photo is owed to it.

    The same one again tries again what failed. Raises ``Refused``: ``bundle_unreadable``, and with 409
    ``bundle_version_taken``, ``bundle_is_live``, ``bundle_shadow_taken``, ``bundle_live_unknown``; ``Unavailable``.
    """
    facts = _publish(folder)
    live = bundle_in(BundleState.LIVE) or _register_live()
    if facts["version"] == live.version:
        raise Refused("bundle_is_live", f"The bundle {live.version} is the live one.", status=409)
    with transaction.atomic():
        list(Bundle.objects.select_for_update().order_by("pk"))
        other = bundle_in(BundleState.SHADOW)
        if other and other.version != facts["version"]:
            said = f"The bundle {other.version} is in the shadow: retire it first."
            raise Refused("bundle_shadow_taken", said, status=409)
        values = {"state": BundleState.SHADOW, "facts": facts, "created_by": by, "is_filled": False}
        if other is None:
            values["live_since"] = None  # one that was retired has lost its photos: it is no way back any more
        bundle, _ = Bundle.objects.update_or_create(version=facts["version"], defaults=values)
        ShadowPhoto.objects.filter(state=LedgerState.FAILED).update(
            state=LedgerState.PENDING, attempts=0, queued_at=timezone.now()
        )
        transaction.on_commit(dispatch_soon)
    log.info("bundle=%s goes into the shadow, by %s", bundle.version, by or "the command line")
    return bundle


def _publish(folder: Path) -> dict[str, Any]:
    """Its facts, once its files are in the store. A version means the same weights for ever."""
    try:
        facts = client.bundle_facts(folder)
        known = Bundle.objects.filter(version=facts["version"]).first()
        if known and known.facts["weights_sha256"] != facts["weights_sha256"]:
            said = f"Another bundle was called {known.version} here before: give this one a version of its own."
            raise Refused("bundle_version_taken", said, status=409)
        client.publish_bundle(folder)
    except (BundleError, OSError) as error:
        raise Refused("bundle_unreadable", str(error)) from error
    return facts


def _register_live() -> Bundle:
    """What every worker serves now becomes the live bundle, by name; its files go to the store for workers to come."""
    versions = {card.bundle_version for card in client.live_workers()}
    facts = _publish(load_env().bundle)
    if versions != {facts["version"]}:
        said = ", ".join(sorted(versions)) or "none is alive"
        raise Refused(
            "bundle_live_unknown",
            f"The workers must serve the bundle of VITRINE_BUNDLE, {facts['version']}, and they serve: {said}.",
            status=409,
        )
    with transaction.atomic():
        bundle, _ = Bundle.objects.get_or_create(
            version=facts["version"],
            defaults={"state": BundleState.LIVE, "facts": facts, "live_since": timezone.now()},
        )
        if bundle.state != BundleState.LIVE:
            bundle.state, bundle.live_since = BundleState.LIVE, timezone.now()
            bundle.save(update_fields=["state", "live_since"])
    return bundle


def bundle_promote(*, version: str, by: str = "", incomplete: bool = False) -> Bundle:
    """Make the bundle in the shadow the live one; the one that was live stays in the shadow and is kept up to date.

    With ``incomplete`` photos that the shadow has not embedded, or cannot, are owed to it at once as the live bundle;
    they are not found until then. Raises ``Refused`` (409): ``bundle_not_in_shadow``, ``bundle_not_loaded``,
    ``bundle_incomplete``; ``Unavailable``.
    """
    _check_loaded(version)
    with transaction.atomic():
        live, shadow = _locked(version)
        missing = photos_missing().count()
        if missing and not incomplete:
            raise Refused(
                "bundle_incomplete",
                f"{missing} photos are not embedded by {version}: they would not be found until it has tried again.",
                status=409,
            )
        lacking = list(photos_missing().values_list("pk", flat=True)) if missing else []
        embedded = photos_indexed().filter(Exists(_embedded()))
        embedded.update(bundle_version=version)
        ShadowPhoto.objects.update(
            state=LedgerState.DONE, lease_until=None, chunk_id=None, changed=False, error_code="", error_message=""
        )
        _swap(live, shadow)
        for start in range(0, len(lacking), SWAPPED_AT_ONCE):
            photos_owe(Photo.objects.filter(pk__in=lacking[start : start + SWAPPED_AT_ONCE]), bundle_version="")
        transaction.on_commit(dispatch_soon)
    log.info("bundle=%s is live, bundle=%s is kept, by %s", version, live.version, by or "the command line")
    shadow.refresh_from_db()
    return shadow


def _embedded() -> Any:
    return ShadowPhoto.objects.filter(photo=OuterRef("pk"), state=LedgerState.DONE)


def _check_loaded(version: str) -> None:
    cards = client.live_workers()
    without = [card for card in cards if not card.serves(version)]
    if without or not cards:
        why = next((card.bundle_faults[version] for card in without if version in card.bundle_faults), "")
        who = ", ".join(card.name for card in without) or "no worker is alive"
        said = f"Every worker must have loaded {version} first; missing: {who}.{f' {why}' if why else ''}"
        raise Refused("bundle_not_loaded", said, status=409)


def _locked(version: str) -> tuple[Bundle, Bundle]:
    """The live bundle and the one in the shadow, locked until the transaction ends."""
    rows = {bundle.state: bundle for bundle in Bundle.objects.select_for_update().order_by("pk")}
    live, shadow = rows.get(BundleState.LIVE), rows.get(BundleState.SHADOW)
    if live is None or shadow is None or shadow.version != version:
        raise Refused("bundle_not_in_shadow", f"The bundle {version} is not in the shadow.", status=409)
    return live, shadow


def _swap(live: Bundle, shadow: Bundle) -> None:
    """Both change places; for a moment nobody is in the shadow, because two must never be."""
    Bundle.objects.filter(pk=shadow.pk).update(state=BundleState.RETIRED)
    Bundle.objects.filter(pk=live.pk).update(state=BundleState.SHADOW, is_filled=True)
    Bundle.objects.filter(pk=shadow.pk).update(state=BundleState.LIVE, live_since=timezone.now())


def bundle_rollback(*, by: str = "") -> Bundle:
    """Make the bundle that was live before live again, complete or not: its gaps are embedded at once.

    Raises ``Refused`` (409): ``bundle_no_previous``, ``bundle_not_loaded``; ``Unavailable``.
    """
    previous = bundle_in(BundleState.SHADOW)
    if previous is None or previous.live_since is None:
        raise Refused("bundle_no_previous", "No bundle that was live before is kept in the shadow.", status=409)
    return bundle_promote(version=previous.version, by=by, incomplete=True)


@transaction.atomic
def bundle_retire(*, version: str, by: str = "") -> None:
    """Take the bundle out of the shadow: nothing more is owed to it, and the workers delete its photos.

    Raises ``Refused("bundle_not_in_shadow")`` (409).
    """
    _, shadow = _locked(version)
    Bundle.objects.filter(pk=shadow.pk).update(state=BundleState.RETIRED)
    ShadowPhoto.objects.all().delete()
    ComparedPhoto.objects.filter(state__in=(LedgerState.PENDING, LedgerState.DISPATCHED)).delete()
    log.info("bundle=%s is retired, by %s", version, by or "the command line")


@transaction.atomic
def bundle_compare(*, by: str = "", photos: int = COMPARED) -> Comparison:
    """Ask both bundles about photos whose product is known: first those that reviewers confirmed, then the merchants'.

    Each photo is left out of the answer to itself, so only products with another indexed photo are asked for. Raises
    ``Refused`` (409): ``bundle_not_in_shadow``, ``comparison_empty``.
    """
    live, shadow = bundle_in(BundleState.LIVE), bundle_in(BundleState.SHADOW)
    if live is None or shadow is None:
        raise Refused("bundle_not_in_shadow", "There is no bundle in the shadow to compare with.", status=409)
    chosen = _comparable(photos)
    if not chosen:
        said = "There is nothing to compare on: no product has two photos that are embedded by both."
        raise Refused("comparison_empty", said, status=409)
    comparison = Comparison.objects.create(live=live.version, shadow=shadow.version, created_by=by)
    ComparedPhoto.objects.bulk_create(
        ComparedPhoto(
            comparison=comparison,
            photo=photo,
            product=cast(Product, photo.product),
            reviewed=reviewed,
            bundle_version=version,
        )
        for photo, reviewed in chosen
        for version in (live.version, shadow.version)
    )
    transaction.on_commit(dispatch_soon)
    return comparison


def _comparable(limit: int) -> list[tuple[Photo, bool]]:
    """Photos of products that both bundles know by another photo too, and whether a reviewer confirmed them."""
    embedded = Q(photos__shadow__state=LedgerState.DONE, photos__state=LedgerState.DONE)
    known = Product.objects.filter(deleted_at=None).annotate(seen=Count("photos", filter=embedded)).filter(seen__gte=2)
    photos = photos_indexed().filter(product__in=known.values("pk"), shadow__state=LedgerState.DONE)
    photos = photos.select_related("product")
    confirmed = Item.objects.filter(state__in=[ItemState.ACCEPTED, ItemState.CORRECTED])
    decided = confirmed.filter(product=OuterRef("product"), photo__sha256=OuterRef("sha256"))
    reviewed = list(photos.filter(Exists(decided)).order_by("-created_at", "pk")[:limit])
    others = list(photos.exclude(Exists(decided)).order_by("sha256", "pk")[: limit - len(reviewed)])  # spread evenly
    return [(photo, True) for photo in reviewed] + [(photo, False) for photo in others]
