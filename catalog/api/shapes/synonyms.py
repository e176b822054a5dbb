"""Synonyms as the API shows and takes them."""

from rest_framework import serializers

from catalog.api.shapes.fields import Body
from catalog.models import Synonyms
from catalog.services.synonyms import WORD_LENGTH, WORDS_LIMIT


class SynonymsShape(serializers.ModelSerializer):
    """Words that mean the same."""

    words = serializers.ListField(child=serializers.CharField(), help_text="As shoppers write them.")

    class Meta:
        model = Synonyms
        fields = ["id", "words", "created_at"]
        read_only_fields = fields


class SynonymsBody(Body):
    """A set of words or short phrases."""

    words = serializers.ListField(
        child=serializers.CharField(max_length=WORD_LENGTH),
        max_length=WORDS_LIMIT,
        help_text="Two or more; a search for one of them looks for all.",
    )
