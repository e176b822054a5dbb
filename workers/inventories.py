"""Inventories in Redis: a worker lays a page down under its question's token, whoever asked takes it from there.

Between ``inventory`` (a worker) and ``client`` (``manage.py verify``). Every function raises redis errors as they come.
"""

import json
import time
from uuid import UUID

from pydantic import ValidationError
from redis import Redis

from workers.contract import INVENTORY_KEY_PREFIX, InventoryPage

KEEP_SECONDS = 60
_LOOK_SECONDS = 1


def keep(server: Redis, page: InventoryPage) -> None:
    """Lay a page down for the one who waits for it; forgotten after a minute."""
    key = f"{INVENTORY_KEY_PREFIX}{page.token}"
    with server.pipeline(transaction=True) as pipe:
        pipe.rpush(key, json.dumps(page.to_wire()))
        pipe.expire(key, KEEP_SECONDS)
        pipe.execute()


def take(server: Redis, token: UUID, seconds: float) -> InventoryPage | None:
    """Wait for the page and take it; ``None`` where none came in so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = server.blpop([f"{INVENTORY_KEY_PREFIX}{token}"], timeout=_LOOK_SECONDS)
        if found:
            return _read(found[1])
    return None


def _read(text: bytes | str) -> InventoryPage | None:
    """A worker of another release may write a page that this one cannot read: it counts as none."""
    try:
        return InventoryPage.model_validate_json(text)
    except ValidationError:
        return None
