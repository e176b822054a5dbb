"""The verdicts of a bulk call, one a line."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rest_framework import serializers

from catalog.api.shapes.fields import shaped_rows, state_field
from catalog.api.shapes.upload import RowProblem
from catalog.models import RowVerdict
from catalog.services.product_bulk import LineResult


class LineShape(serializers.Serializer):
    """One line's verdict."""

    number = serializers.IntegerField(help_text="The line, counted from 1.")
    sku = serializers.CharField(help_text="As it was read; empty when it could not be.")
    verdict = state_field(RowVerdict)
    product_id = serializers.UUIDField(allow_null=True, help_text="The product; null for a refused line.")
    problems = RowProblem(many=True, help_text="Why it was refused.")


class BulkShape(serializers.Serializer):
    """What a bulk call did, in the order of its lines."""

    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    refused = serializers.IntegerField()
    results = LineShape(many=True)


def bulk_answer(results: Sequence[LineResult]) -> dict[str, Any]:
    """The counts of each verdict, and every line."""
    counts = Counter(str(each.verdict) for each in results)
    return {verdict: counts[verdict] for verdict in RowVerdict.values} | {"results": shaped_rows(LineShape, results)}
