"""Photos: inspected, kept under their content hash, then owed to the workers; and forgotten again.

Comes after the API, the admin or a review has a photo's bytes, before ``dispatch``; bulk uploads write their photos
in batches (``uploading.catalogue``) by the same rules. Bytes go only when no row refers to them any more, and then
not at once (see ``bytes_sweep``).
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.utils import timezone

from catalog.models import (
    UNDECIDED,
    ExamplePhoto,
    Item,
    Job,
    LedgerState,
    LooseBytes,
    Merchant,
    Photo,
    PhotoOrigin,
    Product,
    Purpose,
    Upload,
    UploadRow,
)
from catalog.services.enqueue import dispatch_soon
from catalog.services.errors import Refused
from workers import client
from workers.client import Unavailable
from workers.contract import Region

log = logging.getLogger(__name__)

NAME_LENGTH = 255
BYTES_KEPT = timedelta(hours=1)  # far longer than any request or batch of an import takes
SWEPT_AT_ONCE = 1_000
THUMBNAIL_SIDES = {"thumb": 160, "medium": 512, "large": 1280}  # longest side in pixels


def thumbnail_key(sha256: str, size: str) -> str:
    """Where the thumbnail of the photo with this content hash lies in the photo store."""
    return f"thumbs/{sha256[:2]}/{sha256}-{size}.webp"


def photos_owe(photos: QuerySet[Photo], **changes: Any) -> int:
    """Owe photos anew, with other columns changed in the same moment. Returns how many.

    A photo that is with a worker now stays there and is only marked: were it sent a second time beside the first, the
    older answer might reach the index last.
    """
    with_worker = Q(state=LedgerState.DISPATCHED)
    with transaction.atomic():
        count = photos.update(
            state=Case(When(with_worker, then=F("state")), default=Value(LedgerState.PENDING)),
            lease_until=Case(When(with_worker, then=F("lease_until")), default=None),
            chunk_id=Case(When(with_worker, then=F("chunk_id")), default=None),
            changed=Case(When(with_worker, then=Value(True)), default=Value(False)),
            queued_at=timezone.now(),
            attempts=0,
            finished_at=None,
            error_code="",
            error_message="",
            error_trace="",
            **changes,
        )
        transaction.on_commit(dispatch_soon)
    return count


def photo_add(
    *,
    merchant: Merchant,
    product: Product | None,
    data: bytes,
    name: str,
    origin: PhotoOrigin,
    position: int = 0,
    purpose: Purpose = Purpose.INDEX,
    upload: Upload | None = None,
    upload_row: UploadRow | None = None,
    job: Job | None = None,
    region: Region | None = None,
    retry: bool = False,
) -> tuple[Photo, bool]:
    """Inspect, keep and owe one photo; returns it and whether it is new.

    A product has the same bytes once: adding them again returns the photo that is there, taken back if it was about
    to be forgotten, and owed anew if it had failed and ``retry`` is set. Raises ``PhotoError``, ``Unavailable`` and
    ``Refused("product_not_found")`` (404) for a product that was deleted meanwhile.
    """
    facts = client.inspect_photo(data)
    stored = client.photo_store().write(data)
    photo = Photo(
        merchant=merchant,
        product=product,
        job=job,
        upload=upload,
        upload_row=upload_row,
        purpose=purpose,
        origin=origin,
        position=position,
        name=name[-NAME_LENGTH:],
        sha256=stored.sha256,
        key=stored.key,
        region=region,
        content_type=facts.content_type,
        bytes=facts.bytes,
        width=facts.width,
        height=facts.height,
    )
    with transaction.atomic():
        if product is not None:
            product_lock_living(product=product)
            held, _ = photo_take_back(product=product, sha256=stored.sha256, retry=retry)
            if held:
                return held, False
        photo.save(force_insert=True)
        transaction.on_commit(dispatch_soon)
    return photo, True


def photo_cut_out(*, photo: Photo, region: Region | None, product: Product) -> Photo:
    """Owe a part of a photo to the index as a photo of its own, with the same bytes, and of no job."""
    part = Photo.objects.create(
        merchant_id=photo.merchant_id,
        product=product,
        purpose=Purpose.INDEX,
        origin=PhotoOrigin.REVIEW,
        name=photo.name,
        sha256=photo.sha256,
        key=photo.key,
        region=region,
        content_type=photo.content_type,
        bytes=photo.bytes,
        width=photo.width,
        height=photo.height,
    )
    transaction.on_commit(dispatch_soon)
    return part


def product_lock_living(*, product: Product) -> None:
    """Keep a product from being deleted until the transaction ends: its photos get an owner that stays.

    Raises ``Refused("product_not_found")`` (404) when it is deleted already.
    """
    living = Product.objects.select_for_update(no_key=True).filter(pk=product.pk, deleted_at__isnull=True)
    if living.first() is None:
        raise Refused("product_not_found", "This merchant has no such product.", status=404)


def photo_take_back(*, product: Product, sha256: str, retry: bool, **changes: Any) -> tuple[Photo | None, bool]:
    """The locked product's photo with these bytes, and whether it was owed again, with other columns changed.

    It is owed where it was about to be forgotten, or had failed and ``retry`` is set. One just forgotten is none.
    """
    photo = Photo.objects.select_for_update().filter(product=product, sha256=sha256).first()
    back = photo is not None and (photo.purpose == Purpose.FORGET or (retry and photo.state == LedgerState.FAILED))
    if photo and back:
        _owe(photo, purpose=Purpose.INDEX, **changes)
    return photo, back


def photo_remove(*, photo: Photo) -> None:
    """Owe the photo to the index to be forgotten; its row goes when a worker has done so.

    A photo that was never part of the index (one that was to be recognised) goes at once.
    """
    if photo.purpose == Purpose.RECOGNISE:
        photos_delete(photos=[photo])
        return
    _owe(photo, purpose=Purpose.FORGET)


def _owe(photo: Photo, **changes: Any) -> None:
    photos_owe(Photo.objects.filter(pk=photo.pk), **changes)
    photo.refresh_from_db()


def photos_requeue(*, product: Product) -> int:
    """Owe all index photos of a product anew, because its text, price or stock changed. Returns how many.

    Not to be embedded anew: the bundle that embedded a photo stays on it, and a worker that serves it only fuses the
    vector that the index holds with what the product says now.
    Failed photos stay failed: new text does not mend a photo.
    """
    return photos_owe(Photo.objects.filter(product=product, purpose=Purpose.INDEX).exclude(state=LedgerState.FAILED))


def photos_retry(*, photos: QuerySet[Photo]) -> int:
    """Owe failed photos to the workers again. Returns how many."""
    return photos_owe(photos.filter(state=LedgerState.FAILED))


def photos_refresh(*, merchant: Merchant | None = None) -> int:
    """Owe indexed photos anew without looking at them: the index is to know all about their products that this release
    can tell it, beside the vectors that it holds. Returns how many.
    """
    photos = Photo.objects.filter(purpose=Purpose.INDEX, state=LedgerState.DONE)
    return photos_owe(photos if merchant is None else photos.filter(merchant=merchant))


def photos_reindex(*, merchant: Merchant | None = None, done_by_other_than: str | None = None) -> int:
    """Owe indexed photos anew: all, or those that a bundle other than the one given embedded. Returns how many."""
    photos = Photo.objects.filter(purpose=Purpose.INDEX, state=LedgerState.DONE)
    if merchant is not None:
        photos = photos.filter(merchant=merchant)
    if done_by_other_than is not None:
        photos = photos.exclude(bundle_version=done_by_other_than)
    return photos_owe(photos, bundle_version="")


@transaction.atomic
def photos_delete(*, photos: Sequence[Photo]) -> None:
    """Delete the rows and let their bytes go. What reviewers decided stays; undecided items go with their photo."""
    photo_ids = [photo.pk for photo in photos]
    items_drop(items=Item.objects.filter(photo__in=photo_ids))
    Photo.objects.filter(pk__in=photo_ids).delete()
    now = timezone.now()
    loose = {photo.sha256: LooseBytes(sha256=photo.sha256, key=photo.key, since=now) for photo in photos}
    LooseBytes.objects.bulk_create(
        [loose[sha256] for sha256 in sorted(loose)],
        update_conflicts=True,
        unique_fields=["sha256"],
        update_fields=["since"],
    )


def items_drop(*, items: QuerySet[Item]) -> None:
    """Delete undecided items of which nothing is left to see; one whose decision was undone only leaves the queue, so
    that the log of decisions stays whole.
    """
    undecided = items.filter(state__in=UNDECIDED)
    undecided.filter(decisions__isnull=False).update(lane=None)
    undecided.filter(decisions=None).delete()


def bytes_sweep(*, now: datetime) -> int:
    """Delete bytes that were let go an hour ago and that neither a photo nor a search refers to. Returns how many.

    Bytes are stored before the row that refers to them is committed, so "nobody refers to them" alone never proves
    that nobody will. ``PhotoStore.write`` therefore makes bytes that it finds young again, and only bytes that are
    older than an hour are deleted: whoever stored them before then has committed its row long ago, and is seen here.
    No lock is needed for that, so it holds for SQLite and PostgreSQL alike.
    """
    due = list(LooseBytes.objects.filter(since__lt=now - BYTES_KEPT).order_by("since")[:SWEPT_AT_ONCE])
    used = set(Photo.objects.filter(sha256__in=[loose.sha256 for loose in due]).values_list("sha256", flat=True))
    keys = [loose.key for loose in due]
    searched = set(Job.objects.filter(key__in=keys).values_list("key", flat=True))
    searched |= set(ExamplePhoto.objects.filter(key__in=keys).values_list("key", flat=True))
    deleted = 0
    for loose in due:
        listed = LooseBytes.objects.filter(pk=loose.pk, since=loose.since)  # not one that was let go again meanwhile
        try:
            if loose.sha256 not in used and loose.key not in searched:
                if not _delete_old(loose, now):
                    listed.update(since=now)  # stored anew within the hour: look again in an hour
                    continue
                deleted += 1
        except Unavailable as error:
            log.warning("unused photos stay in the store for now: %s", error)
            break
        listed.delete()
    return deleted


def _delete_old(loose: LooseBytes, now: datetime) -> bool:
    store = client.photo_store()
    if not store.delete_older(loose.key, than=now - BYTES_KEPT):
        return False
    for size in THUMBNAIL_SIDES:
        store.delete(thumbnail_key(loose.sha256, size))
    return True
