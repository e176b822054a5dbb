"""Undo: a decision is taken back, and item, photo, index, memory and catalogue are as they were before it.

Comes after any review verb; the decision stays in the log, and the undoing is a decision of its own beside it.
"""

from django.db import transaction

from catalog.models import UNDECIDED, Decision, DecisionAction, Item, Photo, Product
from catalog.services.errors import Refused
from catalog.services.photo import photos_delete
from catalog.services.product import product_delete
from catalog.services.review import decision_write, item_snapshot
from catalog.services.reviewing.acting import Act, check_may_review, decided_before
from catalog.services.reviewing.memory import rejections_undo
from catalog.services.reviewing.references import reference_take_back
from catalog.services.webhooks.events import event_item_decided


@transaction.atomic
def decision_undo(*, decision: Decision, act: Act) -> Decision:
    """Take a decision back; the item waits again, as it did before.

    A product that it made goes too, unless something else refers to it by now.
    Raises ``Refused``: ``decision_undone``, ``decision_superseded``, ``split_decided`` (409), ``review_forbidden``
    (403).
    """
    check_may_review(act, decision.item.merchant_id)
    if decision.product_id:  # before the item, as every verb locks them
        list(Product.objects.select_for_update(no_key=True).filter(pk=decision.product_id))
    item = Item.objects.select_for_update().get(pk=decision.item_id)
    if known := decided_before(item, DecisionAction.UNDO, act):
        return known
    _check_stands(decision, item)
    before = item_snapshot(item)
    reference_take_back(decision=decision)
    rejections_undo(decision=decision)
    if decision.action == DecisionAction.SPLIT:
        _join_parts(decision)
    item.state = decision.before["state"]
    item.product_id = _living(decision.before["product"])
    item.decided_at, item.gold = None, False  # what waits has no answer that reviewers could be measured by
    item.save(update_fields=["state", "product", "decided_at", "gold"])
    if decision.action == DecisionAction.NEW_PRODUCT:
        _unmake_product(decision)
    undo = decision_write(
        item=item, action=DecisionAction.UNDO, act=act, undoes=decision, before=before, after=item_snapshot(item)
    )
    event_item_decided(decision=undo)
    return undo


def _check_stands(decision: Decision, item: Item) -> None:
    if decision.action == DecisionAction.UNDO or Decision.objects.filter(undoes=decision).exists():
        raise Refused("decision_undone", "This decision was already undone.", status=409)
    latest = item.decisions.exclude(action=DecisionAction.UNDO).filter(undone_by=None).order_by("-created_at").first()
    if latest != decision or item.state in UNDECIDED:
        raise Refused("decision_superseded", "The item was decided on again since.", status=409)


def _living(product_id: str | None) -> str | None:
    return product_id if product_id and Product.objects.filter(pk=product_id).exists() else None


def _join_parts(decision: Decision) -> None:
    """The parts that a photo was split into go, with their items, unless somebody has decided on one."""
    parts = list(Photo.objects.select_for_update().filter(pk__in=decision.after["parts"]))
    if Item.objects.filter(photo__in=parts).exclude(state__in=UNDECIDED).exists():
        raise Refused("split_decided", "Some of its parts were decided on: undo those first.", status=409)
    photos_delete(photos=parts)


def _unmake_product(decision: Decision) -> None:
    """Nothing but this decision knows the product: it goes. Otherwise it stays, with what else became of it."""
    product = decision.product
    if product and not product.photos.exists() and not product.items.exists():
        product_delete(product=product)
