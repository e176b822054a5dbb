"""What reviewers said a photo does not show: written down with the decision, lifted or forgotten with a later one.

Called by the review verbs inside their transaction; ``selectors.rejections`` reads it wherever candidates are judged.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from catalog.models import Decision, Item, ItemState, Lane, Product, Rejection
from catalog.selectors.rejections import is_about, look_of, products_rejected
from workers.client import is_near_duplicate

NEAR_LOOKED_AT = 1_000  # items that the machine accepted as the same product, of which the newest are compared
DOUBTED = "doubted"  # in a decision's ``before``: lane and doubt of the items that it made likely mistakes, by id
LIKELY = {"lane": Lane.MISTAKE, "doubt": 1.0}


def rejections_remember(*, decision: Decision, item: Item, products: Iterable[UUID]) -> None:
    """Never suggest these for this photo or its near-duplicates; one that was deleted meanwhile is left out."""
    living = Product.objects.filter(pk__in=list(products), merchant_id=item.merchant_id).values_list("pk", flat=True)
    look = look_of(item)
    Rejection.objects.bulk_create(
        Rejection(
            merchant_id=item.merchant_id,
            product_id=product_id,
            decision=decision,
            sha256=look.sha256,
            region=look.region,
            fingerprint=look.fingerprint,
        )
        for product_id in living
    )


def rejections_lift(*, decision: Decision, item: Item, product: Product) -> None:
    """A reviewer says now that the photo shows this product: what was said against it before lies still."""
    look = look_of(item)
    said = Rejection.objects.filter(merchant_id=item.merchant_id, product=product, lifted_by=None)
    about = [each.pk for each in said if is_about(each, look)]
    Rejection.objects.filter(pk__in=about).update(lifted_by=decision)


def rejections_undo(*, decision: Decision) -> None:
    """What a decision said is forgotten, what it lifted holds again, and what it cast doubt on is as it was."""
    decision.rejections.all().delete()
    decision.lifted.update(lifted_by=None)
    _trust_again(decision.before.get(DOUBTED, {}))


def doubt_near_duplicates(*, item: Item, product: Product) -> dict[str, Any]:
    """Near-duplicates that the machine accepted as a product which this photo does not show are likely mistakes.

    They move up in the queue; returns what the decision has to keep of before, {} where there are none.
    """
    same = Item.objects.filter(merchant_id=item.merchant_id, state=ItemState.AUTO, product=product)
    rows = same.exclude(pk=item.pk).order_by("-created_at").values_list("pk", "fingerprint", "lane", "doubt")
    near = {
        str(pk): [lane, doubt]
        for pk, fingerprint, lane, doubt in rows[:NEAR_LOOKED_AT]
        if is_near_duplicate(fingerprint, item.fingerprint)
    }
    if not near:
        return {}
    # What another decision made a likely mistake is to become what it was before both of them.
    others = Decision.objects.filter(rejections__product=product, undone_by=None, before__has_key=DOUBTED)
    for before in others.values_list("before", flat=True):
        near |= {pk: was for pk, was in before.get(DOUBTED, {}).items() if pk in near}
    Item.objects.filter(pk__in=near).update(**LIKELY)
    return {DOUBTED: near}


def _trust_again(before: dict[str, Any]) -> None:
    """Unless another decision that stands says the same, or the queue has another reason for an item by now."""
    items = list(Item.objects.filter(pk__in=before, **LIKELY).select_related("photo").order_by("pk"))
    if not items:
        return
    said = products_rejected(merchant_id=items[0].merchant_id, looks=[look_of(item) for item in items])
    for item, rejected in zip(items, said, strict=True):
        if item.best_product_id not in rejected:
            item.lane, item.doubt = before[str(item.pk)]
            item.save(update_fields=["lane", "doubt"])
