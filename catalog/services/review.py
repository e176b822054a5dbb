"""The review verbs: accept, correct, reject, cannot tell, new product. Each checks that the reviewer may, changes, and
writes a ``Decision`` in one transaction; ``reviewing.undo`` takes one back, ``reviewing.split`` cuts a photo up.

Comes after an item was recognised; before the index, because an accepted or corrected photo becomes a reference of
its product and is owed to the workers again.
"""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from catalog.models import UNDECIDED, Decision, DecisionAction, Item, ItemState, Product
from catalog.selectors.rejections import look_of, products_rejected
from catalog.services.errors import Refused
from catalog.services.photo import product_lock_living
from catalog.services.product import product_create
from catalog.services.reviewing.acting import Act, check_claim, check_may_review, decided_before
from catalog.services.reviewing.memory import doubt_near_duplicates, rejections_lift, rejections_remember
from catalog.services.reviewing.references import ADDED, GONE, HELD, reference_make
from catalog.services.webhooks.events import event_item_decided

__all__ = [
    "ADDED",
    "GONE",
    "HELD",
    "decision_write",
    "item_accept",
    "item_correct",
    "item_lock_undecided",
    "item_new_product",
    "item_reject",
    "item_snapshot",
    "item_unknown",
]


def item_accept(
    *,
    item: Item,
    reviewer: User | None,
    reviewer_name: str = "",
    product: Product | None = None,
    act: Act | None = None,
) -> Decision:
    """Accept the first candidate (or ``product``, when it is given): the photo becomes a reference of it.

    The decision's ``after["reference"]`` is ``added``, ``held`` where the product had this very photo already, or
    ``gone`` where the photo was deleted. ``act`` says more than ``reviewer`` and ``reviewer_name`` do.
    Raises ``Refused``: ``item_decided`` and ``item_claimed`` (409), ``review_forbidden`` (403),
    ``item_without_candidate``, ``product_not_found`` (404).
    """
    product = product or _first_candidate(item)
    if product is None:
        _check_undecided(Item.objects.get(pk=item.pk))
        raise Refused("item_without_candidate", "There is no candidate to accept: choose the right product instead.")
    act = act or Act(reviewer, reviewer_name)
    return _decide(item, DecisionAction.ACCEPT, ItemState.ACCEPTED, act, product)


def item_correct(
    *, item: Item, reviewer: User | None, reviewer_name: str = "", product: Product, act: Act | None = None
) -> Decision:
    """Say which product it really is: the photo becomes a reference of it, and what was suggested before it is not
    suggested again for photos like this one. Raises as ``item_accept``.
    """
    act = act or Act(reviewer, reviewer_name)
    return _decide(item, DecisionAction.CORRECT, ItemState.CORRECTED, act, product, wrong=_ahead_of(item, product.pk))


def item_reject(*, item: Item, reviewer: User | None, reviewer_name: str = "", act: Act | None = None) -> Decision:
    """Say that the photo shows no product of this merchant: none that was suggested is suggested again for photos like
    this one. Raises as ``item_accept``.
    """
    act = act or Act(reviewer, reviewer_name)
    wrong = look_of(item).products
    return _decide(item, DecisionAction.REJECT, ItemState.REJECTED, act, None, wrong=wrong)


def item_unknown(*, item: Item, act: Act) -> Decision:
    """Say that nobody can tell from this photo. Nothing is learnt from it. Raises as ``item_accept``."""
    return _decide(item, DecisionAction.UNKNOWN, ItemState.UNKNOWN, act, None)


@transaction.atomic
def item_new_product(*, item: Item, act: Act, values: Mapping[str, Any]) -> Decision:
    """Say that it is a product that the catalogue does not have yet, and make it, with the photo as its reference.

    Raises as ``item_accept`` and ``product_create``; then nothing was changed.
    """
    held = Item.objects.select_for_update().get(pk=item.pk)
    check_may_review(act, held.merchant_id)
    if known := decided_before(held, DecisionAction.NEW_PRODUCT, act):
        return known
    _check_undecided(held)
    product = product_create(merchant=item.merchant, values=values)
    wrong = look_of(item).products
    return _decide(item, DecisionAction.NEW_PRODUCT, ItemState.CORRECTED, act, product, wrong=wrong)


