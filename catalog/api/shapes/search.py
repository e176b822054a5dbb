"""Searches as the API takes and shows them."""

import json
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.shapes.attributes import AttributesField, attributes_told
from catalog.api.shapes.fields import (
    Body,
    LedgerError,
    PhotoUrl,
    QueuePlaceShape,
    RegionField,
    shaped_rows,
    state_field,
)
from catalog.api.shapes.photo import Base64Photo, FilePhoto, PhotoAddress, photo_or_address
from catalog.api.shapes.product import ProductBrief, VariantShape
from catalog.api.shapes.search_options import FacetShape, OptionsBody, OptionsShape
from catalog.models import Job, JobState
from catalog.selectors.job import search_place
from catalog.selectors.search import Answer, search_answer
from catalog.selectors.search_options import SearchOptions
from catalog.services.currencies import CURRENCIES
from catalog.services.errors import Refused
from catalog.web.photos import job_photo_address
from workers.contract import SearchFilters

NAMES_LIMIT = 50
WORDS_LIMIT = 500
SEARCH_LIMIT = 100


class NameList(serializers.ListField):
    """A short list of names to filter by."""

    child = serializers.CharField(max_length=200)


class FiltersBody(Body):
    """What a search is narrowed to."""

    categories = NameList(
        default=list, max_length=NAMES_LIMIT, help_text="Any of these; `Kitchen/*` is Kitchen and all beneath it."
    )
    brands = NameList(default=list, max_length=NAMES_LIMIT, help_text="Any of these brands.")
    price_min = serializers.DecimalField(12, 2, min_value=0, default=None, allow_null=True, help_text="At least.")
    price_max = serializers.DecimalField(12, 2, min_value=0, default=None, allow_null=True, help_text="At most.")
    currency = serializers.CharField(max_length=3, default=None, allow_null=True, help_text="ISO 4217, of the prices.")
    in_stock = serializers.BooleanField(default=None, allow_null=True, help_text="Only what is (not) in stock.")
    attributes = AttributesField(
        default=tuple, help_text="Names with values (any of them), or with the least and most of a number; all names."
    )

    def validate_currency(self, value: str | None) -> str | None:
        """Only currencies that products may have."""
        if value and value.upper() not in CURRENCIES:
            raise serializers.ValidationError("This is no currency code of ISO 4217.", code="currency_unknown")
        return value.upper() if value else None

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Prices need a currency, and a range has its ends in order."""
        low, high = attrs["price_min"], attrs["price_max"]
        if (low is not None or high is not None) and not attrs["currency"]:
            raise serializers.ValidationError({"currency": ["A price only means something with a currency."]})
        if low is not None and high is not None and low > high:
            raise serializers.ValidationError({"price_max": ["This is less than price_min."]})
        return attrs


class SearchBody(OptionsBody):
    """A search by photo, by words, or by both."""

    photo = Base64Photo(default=None, allow_null=True, help_text="The file's bytes as base64.")
    photo_url = PhotoAddress()
    words = serializers.CharField(default="", allow_blank=True, max_length=WORDS_LIMIT, help_text="What to look for.")
    filters = FiltersBody(default=dict, help_text="What to narrow the search to.")
    region = RegionField(default=None, allow_null=True, help_text="The part of the photo to search with.")
    limit = serializers.IntegerField(default=10, min_value=1, max_value=SEARCH_LIMIT, help_text="Products at most.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A region needs a photo. The filters leave here as the message that carries them."""
        photo_or_address(attrs, required=False)
        if attrs["region"] and attrs["photo"] is None and not attrs["photo_url"]:
            raise Refused("region_without_photo", "A region is a part of a photo: send the photo too.")
        filters = attrs["filters"] or FiltersBody().run_validation({})
        return self.taken(attrs | {"filters": SearchFilters.model_validate(filters)})


class SearchForm(SearchBody):
    """The same as a form: ``filters``, ``region``, ``facets``, ``like`` and ``unlike`` are JSON in a text part.

    The ``photo`` of an example is the name of another part, with the file.
    """

    photo = FilePhoto(default=None, allow_null=True, help_text="The file.")

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Unpack the JSON parts; an empty part is one that was not sent."""
        plain = {name: data[name] for name in data if data[name] != ""}
        for name in {"filters", "region", "facets", "like", "unlike"} & set(plain):
            try:
                plain[name] = json.loads(plain[name])
            except (TypeError, ValueError) as error:
                raise serializers.ValidationError({name: ["Send JSON in this part."]}) from error
        return super().to_internal_value(self._with_files(plain))

    def _with_files(self, parts: dict[str, Any]) -> dict[str, Any]:
        """The parts with each example's file in its place, where its ``photo`` names one."""
        files = {name: parts[name] for name in parts.keys() - self.fields.keys()}
        used = set()
        for name in {"like", "unlike"} & parts.keys():
            for example in parts[name] if isinstance(parts[name], list) else ():
                if isinstance(example, dict) and "photo" in example:
                    used.add(str(example["photo"]))
                    example["photo"] = files.get(str(example["photo"]))
        return {name: part for name, part in parts.items() if name not in used or name in self.fields}


