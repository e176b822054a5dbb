"""The desk's keys, and those that a reviewer chose instead. Read by the desk's page, written from its help."""

from collections.abc import Mapping

from django.contrib.auth.models import User

from catalog.models import DeskKeys
from catalog.services.errors import Refused

DEFAULTS = {
    "accept": " ",
    "unknown": "u",
    "new": "n",
    "reject": "r",
    "undo": "z",
    "skip": "s",
    "search": "/",
    "alike": "a",
    "split": "x",
    "box": "b",
    "heat": "h",
    "zoom": "f",
    "help": "?",
}
FIXED = frozenset("123456789")  # choose a candidate, whatever else is changed


def desk_keys(user: User) -> dict[str, str]:
    """The key of each action."""
    chosen = DeskKeys.objects.filter(user=user).values_list("keys", flat=True).first() or {}
    return DEFAULTS | {action: key for action, key in chosen.items() if action in DEFAULTS}


def desk_keys_choose(*, user: User, keys: Mapping[str, str]) -> dict[str, str]:
    """Keep other keys for some actions; {} brings the defaults back.

    Raises ``Refused("keys_invalid")`` where a key is no single character, is a digit, or would mean two things.
    """
    chosen = {action: key for action, key in keys.items() if DEFAULTS.get(action) != key}
    every = DEFAULTS | chosen
    clash = len(set(every.values())) < len(every)
    if set(chosen) - set(DEFAULTS) or clash or any(len(key) != 1 or key in FIXED for key in every.values()):
        raise Refused("keys_invalid", "Each action needs one key of its own, and 1 to 9 choose a candidate.")
    DeskKeys.objects.update_or_create(user=user, defaults={"keys": chosen})
    return every
