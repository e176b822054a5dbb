"""Who decides and how: what every review verb is told beside its item, and what it checks before it does anything."""

from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import User
from django.utils import timezone

from catalog.models import Decision, Item, Membership
from catalog.services.errors import Refused

SECONDS_LIMIT = 3_600.0  # an item that lay open for hours says nothing about how long a decision takes


@dataclass(frozen=True)
class Act:
    """One act of a reviewer.

    ``reviewer`` is None for an API key, whose scopes were checked before; ``name`` is kept when the account goes.
    ``desk`` is the open desk that it comes from, or the key; ``decision_id`` the id that the desk gave it: sent twice,
    it happens once. ``seconds``: from the item being shown to the decision.
    """

    reviewer: User | None
    name: str = ""
    desk: UUID | None = None
    decision_id: UUID | None = None
    seconds: float | None = None

    @property
    def signature(self) -> str:
        """Who it was, for the log."""
        return self.name or (self.reviewer.get_username() if self.reviewer else "")

    @property
    def counted_seconds(self) -> float | None:
        """How long it took, within reason."""
        return None if self.seconds is None else min(max(self.seconds, 0.0), SECONDS_LIMIT)


def may_review(reviewer: User, merchant_id: UUID) -> bool:
    """Whether a person may decide on items of this merchant: its members, and superusers."""
    if not reviewer.is_active:
        return False
    return reviewer.is_superuser or Membership.objects.filter(user=reviewer, merchant_id=merchant_id).exists()


def check_may_review(act: Act, merchant_id: UUID) -> None:
    """Raises ``Refused("review_forbidden")`` (403)."""
    if act.reviewer is not None and not may_review(act.reviewer, merchant_id):
        raise Refused("review_forbidden", "You may not decide on items of this shop.", status=403)


def check_claim(item: Item, act: Act) -> None:
    """Raises ``Refused("item_claimed")`` (409) while another desk or another key has the item.

    Who decides on the item's own page may have it at a desk of their own.
    """
    if item.claim is None or _is_theirs(item, act):
        return
    if item.claimed_until is not None and item.claimed_until > timezone.now():
        raise Refused("item_claimed", "Another reviewer has this item open now.", status=409)


def _is_theirs(item: Item, act: Act) -> bool:
    if act.reviewer is None:
        return item.claimed_by_id is None and item.claim == act.desk
    return item.claimed_by_id == act.reviewer.pk and act.desk in (None, item.claim)


def decided_before(item: Item, action: str, act: Act) -> Decision | None:
    """The decision that has this id already, when it is this very one; the item is locked.

    Raises ``Refused("decision_id_reused")`` (409) when it is another.
    """
    if act.decision_id is None:
        return None
    known = Decision.objects.filter(pk=act.decision_id).first()
    if known is not None and (known.item_id, known.action) != (item.pk, action):
        raise Refused("decision_id_reused", "This decision id was already used for another decision.", status=409)
    return known
