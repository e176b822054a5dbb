"""What the desk sends: orders, each with an id of its own, carried out in turn by the review verbs.

Called by the desk's address; the desk may send an order twice, and then it is carried out once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from catalog.models import Decision, DecisionAction, Item, ItemState, Opinion, Product
from catalog.selectors.queue import merchants_reviewed
from catalog.services.errors import Refused
from catalog.services.product import product_create
from catalog.services.review import ADDED, item_accept, item_correct, item_new_product, item_reject, item_unknown
from catalog.services.reviewing.acting import Act
from catalog.services.reviewing.claims import items_claim_these
from catalog.services.reviewing.opinions import opinion_asked, opinion_give, opinion_take_back
from catalog.services.reviewing.split import item_split, parts_check
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
    """What became of an order. ``decision`` is None for an opinion, of which the desk is told nothing else.

    ``repeated``: it came a second time.
    """

    state: str
    reference: str
    product: Product | None
    decision: Decision | None
    repeated: bool


def order_carry_out(*, order: Order, reviewer: User, desk: UUID) -> CarriedOut:
    """Do what one order says; on an item that was shown for an opinion, only write that down.

    Raises ``Refused``: ``not_found`` (404), and as the verb does; then nothing was changed.
    """
    mine = merchants_reviewed(reviewer)
    item = Item.objects.filter(pk=order.item, merchant__in=mine).select_related("merchant", "photo", "job").first()
    if item is None:
        raise Refused("not_found", "There is no such item in your shops.", status=404)
    act = Act(reviewer, desk=desk, decision_id=order.id, seconds=order.seconds)
    asked = opinion_asked(item=item, reviewer=reviewer, order=order.id, undoes=order.undoes)
    if asked is not None:
        return _opine(item, order, act, asked)
    repeated = Decision.objects.filter(pk=order.id).exists()
    decision = VERBS[DecisionAction(order.action)](item, order, act)
    reference = decision.after.get("reference", "")
    return CarriedOut(decision.after["state"], reference, decision.product, decision, repeated)


def _opine(item: Item, order: Order, act: Act, opinion: Opinion) -> CarriedOut:
    """An order on an item that was shown for an opinion: refused and answered as a real one is."""
    action = DecisionAction(order.action)
    if action == DecisionAction.UNDO:
        already = opinion_take_back(opinion=opinion, act=act)
        return CarriedOut(opinion.about.before["state"], "", None, None, already)
    product = _product(item, order)
    if action == DecisionAction.ACCEPT and product is None and (product := item.best_product) is None:
        raise Refused("item_without_candidate", "There is no candidate to accept: choose the right product instead.")
    if action == DecisionAction.CORRECT and product is None:
        raise Refused("product_missing", "Say which product it is.")
    if action == DecisionAction.SPLIT:
        parts_check(order.parts)
    named = _new_as_if(item, order) if action == DecisionAction.NEW_PRODUCT else product
    known = product if action in (DecisionAction.ACCEPT, DecisionAction.CORRECT) else None
    repeated = opinion_give(opinion=opinion, order=order.id, act=act, action=action, product=known)
    return CarriedOut(STATES[action], ADDED if named else "", named, None, repeated)


def _new_as_if(item: Item, order: Order) -> Product:
    """The product that the catalogue would have got; made and taken back at once, so that what is wrong is said."""
    with transaction.atomic():
        product = product_create(merchant=item.merchant, values=order.values)
        transaction.set_rollback(True)
    return product


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


STATES = {
    DecisionAction.ACCEPT: ItemState.ACCEPTED,
    DecisionAction.CORRECT: ItemState.CORRECTED,
    DecisionAction.NEW_PRODUCT: ItemState.CORRECTED,
    DecisionAction.REJECT: ItemState.REJECTED,
    DecisionAction.UNKNOWN: ItemState.UNKNOWN,
    DecisionAction.SPLIT: ItemState.SPLIT,
}
VERBS: dict[DecisionAction, Callable[[Item, Order, Act], Decision]] = {
    DecisionAction.ACCEPT: _accept,
    DecisionAction.CORRECT: _correct,
    DecisionAction.REJECT: _reject,
    DecisionAction.UNKNOWN: _unknown,
    DecisionAction.NEW_PRODUCT: _new_product,
    DecisionAction.SPLIT: _split,
    DecisionAction.UNDO: _undo,
}