class ScoresShape(serializers.Serializer):
    """What each part of the query contributed; null: that part was not in the query."""

    rank = serializers.FloatField(help_text="What the list is ordered by.")
    image = serializers.FloatField(allow_null=True, help_text="Cosine of the query photo with the matched photo.")
    fused = serializers.FloatField(allow_null=True, help_text="Cosine with the photo's vector fused with its text.")
    text = serializers.FloatField(allow_null=True, help_text="Keyword score of the words.")


class HitShape(serializers.Serializer):
    """A product that was found, and why."""

    product = ProductBrief()
    photo_url = PhotoUrl(source="photo_id", allow_null=True, help_text="The matched photo, signed.")
    thumbnail_url = PhotoUrl(source="photo_id", allow_null=True, size="medium", help_text="The same, small, to show.")
    match = serializers.ChoiceField(
        ["same", "similar", "other"], source="candidate.match", help_text="The same product, or one that looks similar."
    )
    probability = serializers.FloatField(
        source="candidate.probability", allow_null=True, help_text="That it is this very product, from 0 to 1."
    )
    scores = ScoresShape(source="candidate.scores")
    variants = VariantShape(many=True, help_text="The other variants of its article, at most 50; see `group_variants`.")
    why = serializers.CharField(help_text="One sentence for people.")


class ReadingShape(serializers.Serializer):
    """A word that was also read as another."""

    word = serializers.CharField()
    read_as = serializers.CharField()
    because = serializers.CharField(help_text="`spelling` or `synonym`.")


class SearchRequestShape(OptionsShape):
    """What was asked for."""

    words = serializers.CharField()
    read_as = ReadingShape(many=True, help_text="What else the words were searched by.")
    filters = FiltersBody()
    region = serializers.ListField(child=serializers.FloatField(), allow_null=True)
    limit = serializers.IntegerField()
    photo_url = serializers.URLField(allow_null=True, help_text="The photo that was sent, signed.")


class SearchSummary(serializers.ModelSerializer):
    """A search without its hits, as lists show it."""

    request = serializers.SerializerMethodField()
    state = state_field(JobState)
    error = LedgerError(source="*", allow_null=True, help_text="Why it failed, or null.")
    box = RegionField(
        read_only=True,
        allow_null=True,
        help_text="The part of the photo that was searched with: the region, or a small main subject; null: all of it.",
    )

    class Meta:
        model = Job
        fields = [
            "id", "state", "request", "box", "verdict", "reason", "calibrated", "degraded", "bundle_version", "seconds",
            "error", "created_at", "deadline", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(SearchRequestShape)
    def get_request(self, job: Job) -> dict[str, Any]:
        """What was asked for, with the photo's address."""
        url = self.context["request"].build_absolute_uri(job_photo_address(job.pk)) if job.key else None
        asked = {"read_as": []} | SearchOptions.model_validate(job.request).model_dump(mode="json") | job.request
        asked.pop("request_id", None)  # for the logs
        return asked | {"filters": _filters_told(job.request["filters"]), "photo_url": url}


class SearchShape(SearchSummary):
    """A search with its hits when it is done, or its place in the queue while it is not."""

    queue = serializers.SerializerMethodField()
    found = serializers.SerializerMethodField()
    facets = serializers.SerializerMethodField()
    hits = serializers.SerializerMethodField()

    class Meta(SearchSummary.Meta):
        fields = [*SearchSummary.Meta.fields, "queue", "found", "facets", "hits"]
        read_only_fields = fields

    @extend_schema_field(QueuePlaceShape(allow_null=True))
    def get_queue(self, job: Job) -> dict[str, Any] | None:
        """``null`` once it is finished."""
        place = search_place(job=job)
        return None if place is None else QueuePlaceShape(place).data

    @extend_schema_field(HitShape(many=True))
    def get_hits(self, job: Job) -> list[dict[str, Any]]:
        """Products in order; those deleted since are left out."""
        return shaped_rows(HitShape, self._answer(job).hits, self.context)

    def get_found(self, job: Job) -> int:
        """How many hits there are, of which `limit` are shown; with any option, among the 100 nearest."""
        return self._answer(job).found

    @extend_schema_field(FacetShape(many=True))
    def get_facets(self, job: Job) -> list[dict[str, Any]]:
        """The facets asked for, counted over all `found`."""
        return shaped_rows(FacetShape, self._answer(job).facets)

    def _answer(self, job: Job) -> Answer:
        """Read once for all fields."""
        if getattr(self, "_read", (None, None))[0] is not job:
            self._read = (job, search_answer(merchant=self.context["request"].auth.merchant, job=job))
        return self._read[1]


def _filters_told(filters: dict[str, Any]) -> dict[str, Any]:
    """As the API takes them: money as decimal strings, attributes by name; workers have numbers and a list."""
    prices = {name: filters[name] for name in ("price_min", "price_max")}
    told = {name: None if price is None else f"{price:.2f}" for name, price in prices.items()}
    return filters | told | {"attributes": attributes_told(SearchFilters.model_validate(filters).attributes)}
