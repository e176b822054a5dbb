"""Sets of words that mean the same to a merchant's shoppers: added, changed, taken away.

Comes after the API; ``selectors.words`` reads them when a search is made. Nothing is indexed anew for them.
"""

from collections.abc import Sequence

from catalog.models import Merchant, Synonyms
from catalog.selectors.words import folded
from catalog.services.errors import Refused
from catalog.services.problems import problem

SETS_LIMIT = 1_000  # all of a merchant's are read for each search by words
WORDS_LIMIT = 20  # of a set
WORD_LENGTH = 60


def synonyms_create(*, merchant: Merchant, words: Sequence[str]) -> Synonyms:
    """Add a set. Raises ``Refused``: ``invalid`` (see ``synonyms_cleaned``), ``synonyms_too_many`` (409)."""
    different = synonyms_cleaned(words)
    if Synonyms.objects.filter(merchant=merchant).count() >= SETS_LIMIT:
        raise Refused("synonyms_too_many", f"At most {SETS_LIMIT:,} sets are kept: delete one first.", status=409)
    return Synonyms.objects.create(merchant=merchant, words=different)


def synonyms_change(*, synonyms: Synonyms, words: Sequence[str]) -> Synonyms:
    """Put other words in the place of a set's. Raises ``Refused("invalid")``."""
    synonyms.words = synonyms_cleaned(words)
    synonyms.save(update_fields=["words"])
    return synonyms


def synonyms_delete(*, synonyms: Synonyms) -> None:
    """Forget a set."""
    synonyms.delete()


def synonyms_cleaned(words: Sequence[str]) -> list[str]:
    """The words that a search tells apart, in their order.

    Raises ``Refused("invalid")``: synonyms_too_few, synonyms_words_too_many, synonyms_word_too_long.
    """
    different: dict[str, str] = {}
    for word in words:
        if key := " ".join(folded(word)):
            different.setdefault(key, word.strip())
    if len(different) < 2:
        raise _invalid("synonyms_too_few", "Send two different words or more.")
    if len(words) > WORDS_LIMIT:
        raise _invalid("synonyms_words_too_many", f"Send at most {WORDS_LIMIT} words.")
    if max(map(len, different.values())) > WORD_LENGTH:
        raise _invalid("synonyms_word_too_long", f"A word has at most {WORD_LENGTH} characters.")
    return list(different.values())


def _invalid(code: str, sentence: str) -> Refused:
    found = problem(code, sentence, field="words")
    return Refused("invalid", "Some values are not valid; nothing was changed.", problems=[found])
