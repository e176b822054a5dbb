"""Which budgets a request is counted against, and the headers that say how they stand.

Comes after authentication (``base.ApiView``), so that what a key may not do counts too. Headers are those of
draft-ietf-httpapi-ratelimit-headers-11: ``RateLimit-Policy: "key";q=6000;w=60``, ``RateLimit: "key";r=5999;t=60``.
"""

from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from catalog.models import ApiKey, KeyKind
from catalog.services.budget import Budget, Spent
from catalog.services.visitor import visitor_of
from config.env import load_env

POLICY = "RateLimit-Policy"
STANDING = "RateLimit"


def budgets_of(request: Request, key: ApiKey) -> list[Budget]:
    """The key's own budget; for a publishable key, which lies open in a page, also the visitor's.

    The braces keep the counters of a key on one node of a Redis cluster.
    """
    env, account = load_env(), f"vitrine:budget:{{{key.pk}}}"
    whole = Budget("key", account, key.rate_limit or env.key_requests)
    if key.kind == KeyKind.SECRET:
        return [whole]
    reads = request.method in SAFE_METHODS
    name, quota = ("reads", env.visitor_reads) if reads else ("searches", env.visitor_searches)
    return [Budget(name, f"{account}:{name}:{visitor_of(request._request)}", quota), whole]


def budget_headers(spent: Spent) -> dict[str, str]:
    """The policies, and how they stand where that is known."""
    policies = [f'"{each.budget.name}";q={each.budget.quota};w={each.budget.window}' for each in spent.standings]
    standings = [
        f'"{each.budget.name}";r={each.remaining};t={each.reset}'
        for each in spent.standings
        if each.remaining is not None
    ]
    return {POLICY: ", ".join(policies)} | ({STANDING: ", ".join(standings)} if standings else {})
