"""Bulk uploads: a ZIP or folder of photos with a manifest, or photos alone, and a verdict for every row."""

import uuid

from django.db import models


class UploadKind(models.TextChoices):
    """With a manifest the photos are indexed as products; without one they are to be recognised."""

    CATALOGUE = "catalogue", "Catalogue"
    RECOGNITION = "recognition", "Recognition"


class UploadState(models.TextChoices):
    """``importing`` reads rows and stores photos, ``processing`` waits for the workers."""

    PENDING = "pending", "Pending"
    IMPORTING = "importing", "Importing"
    PROCESSING = "processing", "Processing"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


UNFINISHED = (UploadState.PENDING, UploadState.IMPORTING, UploadState.PROCESSING)


class Upload(models.Model):
    """One bulk upload. Its counters are of rows; those of photos are counted from the ledger."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merchant = models.ForeignKey("catalog.Merchant", on_delete=models.CASCADE, related_name="uploads")
    kind = models.CharField(max_length=12, choices=UploadKind, blank=True, help_text="Found out from the content.")
    state = models.CharField(max_length=12, choices=UploadState, default=UploadState.PENDING)
    name = models.CharField(max_length=255, help_text="File name as the merchant sent it.")
    source = models.CharField(max_length=500, help_text="Storage key of the archive, or a folder's path.")
    source_is_folder = models.BooleanField(default=False)
    dry_run = models.BooleanField(default=False, help_text="Check every row and photo, change nothing.")
    job = models.OneToOneField(
        "catalog.Job", on_delete=models.SET_NULL, null=True, blank=True, related_name="upload", editable=False
    )
    rows_total = models.PositiveIntegerField(default=0)
    rows_done = models.PositiveIntegerField(default=0)
    rows_created = models.PositiveIntegerField(default=0)
    rows_updated = models.PositiveIntegerField(default=0)
    rows_unchanged = models.PositiveIntegerField(default=0)
    rows_refused = models.PositiveIntegerField(default=0)
    columns = models.JSONField(default=list, editable=False, help_text="The manifest's columns in their order.")
    note = models.CharField(max_length=500, blank=True, help_text="How it was read: the manifest, its encoding.")
    error_code = models.CharField(max_length=64, blank=True, help_text="Why the whole upload failed.")
    error_message = models.CharField(max_length=500, blank=True)
    lease_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="An import that died is taken up again."
    )
    attempts = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Imports that died in a row without a single row done."
    )
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    forgotten_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When its rows were deleted, long after it finished."
    )

    class Meta:
        ordering = ["-created_at", "id"]
        indexes = [
            models.Index(fields=["merchant", "-created_at"], name="upload_list"),
            # The reconciler reads only what is due, however many uploads were forgotten before.
            models.Index(fields=["finished_at"], condition=models.Q(forgotten_at=None), name="upload_kept"),
        ]

    def __str__(self) -> str:
        return self.name


class RowVerdict(models.TextChoices):
    """What the import made of a row."""

    CREATED = "created", "Created"
    UPDATED = "updated", "Updated"
    UNCHANGED = "unchanged", "Unchanged"
    REFUSED = "refused", "Refused"


class UploadRow(models.Model):
    """One row of the manifest (or one photo, when there is none) with its verdict and every problem found."""

    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="rows")
    number = models.PositiveIntegerField(
        help_text="Row in the manifest as a spreadsheet shows it: the header is row 1."
    )
    sku = models.CharField("SKU", max_length=100, blank=True)
    verdict = models.CharField(max_length=12, choices=RowVerdict)
    values = models.JSONField(default=dict, help_text="The row as it was read, to be fixed and uploaded again.")
    problems = models.JSONField(default=list, help_text="List of {code, message, field, photo}.")
    product = models.ForeignKey("catalog.Product", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["upload_id", "number"]
        constraints = [models.UniqueConstraint(fields=["upload", "number"], name="row_once")]
        indexes = [
            models.Index(fields=["upload", "verdict"], name="row_verdict"),
            models.Index(fields=["upload", "sku"], name="row_sku"),
        ]

    def __str__(self) -> str:
        return f"row {self.number}"
