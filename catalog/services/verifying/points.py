"""Checks of the index against SQL, in both directions: rows without points, points without rows, points twice.

A check of ``services.verify``. The index belongs to the workers: it is asked through the queue, a page at a time.
While the line runs, both sides move. What looks wrong is therefore read a second time, in the other order, and counts
only where nothing changed in between.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from django.utils import timezone

from catalog.models import LedgerState, Photo, Purpose
from catalog.selectors.product import product_facts
from catalog.services.verifying.findings import BATCH, Batches, Finding
from workers import client
from workers.client import Unavailable
from workers.contract import HeldPoint, Inventory, InventoryPage

ANSWER_SECONDS = 30.0  # how long a page may take: searches that wait are served first


def points_check(count: dict[str, int]) -> Batches:
    """All checks of this module. Adds to ``count`` how many points were looked at. Raises ``Unavailable``."""
    count["points"] = 0
    bundle = live_bundle()
    yield from _rows_without_points(bundle)
    yield from _points_without_rows(count)


def live_bundle() -> str:
    """The bundle that all live workers serve. Raises ``Unavailable`` where there is none or more than one."""
    versions = {card.bundle_version for card in client.live_workers()}
    if len(versions) != 1:
        said = f"The live workers serve several bundles: {', '.join(sorted(versions))}." if versions else ""
        raise Unavailable("worker_unavailable", said or "No worker is alive: only a worker can look into the index.")
    return versions.pop()


def ask(photo_ids: Iterable[UUID] = (), *, after: str = "", remove: Iterable[str] = ()) -> InventoryPage:
    """One page of what the index holds. Raises ``Unavailable``."""
    deadline = timezone.now() + timedelta(seconds=ANSWER_SECONDS)
    return client.inventory_page(
        Inventory(
            token=uuid4(),
            deadline=deadline,
            photo_ids=tuple(photo_ids),
            after=after,
            limit=BATCH,
            remove=tuple(remove),
        )
    )


def _rows_without_points(bundle: str) -> Batches:
    for photos in _indexed():
        ours = [photo for photo in photos if photo.bundle_version == bundle]
        held = {point.photo_id: point for point in ask(photo.pk for photo in ours).points} if ours else {}
        wrong = {photo: "point_of_other_bundle" for photo in photos if photo.bundle_version != bundle}
        wrong |= {photo: "point_missing" for photo in ours if photo.pk not in held}
        wrong |= {photo: "point_outdated" for photo in ours if photo.pk in held and not _agrees(photo, held[photo.pk])}
        yield [Finding(wrong[photo], str(photo.pk)) for photo in _unchanged(wrong)]


def _indexed() -> Iterator[list[Photo]]:
    """Photos that the ledger says are in the index, with their products."""
    photos = Photo.objects.filter(purpose=Purpose.INDEX, state=LedgerState.DONE).order_by("pk")
    some = list(photos.select_related("product")[:BATCH])
    while some:
        yield some
        some = list(photos.filter(pk__gt=some[-1].pk).select_related("product")[:BATCH])


def _unchanged(photos: Iterable[Photo]) -> list[Photo]:
    """Of these, the ones that stand in SQL as they did: what changed since is owed to the index anew."""
    ids = [photo.pk for photo in photos]
    now = Photo.objects.filter(pk__in=ids, purpose=Purpose.INDEX, state=LedgerState.DONE)
    finished = dict(now.values_list("pk", "finished_at")) if ids else {}
    return [photo for photo in photos if photo.pk in finished and finished[photo.pk] == photo.finished_at]


def _agrees(photo: Photo, point: HeldPoint) -> bool:
    """Whether the point says of the photo's product what SQL says."""
    if photo.product is None or point.merchant_id != photo.merchant_id:
        return False
    facts = product_facts(photo.product).model_dump(exclude={"title", "description", "attributes"})
    return facts == point.model_dump(include=set(facts))


def _points_without_rows(count: dict[str, int]) -> Batches:
    page = InventoryPage(token=uuid4(), worker="", bundle_version="")
    following: str | None = ""
    while following is not None:
        page = ask(after=following)
        count["points"] += len(page.points)
        yield [Finding("point_twice", point.point_id) for point in page.points if point.misplaced]
        unowned = _unowned([point for point in page.points if not point.misplaced])
        if unowned:
            still = ask(point.photo_id for point in unowned).points  # a photo just forgotten loses its point first
            yield [Finding("point_unowned", str(point.photo_id), str(point.merchant_id)) for point in _unowned(still)]
        following = page.following or None


def _unowned(points: Sequence[HeldPoint]) -> list[HeldPoint]:
    """Of these, the points of photos that are not there, or were never meant for the index."""
    photos = Photo.objects.filter(pk__in=[point.photo_id for point in points]).exclude(purpose=Purpose.RECOGNISE)
    known = set(photos.values_list("pk", flat=True))
    return [point for point in points if point.photo_id not in known]
