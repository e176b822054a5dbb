"""Products: created, updated, upserted by sku, deleted; a change that the index must know owes their photos again.

Comes after the API, the admin or a single row of values; before ``photo`` and the dispatcher. Bulk uploads write in
batches (``uploading.catalogue``) by the same rules.
"""

from collections.abc import Mapping
from typing import Any, Literal

from django.db import IntegrityError, transaction
from django.utils import timezone

from catalog.models import Merchant, Photo, Product, Purpose
from catalog.services.enqueue import dispatch_soon
from catalog.services.errors import Refused
from catalog.services.photo import photos_owe, photos_requeue
from catalog.services.problems import Problem, problem
from catalog.services.product_values import INDEXED, apply_values, clean_values, currency_problem, sku_stored

Outcome = Literal["created", "updated", "unchanged"]


def product_create(*, merchant: Merchant, values: Mapping[str, Any]) -> Product:
    """Create a product. Raises ``Refused``: ``sku_duplicate`` (409), ``invalid`` with every problem.

    A sku whose product was deleted comes back with exactly the values given.
    """
    cleaned = _cleaned(values, partial=False)
    with transaction.atomic():
        held = _locked(merchant, cleaned["sku"])
        if held and not held.deleted_at:
            raise _sku_taken(cleaned["sku"])
        return _bring_back(held, cleaned) if held else _insert(merchant, cleaned)


def product_update(*, product: Product, values: Mapping[str, Any]) -> Product:
    """Change the fields given, leave the others. Raises ``Refused`` as ``product_create``.

    The photos are owed again if the index must know about the change.
    """
    cleaned = _cleaned(values, partial=True)
    with transaction.atomic():
        held = Product.objects.select_for_update().get(pk=product.pk)
        _update(held, cleaned)
    return held


def product_upsert(*, merchant: Merchant, sku: str, values: Mapping[str, Any]) -> tuple[Product, Outcome]:
    """Create the product with this sku, or change the fields given. A deleted sku comes back and counts as created.

    Raises ``Refused("invalid")`` with every problem; then nothing was changed.
    """
    with transaction.atomic():
        held = _locked(merchant, sku_stored(str(sku)))
        alive = held is not None and held.deleted_at is None
        cleaned = _cleaned({**values, "sku": sku}, partial=alive)
        if held is None:
            return _insert(merchant, cleaned), "created"
        if not alive:
            return _bring_back(held, cleaned), "created"
        return held, "updated" if _update(held, cleaned) else "unchanged"


def product_delete(*, product: Product) -> None:
    """Hide the product at once and owe its photos to be forgotten; its row goes with the last photo.

    A product without photos is deleted at once.
    """
    with transaction.atomic():
        held = Product.objects.select_for_update().get(pk=product.pk)
        held.deleted_at = product.deleted_at = timezone.now()
        held.save(update_fields=["deleted_at", "updated_at"])
        photos_owe(Photo.objects.filter(product=held), purpose=Purpose.FORGET)
        if not product_purge_if_empty(product=held):
            transaction.on_commit(dispatch_soon)


def product_purge_if_empty(*, product: Product) -> bool:
    """Delete the row of a deleted product that has no photo left. Returns whether it went."""
    with transaction.atomic():
        held = Product.objects.select_for_update().filter(pk=product.pk, deleted_at__isnull=False).first()
        if held is None or Photo.objects.filter(product=held).exists():
            return False
        held.delete()
    return True


def _locked(merchant: Merchant, sku: str) -> Product | None:
    return Product.objects.select_for_update().filter(merchant=merchant, sku=sku).first()


def _insert(merchant: Merchant, cleaned: dict[str, Any]) -> Product:
    try:
        with transaction.atomic():
            return Product.objects.create(merchant=merchant, **cleaned)
    except IntegrityError:
        raise _sku_taken(cleaned["sku"]) from None


def _bring_back(held: Product, cleaned: dict[str, Any]) -> Product:
    """A deleted product lives again with these values; photos not forgotten yet stay on their way out."""
    fresh = Product(pk=held.pk, merchant_id=held.merchant_id, created_at=held.created_at, **cleaned)
    fresh.save(force_update=True)
    return fresh


def _update(held: Product, cleaned: dict[str, Any]) -> bool:
    changed = apply_values(held, cleaned)
    if found := currency_problem(held.price, held.currency):
        raise _invalid([found])
    if not changed:
        return False
    try:
        with transaction.atomic():
            held.save(update_fields=[*changed, "updated_at"])
    except IntegrityError:
        raise _sku_taken(held.sku) from None
    if changed & INDEXED:
        photos_requeue(product=held)
    return True


def _cleaned(values: Mapping[str, Any], *, partial: bool) -> dict[str, Any]:
    cleaned, problems = clean_values(values, partial=partial)
    if not partial and (found := currency_problem(cleaned.get("price"), cleaned.get("currency", ""))):
        # An unknown currency is problem enough.
        problems += [] if any(each["field"] == "currency" for each in problems) else [found]
    if problems:
        raise _invalid(problems)
    return cleaned


def _invalid(problems: list[Problem]) -> Refused:
    return Refused("invalid", "Some values are not valid; nothing was changed.", problems=problems)


def _sku_taken(sku: str) -> Refused:
    sentence = f"There is a product with the sku {sku!r} already."
    return Refused("sku_duplicate", sentence, status=409, problems=[problem("sku_duplicate", sentence, field="sku")])
