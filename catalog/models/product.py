"""What is sold."""

import uuid

from django.core.validators import MinValueValidator
from django.db import models


class Product(models.Model):
    """One product of one merchant, known by its sku. Its text and price are fused into every photo's vector."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merchant = models.ForeignKey("catalog.Merchant", on_delete=models.CASCADE, related_name="products")
    sku = models.CharField("SKU", max_length=100)
    variant_group = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text="The same for products that are variants of one article (size, colour).",
    )
    title = models.CharField(max_length=300)
    brand = models.CharField(max_length=120, blank=True)
    category = models.CharField(max_length=200, blank=True, help_text="A path such as Home/Lighting is welcome.")
    description = models.TextField(blank=True, max_length=10_000)
    price = models.DecimalField(
        max_digits=12, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    currency = models.CharField(max_length=3, blank=True, help_text="ISO 4217, for example EUR.")
    in_stock = models.BooleanField(default=True)
    attributes = models.JSONField(default=dict, blank=True)
    deleted_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Set until the index has forgotten the product's photos."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "sku"], name="product_sku_once"),
            models.CheckConstraint(
                condition=models.Q(price__gte=0) | models.Q(price=None), name="product_price_positive"
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "-created_at", "id"], name="product_list"),
            models.Index(fields=["merchant", "category"], name="product_category"),
            # Without it, a list narrowed to a brand that is rare reads all of a million products for its one page.
            models.Index(fields=["merchant", "brand", "-created_at", "id"], name="product_brand"),
            models.Index(
                fields=["merchant", "variant_group"], condition=~models.Q(variant_group=""), name="product_variants"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.sku})"
