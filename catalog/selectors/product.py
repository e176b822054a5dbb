"""Reads of products: a merchant's living ones, and the narrowing that lists offer.

Read by the API's product addresses, and by whoever must find a product of a merchant by id or sku.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from catalog.annotated import ProductWithFigures, ProductWithMainPhoto
from catalog.models import LedgerState, Merchant, Photo, Product, Purpose
from catalog.selectors.attributes import attribute_pairs
from workers.contract import ProductFacts

BENEATH = "/*"
CATEGORIES_LIMIT = 1_000  # that are suggested, or lie beneath those of one filter; more have fewer parents


def product_list(*, merchant: Merchant) -> QuerySet[Product]:
    """The products that are not deleted."""
    return Product.objects.filter(merchant=merchant, deleted_at=None)


SHOWN = Photo.objects.filter(product=OuterRef("pk"), purpose=Purpose.INDEX)


def with_main_photo(products: QuerySet[Product]) -> QuerySet[ProductWithMainPhoto]:
    """Adds ``main_photo_id`` to each product, in the same query."""
    return products.annotate(main_photo_id=Subquery(SHOWN.order_by("position", "created_at", "pk").values("pk")[:1]))


def with_photos(products: QuerySet[Product]) -> QuerySet[ProductWithFigures]:
    """Adds ``main_photo_id``, ``photos_total`` and ``photos_indexed`` to each product, in the same query."""
    return with_main_photo(products).annotate(
        photos_total=_count(SHOWN), photos_indexed=_count(SHOWN.filter(state=LedgerState.DONE))
    )


def product_find(*, merchant: Merchant, product_id: UUID | None = None, sku: str = "") -> Product | None:
    """One living product by its id or, without one, by its sku."""
    wanted = Q(pk=product_id) if product_id else Q(sku=sku)
    return product_list(merchant=merchant).filter(wanted).first()


def products_matching(*, products: QuerySet[Product], words: str) -> QuerySet[Product]:
    """Products in whose sku, title or brand every word occurs. A look-up for lists, not the product search."""
    for word in words.split():
        products = products.filter(Q(sku__icontains=word) | Q(title__icontains=word) | Q(brand__icontains=word))
    return products


def categories_of(*, merchant: Merchant) -> list[str]:
    """The categories of a merchant's products by name, as they are suggested for another one."""
    named = product_list(merchant=merchant).exclude(category="").order_by("category")
    return list(named.values_list("category", flat=True).distinct()[:CATEGORIES_LIMIT])


def categories_within(*, merchant_id: UUID, categories: Sequence[str]) -> tuple[str, ...]:
    """Categories to filter by, where ``Kitchen/*`` stands for Kitchen and all beneath it: one query, if any does.

    One that nothing is in stays as it is, and nothing is found in it.
    """
    parents = [each.removesuffix(BENEATH) for each in categories if each.endswith(BENEATH)]
    if not parents:
        return tuple(categories)
    inside = Q(category__in=parents)
    for parent in parents:
        inside |= Q(category__startswith=f"{parent}/")
    living = Product.objects.filter(inside, merchant_id=merchant_id, deleted_at=None)
    found = living.order_by("category").values_list("category", flat=True).distinct()[:CATEGORIES_LIMIT]
    return tuple(dict.fromkeys((*categories, *found)))


def product_facts(product: Product) -> ProductFacts:
    """A product as the workers need it: its text and price to fuse, and what searches filter and group by."""
    return ProductFacts(
        product_id=product.pk,
        title=product.title,
        brand=product.brand,
        category=product.category,
        description=product.description,
        price=None if product.price is None else float(product.price),
        currency=product.currency or None,
        in_stock=product.in_stock,
        attributes=attribute_pairs(product.attributes),
        group=product.variant_group,
    )


def _count(photos: QuerySet[Photo]) -> Coalesce:
    """How many there are, as a subquery that needs no join and therefore no grouping of the outer rows."""
    counted = photos.order_by().values("product").annotate(total=Count("pk")).values("total")
    return Coalesce(Subquery(counted), 0)
