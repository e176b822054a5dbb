"""What the desk sends: orders, each with an id of its own, carried out in turn by the review verbs.

Called by the desk's address; the desk may send an order twice, and then it is carried out once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from django.contrib.auth.models import User

from catalog.models import Decision, DecisionAction, Item, Product
from catalog.selectors.queue import merchants_reviewed
from catalog.services.errors import Refused
from catalog.services.review import item_accept, item_correct, item_new_product, item_reject, item_unknown
from catalog.services.reviewing.acting import Act
from catalog.services.reviewing.claims import items_claim_these
from catalog.services.reviewing.split import item_split
from catalog.services.reviewing.undo import decision_undo
from workers.contract import Region

Verb = Literal["accept", "correct", "reject", "unknown", "new_product", "split", "undo"]


@dataclass(frozen=True)
class Order:
    """One decision as the desk sends it. ``same_as``: the product of that decision, for the rest of a bulk decision.

    ``undoes``: the decision to take back. ``values``: of a new product. ``parts``: of a photo that is split.
    """

    id: UUID
    item: UUID
    action: Verb
    product: UUID | None = None
    same_as: UUID | None = None
    undoes: UUID | None = None
    values: dict[str, Any] = field(default_factory=dict)
    parts: tuple[Region, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True)
class CarriedOut:
    """A decision, and whether it had been made before: then the order came a second time."""

    decision: Decision
    repeated: bool


def order_carry_out(*, order: Order, reviewer: User, desk: UUID) -> CarriedOut:
    """Do what one order says.

    Raises ``Refused``: ``not_found`` (404), and as the verb does; then nothing was changed.
    """
    mine = merchants_reviewed(reviewer)
    item = Item.objects.filter(pk=order.item, merchant__in=mine).select_related("merchant", "photo", "job").first()
    if item is None:
        raise Refused("not_found", "There is no such item in your shops.", status=404)
    repeated = Decision.objects.filter(pk=order.id).exists()
    act = Act(reviewer, desk=desk, decision_id=order.id, seconds=order.seconds)
    decision = VERBS[DecisionAction(order.action)](item, order, act)
    return CarriedOut(decision, repeated)


def _accept(item: Item, order: Order, act: Act) -> Decision:
    return item_accept(item=item, reviewer=act.reviewer, product=_product(item, order), act=act)


def _correct(item: Item, order: Order, act: Act) -> Decision:
    product = _product(item, order)
    if product is None:
        raise Refused("product_missing", "Say which product it is.")
    return item_correct(item=item, reviewer=act.reviewer, product=product, act=act)


def _reject(item: Item, order: Order, act: Act) -> Decision:
    return item_reject(item=item, reviewer=act.reviewer, act=act)


def _unknown(item: Item, order: Order, act: Act) -> Decision:
    return item_unknown(item=item, act=act)


def _new_product(item: Item, order: Order, act: Act) -> Decision:
    return item_new_product(item=item, act=act, values=order.values)


def _split(item: Item, order: Order, act: Act) -> Decision:
    return item_split(item=item, act=act, parts=order.parts)


def _undo(item: Item, order: Order, act: Act) -> Decision:
    """The item is the desk's again, which shows it at once."""
    decision = item.decisions.filter(pk__in=[order.undoes]).select_related("item").first()
    if decision is None:
        raise Refused("not_found", "There is no such decision on this item.", status=404)
    undo = decision_undo(decision=decision, act=act)
    if act.reviewer and act.desk:
        items_claim_these(reviewer=act.reviewer, desk=act.desk, item_ids=[item.pk])
    return undo


def _product(item: Item, order: Order) -> Product | None:
    wanted = order.product
    if order.same_as:
        first = Decision.objects.filter(pk=order.same_as, item__merchant=item.merchant_id).first()
        wanted = first.product_id if first else None
    if wanted is None and not order.same_as:
        return None
    product = wanted and Product.objects.filter(pk=wanted, merchant=item.merchant_id, deleted_at=None).first()
    if not product:
        raise Refused("product_not_found", "This merchant has no such product.", status=404)
    return product


VERBS: dict[DecisionAction, Callable[[Item, Order, Act], Decision]] = {
    DecisionAction.ACCEPT: _accept,
    DecisionAction.CORRECT: _correct,
    DecisionAction.REJECT: _reject,
    DecisionAction.UNKNOWN: _unknown,
    DecisionAction.NEW_PRODUCT: _new_product,
    DecisionAction.SPLIT: _split,
    DecisionAction.UNDO: _undo,
}
