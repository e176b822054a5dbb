"""Split: one photo shows several things, so each part becomes a photo of its own and is recognised for itself.

Called by the desk with the parts that a reviewer drew; before ``dispatch`` and the workers, whose answers become items.
"""

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from catalog.models import Decision, DecisionAction, Item, ItemState, Photo, PhotoOrigin, Purpose
from catalog.services.enqueue import dispatch_soon
from catalog.services.errors import Refused
from catalog.services.review import decision_write, item_lock_undecided, item_snapshot
from catalog.services.reviewing.acting import Act, check_may_review
from catalog.services.webhooks.events import event_item_decided
from workers.contract import Region

MOST_PARTS = 24
LEAST_SIDE = 0.02  # of the photo; a part that is thinner was a slip of the hand
COPIED = ("merchant_id", "upload_id", "name", "sha256", "key", "content_type", "bytes", "width", "height")


@transaction.atomic
def item_split(*, item: Item, act: Act, parts: Sequence[Region]) -> Decision:
    """Close the item and owe its parts (of the whole upright photo, 0 to 1) to the workers to be recognised.

    Raises ``Refused``: ``split_parts_invalid``, ``photo_gone`` (410), and as ``item_accept``.
    """
    check_may_review(act, item.merchant_id)
    item, known = item_lock_undecided(item, DecisionAction.SPLIT, act)
    if known:
        return known
    parts_check(parts)
    photo = item.photo
    if photo is None:
        raise Refused("photo_gone", "The photo was deleted: there is nothing to split.", status=410)
    before = item_snapshot(item)
    item.state, item.product, item.decided_at = ItemState.SPLIT, None, timezone.now()
    item.claim = item.claimed_by = item.claimed_until = None
    item.save(update_fields=["state", "product", "decided_at", "claim", "claimed_by", "claimed_until"])
    made = Photo.objects.bulk_create(_part(photo, part, place) for place, part in enumerate(parts))
    after = item_snapshot(item) | {"parts": [str(each.pk) for each in made]}
    decision = decision_write(item=item, action=DecisionAction.SPLIT, act=act, before=before, after=after)
    event_item_decided(decision=decision)
    transaction.on_commit(dispatch_soon)
    return decision


def parts_check(parts: Sequence[Region]) -> None:
    """Raises ``Refused("split_parts_invalid")``."""
    if not 2 <= len(parts) <= MOST_PARTS or not all(_is_part(part) for part in parts):
        raise Refused(
            "split_parts_invalid",
            f"Give 2 to {MOST_PARTS} parts as left, top, right, bottom from 0 to 1, none thinner than {LEAST_SIDE}.",
        )


def _is_part(part: Region) -> bool:
    if len(part) != 4 or not all(isinstance(at, int | float) and 0 <= at <= 1 for at in part):
        return False
    left, top, right, bottom = part
    return right - left >= LEAST_SIDE and bottom - top >= LEAST_SIDE


def _part(photo: Photo, part: Region, position: int) -> Photo:
    same = {name: getattr(photo, name) for name in COPIED}
    region = [round(float(at), 4) for at in part]
    return Photo(purpose=Purpose.RECOGNISE, origin=PhotoOrigin.REVIEW, region=region, position=position, **same)
