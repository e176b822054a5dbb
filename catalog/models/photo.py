"""Photos: bytes stored once under their content hash, and the ledger row that says what is owed for them."""

import uuid

from django.db import models

from .ledger import Ledger, LedgerState


class Purpose(models.TextChoices):
    """What the workers are to do with a photo."""

    INDEX = "index", "Index"
    RECOGNISE = "recognise", "Recognise"
    FORGET = "forget", "Forget"
    WITHDRAW = "withdraw", "Withdraw"  # a reference no more: the index forgets it, the photo itself stays


class PhotoOrigin(models.TextChoices):
    """Where a photo came from; a photo that a reviewer confirmed survives a manifest that does not list it."""

    UPLOAD = "upload", "Upload"
    API = "api", "API"
    REVIEW = "review", "Review"


class Photo(Ledger):
    """One photo of one merchant: of a known product (index), or to be recognised (part of a job)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merchant = models.ForeignKey("catalog.Merchant", on_delete=models.CASCADE, related_name="photos")
    product = models.ForeignKey(
        "catalog.Product", on_delete=models.CASCADE, null=True, blank=True, related_name="photos"
    )
    job = models.ForeignKey("catalog.Job", on_delete=models.SET_NULL, null=True, blank=True, related_name="photos")
    upload = models.ForeignKey(
        "catalog.Upload", on_delete=models.SET_NULL, null=True, blank=True, related_name="photos"
    )
    upload_row = models.ForeignKey(
        "catalog.UploadRow", on_delete=models.SET_NULL, null=True, blank=True, related_name="photos"
    )
    purpose = models.CharField(max_length=12, choices=Purpose, default=Purpose.INDEX)
    origin = models.CharField(max_length=12, choices=PhotoOrigin, default=PhotoOrigin.UPLOAD)
    position = models.PositiveIntegerField(default=0, help_text="Order among the product's photos; 0 is the main one.")
    name = models.CharField(max_length=255, blank=True, help_text="File name as the merchant sent it.")
    sha256 = models.CharField(max_length=64)
    key = models.CharField(max_length=200, help_text="Where the bytes lie in the photo store.")
    region = models.JSONField(
        null=True,
        blank=True,
        help_text="The part that counts: left, top, right, bottom from 0 to 1 of the upright photo. None: all of it.",
    )
    content_type = models.CharField(max_length=40, blank=True)
    bytes = models.PositiveBigIntegerField(default=0)
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    chunk_id = models.UUIDField(null=True, blank=True, editable=False, help_text="The chunk it was last sent in.")
    changed = models.BooleanField(
        default=False, editable=False, help_text="Changed while with a worker: owed again as soon as its answer came."
    )
    bundle_version = models.CharField(max_length=64, blank=True, help_text="The bundle that it was last done with.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["product_id", "position", "created_at"]  # the column: ordering by the product would join it
        constraints = [
            models.UniqueConstraint(
                fields=["product", "sha256"], condition=models.Q(product__isnull=False), name="photo_once_a_product"
            ),
        ]
        indexes = [
            # The dispatcher's reads touch only what is owed, however many photos are done.
            # In their whole order: an upload owes its photos from one moment on; they would be sorted for each chunk.
            models.Index(
                fields=["merchant", "queued_at", "id"],
                condition=models.Q(state=LedgerState.PENDING),
                name="photo_owed_in_order",
            ),
            models.Index(fields=["lease_until"], condition=models.Q(state=LedgerState.DISPATCHED), name="photo_leased"),
            models.Index(fields=["chunk_id"], condition=models.Q(state=LedgerState.DISPATCHED), name="photo_chunk"),
            models.Index(fields=["upload", "state"], name="photo_upload_state"),
            models.Index(fields=["job", "state"], name="photo_job_state"),
            models.Index(fields=["sha256"], name="photo_sha256"),
            # The pace of the last minute.
            models.Index(
                fields=["merchant", "finished_at"], condition=models.Q(finished_at__isnull=False), name="photo_pace"
            ),
        ]

    def __str__(self) -> str:
        return self.name or str(self.id)


class LooseBytes(models.Model):
    """Bytes that a deleted photo let go: to be deleted later, unless something refers to them by then."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    key = models.CharField(max_length=200)
    since = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "loose bytes"

    def __str__(self) -> str:
        return self.key
