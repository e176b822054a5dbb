"""The tables, one module a concern; the rest of the app imports from here."""

from .idempotency import IdempotencyRecord
from .job import Job, JobKind, JobState
from .ledger import Ledger, LedgerState
from .merchant import ApiKey, KeyKind, Membership, Merchant, Role
from .photo import LooseBytes, Photo, PhotoOrigin, Purpose
from .product import Product
from .review import UNDECIDED, Decision, DecisionAction, Item, ItemState, Verdict
from .synonyms import Synonyms
from .upload import RowVerdict, Upload, UploadKind, UploadRow, UploadState

__all__ = [
    "UNDECIDED",
    "ApiKey",
    "Decision",
    "DecisionAction",
    "IdempotencyRecord",
    "Item",
    "ItemState",
    "Job",
    "JobKind",
    "JobState",
    "KeyKind",
    "Ledger",
    "LedgerState",
    "LooseBytes",
    "Membership",
    "Merchant",
    "Photo",
    "PhotoOrigin",
    "Product",
    "Purpose",
    "Role",
    "RowVerdict",
    "Synonyms",
    "Upload",
    "UploadKind",
    "UploadRow",
    "UploadState",
    "Verdict",
]
