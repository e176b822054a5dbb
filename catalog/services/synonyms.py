"""Sets of words that mean the same to a merchant's shoppers: added, changed, taken away.

Comes after the API; ``selectors.words`` reads them when a search is made. Nothing is indexed anew for them.
"""

from collections.abc import Sequence

from catalog.models import Merchant, Synonyms
from catalog.selectors.words import folded
from catalog.services.errors import Refused
from catalog.services.problems import problem

SETS_LIMIT = 1_000  # all of a merchant's are read for each search by words


def synonyms_create(*, merchant: Merchant, words: Sequence[str]) -> Synonyms:
    """Add a set. Raises ``Refused``: ``invalid`` (synonyms_too_few), ``synonyms_too_many`` (409)."""
    different = _different(words)
    if Synonyms.objects.filter(merchant=merchant).count() >= SETS_LIMIT:
        raise Refused("synonyms_too_many", f"At most {SETS_LIMIT:,} sets are kept: delete one first.", status=409)
    return Synonyms.objects.create(merchant=merchant, words=different)


def synonyms_change(*, synonyms: Synonyms, words: Sequence[str]) -> Synonyms:
    """Put other words in the place of a set's. Raises ``Refused("invalid")``."""
    synonyms.words = _different(words)
    synonyms.save(update_fields=["words"])
    return synonyms


def synonyms_delete(*, synonyms: Synonyms) -> None:
    """Forget a set."""
    synonyms.delete()


def _different(words: Sequence[str]) -> list[str]:
    """The words that a search tells apart, in their order."""
    different: dict[str, str] = {}
    for word in words:
        if key := " ".join(folded(word)):
            different.setdefault(key, word.strip())
    if len(different) < 2:
        found = problem("synonyms_too_few", "Send two different words or more.", field="words")
        raise Refused("invalid", "Some values are not valid; nothing was changed.", problems=[found])
    return list(different.values())
