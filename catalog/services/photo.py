"""Photos: inspected, kept under their content hash, then owed to the workers; and forgotten again.

Comes after the API, the admin or a review has a photo's bytes, before ``dispatch``; bulk uploads write their photos
in batches (``uploading.catalogue``) by the same rules. Bytes go only when no row refers to them any more.
"""

from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.utils import timezone

from catalog.models import Job, LedgerState, Merchant, Photo, PhotoOrigin, Product, Purpose, Upload, UploadRow
from catalog.services.enqueue import dispatch_soon
from workers import client

NAME_LENGTH = 255
THUMBNAIL_SIDES = {"thumb": 160, "medium": 512}  # longest side in pixels


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
    retry: bool = False,
) -> tuple[Photo, bool]:
    """Inspect, keep and owe one photo; returns it and whether it is new.

    A product has the same bytes once: adding them again returns the photo that is there, taken back if it was about
    to be forgotten, and owed anew if it had failed and ``retry`` is set. Raises ``PhotoError`` and ``Unavailable``.
    """
    facts = client.inspect_photo(data)
    stored = client.photo_store().write(data)
    if product is not None and (held := _held(product, stored.sha256, retry)):
        return held, False
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
        content_type=facts.content_type,
        bytes=facts.bytes,
        width=facts.width,
        height=facts.height,
    )
    try:
        with transaction.atomic():
            photo.save(force_insert=True)
            transaction.on_commit(dispatch_soon)
    except IntegrityError:  # another request added the same bytes in this very moment
        if product is None or (held := _held(product, stored.sha256, retry)) is None:
            raise
        return held, False
    return photo, True


def _held(product: Product, sha256: str, retry: bool) -> Photo | None:
    """The product's photo with these bytes, owed again where it should be."""
    photo = Photo.objects.filter(product=product, sha256=sha256).first()
    if photo and (photo.purpose == Purpose.FORGET or (retry and photo.state == LedgerState.FAILED)):
        _owe(photo, purpose=Purpose.INDEX)
    return photo


def photo_remove(*, photo: Photo) -> None:
    """Owe the photo to the index to be forgotten; its row goes when a worker has done so.

    A photo that was never part of the index (one that was to be recognised) goes at once.
    """
    if photo.purpose == Purpose.RECOGNISE:
        with transaction.atomic():
            Photo.objects.filter(pk=photo.pk).delete()
            photo_bytes_delete(sha256=photo.sha256, key=photo.key)
        return
    _owe(photo, purpose=Purpose.FORGET)


def _owe(photo: Photo, **changes: Any) -> None:
    photos_owe(Photo.objects.filter(pk=photo.pk), **changes)
    photo.refresh_from_db()


def photos_requeue(*, product: Product) -> int:
    """Owe all index photos of a product anew, because its text or price changed. Returns how many.

    Failed photos stay failed: new text does not mend a photo.
    """
    return photos_owe(Photo.objects.filter(product=product, purpose=Purpose.INDEX).exclude(state=LedgerState.FAILED))


def photos_retry(*, photos: QuerySet[Photo]) -> int:
    """Owe failed photos to the workers again. Returns how many."""
    return photos_owe(photos.filter(state=LedgerState.FAILED))


def photos_reindex(*, merchant: Merchant | None = None, done_by_other_than: str | None = None) -> int:
    """Owe indexed photos anew: all, or those that a bundle other than the one given embedded. Returns how many."""
    photos = Photo.objects.filter(purpose=Purpose.INDEX, state=LedgerState.DONE)
    if merchant is not None:
        photos = photos.filter(merchant=merchant)
    if done_by_other_than is not None:
        photos = photos.exclude(bundle_version=done_by_other_than)
    return photos_owe(photos)


def photo_bytes_delete(*, sha256: str, key: str) -> None:
    """On commit, delete the bytes if neither a photo nor a search refers to them any more."""
    transaction.on_commit(partial(_delete_if_unused, sha256, key))


def _delete_if_unused(sha256: str, key: str) -> None:
    if Photo.objects.filter(sha256=sha256).exists() or Job.objects.filter(key=key).exists():
        return
    for place in (key, *(thumbnail_key(sha256, size) for size in THUMBNAIL_SIDES)):
        client.photo_store().delete(place)
