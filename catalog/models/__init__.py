"""The tables, one module a concern; the rest of the app imports from here."""

from .bundle import Bundle, BundleState, ComparedPhoto, Comparison, ShadowPhoto
from .idempotency import IdempotencyRecord
from .job import ExamplePhoto, Job, JobKind, JobState
from .ledger import Ledger, LedgerState
from .merchant import ApiKey, KeyKind, KeyOrigin, KeyState, Membership, Merchant, Role, Scope
from .photo import LooseBytes, Photo, PhotoOrigin, Purpose
from .product import Product
from .quality import Opinion, OpinionKind, Threshold
from .review import UNDECIDED, Decision, DecisionAction, DeskKeys, Item, ItemState, Lane, Rejection, Verdict
from .synonyms import Synonyms
from .upload import UNFINISHED, RowVerdict, Upload, UploadKind, UploadRow, UploadState
from .webhook import (
    TEST_EVENT,
    DeliveryState,
    DisabledReason,
    EventType,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)

__all__ = [
    "TEST_EVENT",
    "UNDECIDED",
    "UNFINISHED",
    "ApiKey",
    "Bundle",
    "BundleState",
    "ComparedPhoto",
    "Comparison",
    "Decision",
    "DecisionAction",
    "DeliveryState",
    "DeskKeys",
    "DisabledReason",
    "EventType",
    "ExamplePhoto",
    "IdempotencyRecord",
    "Item",
    "ItemState",
    "Job",
    "JobKind",
    "JobState",
    "KeyKind",
    "KeyOrigin",
    "KeyState",
    "Lane",
    "Ledger",
    "LedgerState",
    "LooseBytes",
    "Membership",
    "Merchant",
    "Opinion",
    "OpinionKind",
    "Photo",
    "PhotoOrigin",
    "Product",
    "Purpose",
    "Rejection",
    "Role",
    "RowVerdict",
    "Scope",
    "ShadowPhoto",
    "Synonyms",
    "Threshold",
    "Upload",
    "UploadKind",
    "UploadRow",
    "UploadState",
    "Verdict",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
]
