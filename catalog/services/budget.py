"""How often a key, and each visitor of a page that uses it, may ask: counted in Redis, so all web processes share it.

Comes right after the key of a request is known, before anything else is looked at. A budget is a quota in a window that
begins with its first request; Redis runs the script in one step and measures the time, so neither the number of web
processes nor their clocks matter. Where Redis is away everything is let through: a shop whose searches work beats one
that is safe from too many of them, and without Redis nothing reaches a worker anyhow.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from redis import Redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import RedisError
from redis.retry import Retry

from config.env import load_env

log = logging.getLogger(__name__)

PATIENCE = 0.25  # seconds that a request waits for Redis at most
# All budgets of a request are spent together or not at all. Answers: refused or not, then uses and milliseconds left.
SPEND = """
local refused, answer = 0, {}
for i, name in ipairs(KEYS) do
  if tonumber(redis.call('GET', name) or 0) >= tonumber(ARGV[2 * i - 1]) then refused = 1 end
end
answer[1] = refused
for i, name in ipairs(KEYS) do
  if refused == 0 and redis.call('INCR', name) == 1 then redis.call('PEXPIRE', name, ARGV[2 * i]) end
  answer[2 * i] = tonumber(redis.call('GET', name) or 0)
  answer[2 * i + 1] = redis.call('PTTL', name)
end
return answer
"""


@dataclass(frozen=True)
class Budget:
    """``quota`` requests in ``window`` seconds, counted under ``account``; ``name`` is what callers are told."""

    name: str
    account: str
    quota: int
    window: int = 60


@dataclass(frozen=True)
class Standing:
    """What is left of a budget, and the seconds until it is whole again; both ``None`` where Redis is away."""

    budget: Budget
    remaining: int | None = None
    reset: int | None = None


@dataclass(frozen=True)
class Spent:
    """Whether a request may go on, and how each of its budgets stands. ``wait``: seconds until it may, else 0."""

    standings: tuple[Standing, ...]
    wait: int = 0


def budgets_spend(budgets: Sequence[Budget]) -> Spent:
    """Take one request out of each budget, or out of none where one is used up. Never fails."""
    limits = [number for each in budgets for number in (each.quota, each.window * 1000)]
    try:
        refused, *rows = _script()(keys=[each.account for each in budgets], args=limits)
    except (RedisError, OSError) as error:
        log.warning("requests are not counted, Redis is away: %s", error)
        return Spent(tuple(map(Standing, budgets)))
    standings = tuple(
        Standing(each, max(each.quota - uses, 0), math.ceil(left / 1000) if left > 0 else each.window)
        for each, uses, left in zip(budgets, rows[::2], rows[1::2], strict=True)
    )
    wait = max(each.reset or 1 for each in standings if not each.remaining) if refused else 0
    return Spent(standings, wait)


@lru_cache(maxsize=1)
def _script() -> Script:
    redis = Redis.from_url(
        load_env().broker, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=Retry(NoBackoff(), 0)
    )
    return redis.register_script(SPEND)
