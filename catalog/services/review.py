"""The review verbs: accept, correct, reject. Each checks, changes, and writes a ``Decision`` in one transaction.

Comes after an item was recognised; before the index, because an accepted or corrected photo becomes a reference of
its product and is owed to the workers again.
"""

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from catalog.models import UNDECIDED, Decision, DecisionAction, Item, ItemState, Photo, PhotoOrigin, Product, Purpose
from catalog.services.errors import Refused
from catalog.services.photo import photo_cut_out, photo_take_back, photos_owe, product_lock_living
from catalog.services.webhooks.events import event_item_decided

ADDED, HELD, GONE = "added", "held", "gone"  # what became of the reference; kept in the decision


def item_accept(
    *, item: Item, reviewer: User | None, reviewer_name: str = "", product: Product | None = None
) -> Decision:
    """Accept the first candidate (or ``product``, when it is given): the photo becomes a reference of it.

    The decision's ``after["reference"]`` is ``added``, ``held`` where the product had this very photo already, or
    ``gone`` where the photo was deleted.
    Raises ``Refused``: ``item_decided`` (409), ``item_without_candidate``, ``product_not_found`` (404).
    """
    product = product or item.best_product
    if product is None:
        raise Refused("item_without_candidate", "There is no candidate to accept: choose the right product instead.")
    return _decide(item, DecisionAction.ACCEPT, ItemState.ACCEPTED, reviewer, reviewer_name, product)


def item_correct(*, item: Item, reviewer: User | None, reviewer_name: str = "", product: Product) -> Decision:
    """Say which product it really is: the photo becomes a reference of it. Raises as ``item_accept``."""
    return _decide(item, DecisionAction.CORRECT, ItemState.CORRECTED, reviewer, reviewer_name, product)


def item_reject(*, item: Item, reviewer: User | None, reviewer_name: str = "") -> Decision:
    """Say that the photo shows no product of this merchant. Raises ``Refused("item_decided")`` (409)."""
    return _decide(item, DecisionAction.REJECT, ItemState.REJECTED, reviewer, reviewer_name, None)


@transaction.atomic
def _decide(
    item: Item,
    action: DecisionAction,
    state: ItemState,
    reviewer: User | None,
    reviewer_name: str,
    product: Product | None,
) -> Decision:
    if product:  # before the item, as deleting a product locks them
        product_lock_living(product=product)
    item = Item.objects.select_for_update().get(pk=item.pk)
    if item.state not in UNDECIDED:
        raise Refused("item_decided", "Somebody has already decided on this item.", status=409)
    if product and product.merchant_id != item.merchant_id:
        raise Refused("product_not_found", "This merchant has no such product.", status=404)
    before = _snapshot(item)
    item.state, item.product, item.decided_at = state, product, timezone.now()
    item.save(update_fields=["state", "product", "decided_at"])
    after = _snapshot(item)
    if product:
        after["reference"] = _make_reference(item, item.photo, product) if item.photo else GONE
    decision = Decision.objects.create(
        item=item,
        reviewer=reviewer,
        reviewer_name=reviewer_name or (reviewer.get_username() if reviewer else ""),
        action=action,
        product=product,
        before=before,
        after=after,
    )
    event_item_decided(decision=decision)
    return decision


def _snapshot(item: Item) -> dict[str, str | None]:
    return {"state": str(item.state), "product": str(item.product_id) if item.product_id else None}


def _make_reference(item: Item, photo: Photo, product: Product) -> str:
    """Owe the photo, or the part of it that was recognised, to the index as one of the product's; says what became.

    The very same bytes are a reference of a product only once; a row that failed, or is about to be forgotten, is
    taken back for it. A photo of many things stays what it is: each of them that a reviewer confirms becomes a photo
    of its own, with the same bytes and its region.
    """
    part = {"origin": PhotoOrigin.REVIEW, "region": item.compared, "bundle_version": ""}
    held, owed = photo_take_back(product=product, sha256=photo.sha256, retry=True, **part)
    if held and held != photo:
        return ADDED if owed else HELD
    if item.is_one_of_many:
        photo_cut_out(photo=photo, region=item.compared, product=product)
    else:
        photos_owe(Photo.objects.filter(pk=photo.pk), product=product, purpose=Purpose.INDEX, **part)
    return ADDED
