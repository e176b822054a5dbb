"""What a started stack needs before it is used: the site says that all is there, and the index holds what SQL believes.

Used by ``manage.py start`` and ``manage.py demo`` right after ``config.stack`` has started everything.
"""

import httpx
from django.core.management import CommandError

from catalog.management.commands.reindex import live_bundle
from catalog.services.photo import photos_reindex
from config.stack import Stack
from workers.client import Unavailable, live_workers


def is_ready(url: str) -> bool:
    """Whether the site says that everything behind it is there."""
    try:
        return httpx.get(f"{url}/health/ready", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def owe_what_the_index_lacks(stack: Stack) -> int | None:
    """Owe photos again after the bundle changed or the index was deleted. Returns how many.

    ``None`` while this stack's worker has not shown itself, or one of another bundle is still alive: ask again.
    """
    try:
        bundle, cards = live_bundle(), live_workers()
    except (CommandError, Unavailable):
        return None
    own = next((card for card in cards if card.name.endswith(f"-{stack.pid_of('worker')}")), None)
    if own is None:
        return None
    return photos_reindex(done_by_other_than=bundle if own.points else None)
