"""What the tests of the review desk share: reviewers, results of workers, and what the index still owes."""

import uuid

from django.contrib.auth.models import User

from catalog.models import LedgerState, Membership, Photo, Purpose, Role
from catalog.services.result import chunk_result_store
from catalog.services.reviewing.acting import Act
from workers.contract import ChunkResult, PhotoOutcome


def reviewer(name, *merchants, role=Role.REVIEWER, **flags):
    """A person of the staff who reviews for these merchants."""
    user = User.objects.create(username=name, is_staff=True, **flags)
    for merchant in merchants:
        Membership.objects.create(user=user, merchant=merchant, role=role)
    return user


def act(user=None, **more):
    """One act; without a person that of an API key."""
    return Act(user, "" if user else "API key", **more)


def answered(photo, bundle="b1", purpose=None, **outcome):
    """Hand a photo to a worker, who answers this about it."""
    Photo.objects.filter(pk=photo.pk).update(state=LedgerState.DISPATCHED, chunk_id=uuid.uuid4())
    photo.refresh_from_db()
    asked = purpose or ("forget" if photo.purpose == Purpose.WITHDRAW else photo.purpose)
    result = ChunkResult(
        chunk_id=photo.chunk_id,
        worker="w",
        bundle_version=bundle,
        calibrated=True,
        purpose=asked,
        outcomes=(PhotoOutcome(photo_id=photo.pk, width=400, height=300, **outcome),),
        seconds=0.1,
    )
    return chunk_result_store(result=result)
