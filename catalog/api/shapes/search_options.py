"""What a search may be asked beyond its query, and the facets it answers with."""

from typing import Any, get_args

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.shapes.fields import Body
from catalog.selectors.search_options import ATTRIBUTE, FACETS, Match, SearchOptions, Sort

FACETS_LIMIT = 20
EXAMPLES_LIMIT = 10
OPTIONS = tuple(SearchOptions.model_fields)


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
        child=serializers.UUIDField(),
        default=list,
        max_length=EXAMPLES_LIMIT,
        help_text="Products to be like, beside the photo or in its place.",
    )
    unlike = serializers.ListField(
        child=serializers.UUIDField(),
        default=list,
        max_length=EXAMPLES_LIMIT,
        help_text="Products to be unlike; needs a photo or `like`.",
    )

    def taken(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The values with the options in one; refused where they mean nothing for this search."""
        options = SearchOptions(**{name: attrs.pop(name) for name in OPTIONS})
        if options.sort.startswith("price") and not attrs["filters"].currency:
            raise serializers.ValidationError({"sort": ["A price only means something with filters.currency."]})
        if attrs["photo"] is None:
            for name in ("match", "min_probability"):
                if getattr(options, name) != SearchOptions.model_fields[name].default:
                    raise serializers.ValidationError({name: ["Only a search by photo can tell."]})
            if options.unlike and not options.like:
                raise serializers.ValidationError({"unlike": ["Say what it should be like, too: a photo or `like`."]})
        if options.photo_weight is not None and not (attrs["words"].strip() and (attrs["photo"] or options.like)):
            raise serializers.ValidationError({"photo_weight": ["Send a photo and words to weigh."]})
        if (options.like or options.unlike) and (options.match != "any" or options.min_probability is not None):
            raise serializers.ValidationError({"like": ["A mixture of examples has no `match` and no probability."]})
        return attrs | {"options": options}


class OptionsShape(serializers.Serializer):
    """The options of a search, as it was asked."""

    sort = serializers.CharField()
    match = serializers.CharField()
    min_probability = serializers.FloatField(allow_null=True)
    min_score = serializers.FloatField(allow_null=True)
    facets = serializers.ListField(child=serializers.CharField())
    photo_weight = serializers.FloatField(allow_null=True)
    like = serializers.ListField(child=serializers.UUIDField())
    unlike = serializers.ListField(child=serializers.UUIDField())


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
