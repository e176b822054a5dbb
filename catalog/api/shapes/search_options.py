"""What a search may be asked beyond its query, and the facets it answers with."""

from typing import Any, get_args

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.shapes.examples import EXAMPLES_LIMIT, ExampleField, examples_split
from catalog.api.shapes.fields import Body, RegionField
from catalog.selectors.search_options import ATTRIBUTE, FACETS, Match, SearchOptions, Sort

FACETS_LIMIT = 20


class FacetName(serializers.CharField):
    """``categories``, ``brands``, ``in_stock``, ``prices``, or ``attributes.`` and the name of one."""

    def to_internal_value(self, data: Any) -> str:
        """The name, if there is such a facet."""
        name = super().to_internal_value(data)
        if name not in FACETS and not (name.startswith(ATTRIBUTE) and name != ATTRIBUTE):
            known = ", ".join(FACETS)
            raise serializers.ValidationError(f"Count {known} or {ATTRIBUTE}NAME.", code="facet_unknown")
        return name


@extend_schema_field({"type": "string", "oneOf": [{"const": each} for each in get_args(Match)], "default": "any"})
class LeastMatch(serializers.ChoiceField):
    """Named apart from the ``match`` of a hit, which has other values."""


class OptionsBody(Body):
    """Which hits count, in what order, and what is counted about them."""

    sort = serializers.ChoiceField(
        get_args(Sort), default="relevance", help_text="By price only within one currency: give `filters.currency`."
    )
    match = LeastMatch(
        get_args(Match), default="any", help_text="`same`: only the very product; `similar`: also what looks like it."
    )
    min_probability = serializers.FloatField(
        min_value=0, max_value=1, default=None, allow_null=True, help_text="Least `probability` of a hit."
    )
    min_score = serializers.FloatField(default=None, allow_null=True, help_text="Least `scores.rank` of a hit.")
    facets = serializers.ListField(
        child=FacetName(max_length=120),
        default=list,
        max_length=FACETS_LIMIT,
        help_text="What to count over the hits: `categories`, `brands`, `in_stock`, `prices`, `attributes.NAME`.",
    )
    photo_weight = serializers.FloatField(
        min_value=0,
        max_value=1,
        default=None,
        allow_null=True,
        help_text="What the photo counts beside the words: 1 is all of it, 0 only the words order.",
    )
    like = serializers.ListField(
        child=ExampleField(),
        default=list,
        max_length=EXAMPLES_LIMIT,
        help_text="Products and photos to be like, beside the photo or in its place.",
    )
    unlike = serializers.ListField(
        child=ExampleField(),
        default=list,
        max_length=EXAMPLES_LIMIT,
        help_text="Products and photos to be unlike; needs a photo or `like`.",
    )
    group_variants = serializers.BooleanField(
        default=True, help_text="Whether products of one `variant_group` are one hit, with its other `variants`."
    )

    def taken(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The values with the options in one, and the photos among the examples; refused where they mean nothing."""
        like, unlike, photos = examples_split(attrs.pop("like"), attrs.pop("unlike"))
        given = {name: attrs.pop(name) for name in SearchOptions.model_fields if name in attrs}
        options = SearchOptions(**given, like=like, unlike=unlike)
        by_photo = attrs["photo"] is not None or bool(attrs["photo_url"])
        is_like = bool(like) or any(each.sent.like for each in photos)
        is_mixed = bool(like or unlike or photos)
        if options.sort.startswith("price") and not attrs["filters"].currency:
            raise serializers.ValidationError({"sort": ["A price only means something with filters.currency."]})
        if not by_photo:
            for name in ("match", "min_probability"):
                if getattr(options, name) != SearchOptions.model_fields[name].default:
                    raise serializers.ValidationError({name: ["Only a search by photo can tell."]})
            if is_mixed and not is_like:
                raise serializers.ValidationError({"unlike": ["Say what it should be like, too: a photo or `like`."]})
        if options.photo_weight is not None and not (attrs["words"].strip() and (by_photo or is_like)):
            raise serializers.ValidationError({"photo_weight": ["Send a photo and words to weigh."]})
        if is_mixed and (options.match != "any" or options.min_probability is not None):
            raise serializers.ValidationError({"like": ["A mixture of examples has no `match` and no probability."]})
        return attrs | {"options": options, "examples": photos}


class ExampleShape(serializers.Serializer):
    """A photo that was an example."""

    region = RegionField(allow_null=True, help_text="The part of it that counted; null: all of it.")
    search_id = serializers.UUIDField(allow_null=True, help_text="The search whose photo it was, if it was one's.")


class OptionsShape(serializers.Serializer):
    """The options of a search, as it was asked."""

    sort = serializers.CharField()
    match = serializers.CharField()
    min_probability = serializers.FloatField(allow_null=True)
    min_score = serializers.FloatField(allow_null=True)
    facets = serializers.ListField(child=serializers.CharField())
    photo_weight = serializers.FloatField(allow_null=True)
    like = serializers.ListField(child=serializers.UUIDField(), help_text="Products.")
    unlike = serializers.ListField(child=serializers.UUIDField(), help_text="Products.")
    like_photos = ExampleShape(many=True)
    unlike_photos = ExampleShape(many=True)
    group_variants = serializers.BooleanField()


class FacetValueShape(serializers.Serializer):
    """One value of a facet."""

    value = serializers.CharField(help_text="Of `prices` the currency, of `in_stock` true or false.")
    count = serializers.IntegerField(help_text="Hits that have it.")
    min = serializers.DecimalField(12, 2, allow_null=True, help_text="The lowest price; null for other facets.")
    max = serializers.DecimalField(12, 2, allow_null=True, help_text="The highest price; null for other facets.")


class FacetShape(serializers.Serializer):
    """A facet that was asked for, counted over the hits."""

    name = serializers.CharField()
    values = FacetValueShape(many=True)
