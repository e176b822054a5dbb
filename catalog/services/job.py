"""Jobs: a search is committed, then sent at once; a recognition's photos join the ledger like any bulk.

Comes after the API, the page or an upload asked; before ``dispatch`` and the workers.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, repeat
from typing import cast
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from catalog.models import (
    ExamplePhoto,
    Job,
    JobKind,
    JobState,
    LedgerState,
    LooseBytes,
    Merchant,
    Photo,
    PhotoOrigin,
    Purpose,
    Upload,
    UploadState,
)
from catalog.selectors.bundle import live_version
from catalog.selectors.job import kept_since
from catalog.selectors.photo import example_photos
from catalog.selectors.product import categories_within
from catalog.selectors.search_options import DEPTH, SearchOptions
from catalog.selectors.words import words_read, words_sent
from catalog.services.enqueue import dispatch_soon
from catalog.services.errors import Refused
from catalog.services.notify import job_announce
from catalog.services.search_examples import ExampleSent, examples_check, examples_keep, examples_told
from catalog.services.uploading.photos import Taken, photo_row
from catalog.services.webhooks.events import event_job_finished
from config.env import load_env
from config.logs import told, told_id
from workers import client
from workers.client import Unavailable
from workers.contract import Example, Items, Region, Search, SearchFilters

log = logging.getLogger(__name__)

NO_OPTIONS = SearchOptions()
OWED = (JobState.PENDING, JobState.DISPATCHED)
FORGOTTEN_AT_ONCE = 1_000


def search_job_create(
    *,
    merchant: Merchant,
    photo: bytes | None,
    words: str,
    filters: SearchFilters,
    region: Region | None = None,
    limit: int = 10,
    options: SearchOptions = NO_OPTIONS,
    examples: Sequence[ExampleSent] = (),
    job_id: UUID | None = None,
) -> Job:
    """Commit a search and send it to the workers. ``examples`` are photos beside the products that the options name.

    With a ``job_id`` it happens once: a job of the merchant's that has this id already is returned as it stands.

    Raises ``PhotoError`` for a photo that cannot be used, ``Refused("search_empty")`` without photo, words and anything
    to be like, and as ``search_examples``.
    """
    if made := _made(merchant, job_id):
        return made
    words = words.strip()
    if photo is None and not words and not options.like and not any(each.like for each in examples):
        raise Refused("search_empty", "Send a photo, some words, or both.")
    examples_check(merchant=merchant, options=options)
    if photo is not None:
        client.inspect_photo(photo)
    example_rows = examples_keep(merchant=merchant, sent=examples)
    options = options.model_copy(update=examples_told(sent=examples, kept=example_rows))
    key = client.photo_store().write(photo).key if photo is not None else ""
    now = timezone.now()
    request = {"words": words, "filters": filters.model_dump(mode="json"), "region": region, "limit": limit}
    request |= options.model_dump(mode="json") | {"read_as": words_read(merchant=merchant, words=words)}
    request |= {"request_id": request_id} if (request_id := told_id("request")) else {}
    with transaction.atomic():
        job = Job.objects.create(
            pk=job_id or uuid4(),
            merchant=merchant,
            kind=JobKind.SEARCH,
            request=request,
            key=key,
            state=JobState.DISPATCHED,
            deadline=now + timedelta(seconds=load_env().search_deadline_seconds),
            lease_until=now + timedelta(seconds=load_env().search_deadline_seconds),
        )
        for row in example_rows:
            row.job = job
        ExamplePhoto.objects.bulk_create(example_rows)
        transaction.on_commit(partial(search_job_send, job=job))
    return job


def _made(merchant: Merchant, job_id: UUID | None) -> Job | None:
    return Job.objects.filter(merchant=merchant, pk=job_id).first() if job_id else None


def search_deadline(job: Job) -> datetime:
    """When a search is over; only recognitions have no deadline."""
    return cast(datetime, job.deadline)


def search_message(job: Job) -> Search:
    """The message that asks a worker to run this search.

    One query where a category stands for all beneath it, and one for each kind of examples.
    """
    options = SearchOptions.model_validate(job.request)
    examples = {*options.like, *options.unlike}
    photos = example_photos(merchant_id=job.merchant_id, product_ids=examples) if examples else {}
    like, unlike = (tuple(photos[each] for each in some if each in photos) for some in (options.like, options.unlike))
    rows = list(job.example_photos.all()) if options.like_photos or options.unlike_photos else []
    shown = [(row.like, Example(key=row.key, region=row.region)) for row in rows]
    filters = SearchFilters.model_validate(job.request["filters"])
    categories = categories_within(merchant_id=job.merchant_id, categories=filters.categories)
    return Search(
        job_id=job.pk,
        merchant_id=job.merchant_id,
        deadline=search_deadline(job),
        key=job.key or None,
        words=words_sent(job.request["words"], job.request.get("read_as", ())),
        region=job.request["region"],
        filters=filters.model_copy(update={"categories": categories}),
        limit=min(max(job.request["limit"], options.depth) + len(examples), DEPTH),
        photo_weight=options.photo_weight,
        like=like,
        unlike=unlike,
        like_photos=tuple(example for wanted, example in shown if wanted),
        unlike_photos=tuple(example for wanted, example in shown if not wanted),
        grouped=options.group_variants,
        bundle=live_version(),
        request_id=job.request.get("request_id", ""),
    )


def search_job_send(*, job: Job) -> None:
    """Send a search. With the broker away it becomes pending, and the reconciler sends it while its deadline lasts."""
    with told(job=job.pk, request=job.request.get("request_id"), merchant=job.merchant_id):
        try:
            client.send_search(search_message(job))
            log.info("search sent")
        except Unavailable as error:
            Job.objects.filter(pk=job.pk, state=JobState.DISPATCHED).update(state=JobState.PENDING, lease_until=None)
            log.warning("search not sent, it waits: %s", error)


def recognition_job_create(
    *,
    merchant: Merchant,
    photos: Sequence[tuple[str, bytes]],
    items: Items = "one",
    regions: Sequence[Region | None] = (),
    job_id: UUID | None = None,
) -> Job:
    """Commit a recognition of ``(file name, bytes)`` photos. All are checked first: one bad photo refuses the request.

    ``items``: whether each photo shows one product or is searched for as many as there are. ``regions``: the part of
    each photo that counts, in the same order; photos beyond their end count as a whole. ``job_id``: as for a search.

    Raises ``Refused("photos_missing")`` for an empty list and ``Refused("photos_refused")`` naming every bad photo.
    """
    if made := _made(merchant, job_id):
        return made
    taken = _taken(photos)
    with transaction.atomic():
        job = Job.objects.create(
            pk=job_id or uuid4(),
            merchant=merchant,
            kind=JobKind.RECOGNITION,
            state=JobState.DISPATCHED,
            request={"items": items},
        )
        marked = zip(taken, chain(regions, repeat(None)), strict=False)
        Photo.objects.bulk_create(
            photo_row(
                each,
                name=name,
                merchant=merchant,
                job=job,
                purpose=Purpose.RECOGNISE,
                origin=PhotoOrigin.API,
                position=position,
                region=region,
            )
            for position, ((name, each), region) in enumerate(marked)
        )
        transaction.on_commit(dispatch_soon)
    return job


def _taken(photos: Sequence[tuple[str, bytes]]) -> list[tuple[str, Taken]]:
    """Inspect every photo, then keep them; before any lock, because a store may be slow. Each is read twice, so that
    no more than one is in memory at once and a refused request keeps none.
    """
    if not photos:
        raise Refused("photos_missing", "Send at least one photo.")
    facts, problems = [], []
    for number, (name, data) in enumerate(photos):
        try:
            facts.append(client.inspect_photo(data))
        except client.PhotoError as error:
            problems.append({"code": error.code, "message": f"{name}: {error.message}", "field": f"photos[{number}]"})
    if problems:
        raise Refused("photos_refused", "Some photos cannot be used; nothing was started.", problems=problems)
    taken = []
    for (name, data), known in zip(photos, facts, strict=True):
        stored = client.photo_store().write(data)
        taken.append((name, Taken(stored.sha256, stored.key, known)))
    return taken


def job_cancel(*, job: Job) -> Job:
    """Cancel what is not finished. Photos already with a worker may still be done. A finished job is refused (409)."""
    with transaction.atomic():
        changed = Job.objects.filter(pk=job.pk, state__in=OWED).update(
            state=JobState.CANCELLED, finished_at=timezone.now(), lease_until=None
        )
        if not changed:
            raise Refused("job_finished", "This job is already finished.", status=409)
        recognitions_drop(photos=Photo.objects.filter(job=job))
        event_job_finished(job_id=job.pk)
        transaction.on_commit(partial(job_announce, job_id=job.pk))
    job.refresh_from_db()
    return job


def jobs_forget(*, now: datetime) -> int:
    """Delete the results of jobs that finished long ago: what was asked, with which photo, and a search's hits.

    The row stays and says that it is gone. What a recognition found belongs to the review queue, and stays there with
    its photos. Returns how many.
    """
    due = Job.objects.filter(finished_at__lt=kept_since(), forgotten_at=None).order_by("finished_at")
    jobs = list(due.only("key")[:FORGOTTEN_AT_ONCE])
    examples = ExamplePhoto.objects.filter(job__in=jobs)
    keys = {*examples.values_list("key", flat=True), *(job.key for job in jobs)} - {""}
    loose = {key: LooseBytes(sha256=key.rpartition("/")[2], key=key, since=now) for key in keys}
    with transaction.atomic():
        LooseBytes.objects.bulk_create(
            [loose[key] for key in sorted(loose)],
            update_conflicts=True,
            unique_fields=["sha256"],
            update_fields=["since"],
        )
        examples.delete()
        same = Job.objects.filter(pk__in=[job.pk for job in jobs])
        same.filter(kind=JobKind.SEARCH).update(request={}, key="", candidates=[], box=None, reason="")
        same.update(forgotten_at=now)
    return len(jobs)


def recognitions_drop(*, photos: QuerySet[Photo]) -> int:
    """Of these, cancel those that wait to be recognised for a cancelled job. Returns how many.

    A photo that a reviewer made a reference meanwhile is owed to its product, whatever became of the job.
    """
    # No join: what is asked of the photo itself is then judged anew, should the update wait for another one.
    cancelled = Job.objects.filter(state=JobState.CANCELLED)
    waiting = photos.filter(state=LedgerState.PENDING, purpose=Purpose.RECOGNISE, job__in=cancelled)
    return waiting.update(state=LedgerState.CANCELLED)


@transaction.atomic
def recognition_job_finish(*, job_id: UUID) -> None:
    """Mark a recognition done when no photo is owed and its upload is read to the end. May run twice.

    Its row is locked before anything is counted: of two last chunks stored at the same moment, the second sees both.
    Photos that a worker could not do for a job cancelled meanwhile are cancelled too.
    """
    job = Job.objects.select_for_update(no_key=True).filter(pk=job_id).first()
    if job is None:
        return
    if job.state == JobState.CANCELLED:
        recognitions_drop(photos=Photo.objects.filter(job_id=job_id))
        return
    owed = Photo.objects.filter(job_id=job_id, state__in=(LedgerState.PENDING, LedgerState.DISPATCHED))
    more_to_come = Upload.objects.filter(job_id=job_id, state__in=(UploadState.PENDING, UploadState.IMPORTING))
    if owed.exists() or more_to_come.exists():
        return
    finished = Job.objects.filter(pk=job_id, kind=JobKind.RECOGNITION, state__in=OWED).update(
        state=JobState.DONE, finished_at=timezone.now()
    )
    if finished:
        event_job_finished(job_id=job_id)
        transaction.on_commit(partial(job_announce, job_id=job_id))
