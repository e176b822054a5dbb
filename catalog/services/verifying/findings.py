"""What a verification finds: the stable codes, a sentence for each, and the one shape that every check yields.

Used by ``ledger``, ``storage`` and ``points``, which look, by ``mending``, and by ``services.verify``, which reports.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

BATCH = 500  # rows, files or points that are looked at in one go: memory stays flat, however many there are

# What is wrong, as an operator reads it.
SENTENCES = {
    "lease_stale": "Photos whose lease ran out, and that nobody took back: no coordinator reconciles.",
    "photo_unexplained": "Photos that are done without a bundle, or failed without a reason.",
    "photo_without_item": "Recognised photos of which nothing was stored.",
    "search_overdue": "Searches past their deadline that did not expire.",
    "job_endless": "Recognitions that are not finished, though no photo of theirs is owed.",
    "upload_endless": "Uploads that are not finished, though no photo of theirs is owed.",
    "upload_miscounted": "Uploads whose counters differ from their rows.",
    "bytes_missing": "Photos and searches whose bytes are not in the store: send them again.",
    "bytes_damaged": "Photos whose stored bytes have another length than those that were taken: send them again.",
    "bytes_unused": "Stored bytes that neither a photo nor a search refers to.",
    "thumbnail_unused": "Thumbnails of photos that are gone.",
    "archive_unused": "Archives of uploads that are imported, or were never committed.",
    "part_unused": "Files that a killed process left half written.",
    "point_missing": "Indexed photos that the index does not hold: no search finds them.",
    "point_outdated": "Indexed photos that the index holds with other facts than their product has.",
    "point_of_other_bundle": "Indexed photos that another bundle than the live one embedded.",
    "point_unowned": "Points in the index that belong to no indexed photo.",
    "point_twice": "Points that do not lie under their photo's id.",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. ``subject``: the id or the key of what it is about; ``owner``: a point's merchant."""

    code: str
    subject: str
    owner: str = ""


Batches: TypeAlias = Iterator[list[Finding]]
