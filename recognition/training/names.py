"""Tells when two names mean one thing: labels and products as data spells them, and as a bundle or a shop does.

Case, spaces, underscores and hyphens do not count ("Granny-Smith" is "granny smith"). A name with folders in it
("Fruit/Apple") is looked for whole first, then by its last part.
"""

import re
import unicodedata
from collections.abc import Iterable

_SEPARATORS = re.compile(r"[\s_\-]+")


def name_key(name: str) -> str:
    """What is left of a name when spelling does not count; never empty for a name that is not."""
    plain = unicodedata.normalize("NFKC", name).casefold().strip()
    return _SEPARATORS.sub("", plain) or plain


class Names:
    """Places of known names; exact spelling goes before tolerant, the first of two equal names wins."""

    def __init__(self, known: Iterable[str]) -> None:
        self._exact: dict[str, int] = {}
        self._tolerant: dict[str, int] = {}
        for place, name in enumerate(known):
            self._exact.setdefault(name, place)
            self._tolerant.setdefault(name_key(name), place)

    def find(self, name: str | None) -> int | None:
        """The place of a name; None for one that is not known, and for none at all."""
        if not name:
            return None
        for candidate in (name, name.rpartition("/")[2]):
            if candidate in self._exact:
                return self._exact[candidate]
            if candidate and name_key(candidate) in self._tolerant:
                return self._tolerant[name_key(candidate)]
        return None