@transaction.atomic
def _decide(
    item: Item,
    action: DecisionAction,
    state: ItemState,
    act: Act,
    product: Product | None,
    *,
    wrong: Collection[UUID] = (),
) -> Decision:
    check_may_review(act, item.merchant_id)
    if product:  # before the item, as deleting a product locks them
        product_lock_living(product=product)
    item, known = item_lock_undecided(item, action, act)
    if known:
        return known
    if product and product.merchant_id != item.merchant_id:
        raise Refused("product_not_found", "This merchant has no such product.", status=404)
    before = item_snapshot(item) | _cast_doubt(item, wrong)
    item.state, item.product, item.decided_at = state, product, timezone.now()
    item.claim = item.claimed_by = item.claimed_until = None
    item.save(update_fields=["state", "product", "decided_at", "claim", "claimed_by", "claimed_until"])
    after = item_snapshot(item)
    if product:
        kept, made = reference_make(item=item, product=product)
        before, after = before | kept, after | made
    decision = decision_write(item=item, action=action, act=act, product=product, before=before, after=after)
    _learn(decision, item, product, wrong)
    event_item_decided(decision=decision)
    return decision


def item_lock_undecided(item: Item, action: DecisionAction, act: Act) -> tuple[Item, Decision | None]:
    """The locked item, and the decision where this very one was made before (it was sent twice).

    Raises ``Refused``: ``item_decided``, ``item_claimed``, ``decision_id_reused`` (409).
    """
    held = Item.objects.select_for_update().get(pk=item.pk)
    if known := decided_before(held, action, act):
        return held, known
    _check_undecided(held)
    check_claim(held, act)
    return held, None


def decision_write(*, item: Item, action: DecisionAction, act: Act, **fields: Any) -> Decision:
    """The row of the log."""
    return Decision.objects.create(
        id=act.decision_id or uuid4(),
        item=item,
        reviewer=act.reviewer,
        reviewer_name=act.signature,
        action=action,
        lane=item.lane,
        seconds=act.counted_seconds,
        **fields,
    )


def item_snapshot(item: Item) -> dict[str, Any]:
    """What a decision changes of an item."""
    return {"state": str(item.state), "product": str(item.product_id) if item.product_id else None}


def _check_undecided(item: Item) -> None:
    if item.state not in UNDECIDED:
        raise Refused("item_decided", "Somebody has already decided on this item.", status=409)


def _cast_doubt(item: Item, wrong: Collection[UUID]) -> dict[str, Any]:
    if item.best_product is None or item.best_product_id not in wrong:
        return {}
    return doubt_near_duplicates(item=item, product=item.best_product)


def _learn(decision: Decision, item: Item, product: Product | None, wrong: Collection[UUID]) -> None:
    rejections_remember(decision=decision, item=item, products=wrong)
    if product:
        rejections_lift(decision=decision, item=item, product=product)


def _first_candidate(item: Item) -> Product | None:
    """The likeliest product that no reviewer said it is not; usually the first that the machine named."""
    look = look_of(item)
    (rejected,) = products_rejected(merchant_id=item.merchant_id, looks=[look])
    if not rejected:
        return item.best_product
    left = [product for product in look.products if product not in rejected]
    return Product.objects.filter(pk=left[0], merchant_id=item.merchant_id).first() if left else None


def _ahead_of(item: Item, product_id: UUID) -> list[UUID]:
    """The candidates that were named before this product; all of them where it is none."""
    ahead: list[UUID] = []
    for each in look_of(item).products:
        if each == product_id:
            break
        ahead.append(each)
    return ahead
