"""The tables, one module a concern; the rest of the app imports from here."""

from .idempotency import IdempotencyRecord
from .job import Job, JobKind, JobState
from .ledger import Ledger, LedgerState
from .merchant import ApiKey, KeyKind, Membership, Merchant, Role
from .photo import Photo, PhotoOrigin, Purpose
from .product import Product
from .review import Decision, DecisionAction, Item, ItemState, Verdict
from .upload import RowVerdict, Upload, UploadKind, UploadRow, UploadState

__all__ = [
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
    "Membership",
    "Merchant",
    "Photo",
    "PhotoOrigin",
    "Product",
    "Purpose",
    "Role",
    "RowVerdict",
    "Upload",
    "UploadKind",
    "UploadRow",
    "UploadState",
    "Verdict",
]
