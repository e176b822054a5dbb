"""What reviewers said a photo does not show: written down with the decision, lifted or forgotten with a later one.

Called by the review verbs inside their transaction; ``selectors.rejections`` reads it wherever candidates are judged.
"""

from collections.abc import Iterable
from uuid import UUID

from catalog.models import Decision, Item, ItemState, Lane, Product, Rejection
from catalog.selectors.rejections import is_about, look_of
from workers.client import is_near_duplicate

NEAR_LOOKED_AT = 1_000  # items that the machine accepted as the same product, of which the newest are compared


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
    """What a decision said is forgotten, and what it lifted holds again."""
    decision.rejections.all().delete()
    decision.lifted.update(lifted_by=None)


def doubt_near_duplicates(*, item: Item, product: Product) -> list[UUID]:
    """Near-duplicates that the machine accepted as a product which this photo does not show are likely mistakes.

    They move up in the queue; returns those that did.
    """
    same = Item.objects.filter(merchant_id=item.merchant_id, state=ItemState.AUTO, product=product)
    newest = same.exclude(pk=item.pk).exclude(lane=Lane.MISTAKE).order_by("-created_at")
    rows = newest.values_list("pk", "fingerprint")[:NEAR_LOOKED_AT]
    near = [pk for pk, fingerprint in rows if is_near_duplicate(fingerprint, item.fingerprint)]
    Item.objects.filter(pk__in=near).update(lane=Lane.MISTAKE, doubt=1.0)
    return near
