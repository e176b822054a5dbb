"""Bulk uploads as the API shows and takes them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.shapes.fields import Body, LedgerError, QueuePlaceShape, state_field
from catalog.models import Upload, UploadKind, UploadRow, UploadState
from catalog.selectors.upload import upload_place, upload_progress

KINDS = [("", "Not known before it is read"), *UploadKind.choices]


class UploadShape(serializers.ModelSerializer):
    """A bulk upload and the counts of its rows."""

    kind = serializers.ChoiceField(KINDS, help_text="With a manifest, or photos alone.")
    state = state_field(UploadState)
    error = LedgerError(source="*", allow_null=True, help_text="Why the whole upload failed, or null.")
    job_id = serializers.UUIDField(allow_null=True, help_text="The recognition job, for photos without a manifest.")

    class Meta:
        model = Upload
        fields = [
            "id", "kind", "state", "name", "dry_run", "job_id", "rows_total", "rows_done", "rows_created",
            "rows_updated", "rows_unchanged", "rows_refused", "error", "created_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields


class UploadProgressShape(serializers.Serializer):
    """How far an upload is, photos counted from the ledger."""

    percent = serializers.FloatField(help_text="0 to 100, rows and photos together.")
    photos_total = serializers.IntegerField(help_text="Photos of the rows read so far.")
    photos_pending = serializers.IntegerField(help_text="Waiting for a worker.")
    photos_dispatched = serializers.IntegerField(help_text="With a worker now.")
    photos_done = serializers.IntegerField()
    photos_failed = serializers.IntegerField()
    photos_per_second = serializers.FloatField(allow_null=True, help_text="Over the last minute; null without any.")
    eta_seconds = serializers.FloatField(allow_null=True, help_text="At that pace; null while nothing is known.")


class UploadDetail(UploadShape):
    """A bulk upload and how far it is."""

    progress = serializers.SerializerMethodField()
    queue = serializers.SerializerMethodField()

    class Meta(UploadShape.Meta):
        fields = [*UploadShape.Meta.fields, "progress", "queue"]
        read_only_fields = fields

    @extend_schema_field(QueuePlaceShape(allow_null=True))
    def get_queue(self, upload: Upload) -> dict[str, Any] | None:
        """Its place among the uploads that wait to be read, ``null`` once it is. How long is not known before that."""
        position = upload_place(upload)
        return None if position is None else {"position": position, "eta_seconds": None}

    @extend_schema_field(UploadProgressShape)
    def get_progress(self, upload: Upload) -> dict[str, Any]:
        """Counted in one query."""
        return UploadProgressShape(upload_progress(upload)).data


class UploadForm(Body):
    """A bulk upload, as a form."""

    file = serializers.FileField(
        allow_empty_file=True,
        help_text="A ZIP of photos with a manifest (CSV, XLSX or JSON lines), or a ZIP of photos alone.",
    )
    dry_run = serializers.BooleanField(default=False, help_text="Check every row and photo, change nothing.")


class RowProblem(serializers.Serializer):
    """One problem of a row."""

    code = serializers.CharField(help_text="Stable; for programs.")
    message = serializers.CharField(help_text="A sentence for people.")
    field = serializers.CharField(help_text="The column, or empty.")
    photo = serializers.CharField(help_text="The photo's name, or empty.")


class RowShape(serializers.ModelSerializer):
    """One row's verdict."""

    problems = RowProblem(many=True, help_text="Every problem that was found.")
    values = serializers.DictField(help_text="The row as it was read.")
    product_id = serializers.UUIDField(allow_null=True, help_text="The product that came of it.")

    class Meta:
        model = UploadRow
        fields = ["number", "sku", "verdict", "problems", "values", "product_id"]
        read_only_fields = fields
