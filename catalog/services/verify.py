"""Verification: proves that SQL, the photo store and the index say the same, and mends what does not.

Called by ``manage.py verify`` and by every test that breaks something. Looks while the line runs, in flat memory; the
checks are in the package ``verifying``.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from catalog.services.verifying.findings import Batches, Finding
from catalog.services.verifying.ledger import checked_count, ledger_check, owed_count
from catalog.services.verifying.mending import mend
from catalog.services.verifying.points import points_check
from catalog.services.verifying.storage import storage_check
from workers.client import Unavailable

EXAMPLES = 5


@dataclass
class Found:
    """How often a code was found, how many of them are mended or owed now, and a few of what it is about."""

    count: int = 0
    mended: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class Verification:
    """What was looked at, what is still owed, what is wrong by code, and which parts could not be asked and why."""

    checked: dict[str, int]
    owed: dict[str, int]
    found: dict[str, Found]
    unproven: dict[str, str]

    @property
    def left(self) -> int:
        """Findings that are not mended."""
        return sum(each.count - each.mended for each in self.found.values())


def verify(*, repair: bool = False) -> Verification:
    """Look at everything once, and mend what is wrong if ``repair`` says so.

    A part that is away (the store, the index, the broker) is named in ``unproven``; the others are looked at.
    """
    checked = checked_count()
    seen = Verification(checked, {}, {}, {})
    parts: dict[str, Callable[[], Batches]] = {
        "ledger": ledger_check,
        "storage": lambda: storage_check(checked),
        "index": lambda: points_check(checked),
    }
    for name, check in parts.items():
        try:
            for batch in check():
                _note(seen, batch, repair=repair)
        except Unavailable as error:
            seen.unproven[name] = error.message
    seen.owed = owed_count()
    return seen


def _note(seen: Verification, batch: list[Finding], *, repair: bool) -> None:
    by_code: dict[str, list[Finding]] = defaultdict(list)
    for finding in batch:
        by_code[finding.code].append(finding)
    for code, findings in by_code.items():
        found = seen.found.setdefault(code, Found())
        found.count += len(findings)
        found.examples += [each.subject for each in findings[: EXAMPLES - len(found.examples)]]
        if repair:
            found.mended += min(mend(code, findings), len(findings))
