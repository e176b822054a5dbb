"""How often a key and a visitor may ask: headers, refusals, several processes, a Redis that is away, proxies."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rest_framework.test import APIClient

from catalog.services.budget import Budget, budgets_spend
from catalog.services.visitor import visitor_of
from tests.api_support import API, client_of, problem

ROOT = Path(__file__).resolve().parent.parent.parent
ASK = {"words": "mug"}
STANDING = re.compile(r'"(\w+)";r=(\d+);t=(\d+)')


def standing(response):
    """The remaining requests a policy, and that the seconds are within the window."""
    found = STANDING.findall(response.headers["RateLimit"])
    assert all(0 < int(seconds) <= 60 for _, _, seconds in found)
    return {name: int(remaining) for name, remaining, _ in found}


def limit(shop, key, quota):
    shop.client.patch(f"{API}/keys/{key.pk}", {"rate_limit": quota}, format="json")


def search(client, **more):
    return client.post(f"{API}/search-jobs", ASK, format="json", **more)


def test_every_answer_says_how_the_budget_stands(shop, redis_server):
    limit(shop, shop.key, 100)
    gone = f"{API}/products/{shop.merchant.pk}"
    answers = [
        (shop.client.get(f"{API}/products"), 200),
        (shop.client.get(gone), 404),
        (shop.client.put(f"{API}/products", {}), 405),
        (shop.client.post(f"{API}/products", {}, format="json"), 422),
        (shop.client.post(f"{API}/products", b"{", content_type="application/json"), 400),
    ]
    for number, (response, status) in enumerate(answers):
        assert response.status_code == status
        assert response.headers["RateLimit-Policy"] == '"key";q=100;w=60'
        assert standing(response) == {"key": 98 - number}  # the change above was the first


def test_what_a_key_may_not_do_counts_too(shop, redis_server):
    first = shop.public.get(f"{API}/products")
    problem(first, 403, "permission_denied")
    second = shop.public.get(f"{API}/products")
    assert standing(first)["reads"] - standing(second)["reads"] == 1


def test_a_key_that_asked_too_often(shop, redis_server):
    limit(shop, shop.key, 3)
    assert [shop.client.get(f"{API}/products").status_code for _ in range(3)] == [200, 200, 429]
    response = shop.client.get(f"{API}/products")
    problem(response, 429, "throttled")
    assert standing(response) == {"key": 0}
    assert response.headers["Retry-After"] == STANDING.findall(response.headers["RateLimit"])[0][2]
    assert APIClient().get(f"{API}/products").status_code == 401


def test_a_refused_request_takes_nothing_from_the_other_budget(shop, redis_server):
    limit(shop, shop.public_key, 100)
    for _ in range(60):
        assert search(shop.public).status_code == 202
    refused = search(shop.public)
    problem(refused, 429, "throttled")
    assert refused.headers["RateLimit-Policy"] == '"searches";q=60;w=60, "key";q=100;w=60'
    assert standing(refused) == {"searches": 0, "key": 40}
    assert standing(search(shop.public)) == {"searches": 0, "key": 40}
    assert search(shop.public, REMOTE_ADDR="192.0.2.7").status_code == 202
    assert shop.public.get(f"{API}/search-jobs/{shop.search().pk}").status_code == 200
    assert search(shop.client).status_code == 202


def test_a_budget_is_whole_again_after_its_window(redis_server):
    budget = Budget("key", "vitrine:budget:test", quota=2)
    assert [bool(budgets_spend([budget]).wait) for _ in range(3)] == [False, False, True]
    with redis_server.client() as redis:
        assert 0 < redis.pttl(budget.account) <= budget.window * 1000
        redis.pexpire(budget.account, 1)  # nobody waits a minute
    time.sleep(0.1)
    assert budgets_spend([budget]).standings[0].remaining == 1


def test_several_processes_share_one_budget(redis_server):
    script = (
        "from catalog.services import budget as module\n"
        "from catalog.services.budget import Budget, budgets_spend\n"
        "module.PATIENCE = 30\n"
        "budget = Budget('key', 'vitrine:budget:shared', quota=100)\n"
        "print(sum(budgets_spend([budget]).wait == 0 for _ in range(80)))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=os.environ, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    assert sum(int(process.communicate()[0]) for process in processes) == 100


def test_without_redis_everything_is_let_through(shop, redis_server):
    limit(shop, shop.key, 1)
    assert shop.client.get(f"{API}/products").status_code == 429
    redis_server.kill()
    response = shop.client.get(f"{API}/products")
    assert response.status_code == 200
    assert response.headers["RateLimit-Policy"] == '"key";q=1;w=60'
    assert "RateLimit" not in response.headers
    redis_server.start()
    with redis_server.client() as redis:
        redis.flushall()
    assert [shop.client.get(f"{API}/products").status_code for _ in range(2)] == [200, 429]


def test_a_redis_that_takes_no_writes_lets_everything_through(shop, redis_server):
    with redis_server.client() as redis:
        redis.config_set("maxmemory", "1")
    assert shop.client.get(f"{API}/products").status_code == 200
    with redis_server.client() as redis:
        redis.config_set("maxmemory", "0")


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "visitor"),
    [
        ("", "192.0.2.1", "", "192.0.2.1"),
        ("", "192.0.2.1", "198.51.100.9", "192.0.2.1"),
        ("", "127.0.0.1", "198.51.100.9", "127.0.0.1"),
        ("10.0.0.0/8", "192.0.2.1", "198.51.100.9", "192.0.2.1"),
        ("10.0.0.0/8", "10.0.0.2", "198.51.100.9", "198.51.100.9"),
        ("10.0.0.0/8", "10.0.0.2", "1.2.3.4, 198.51.100.9, 10.1.1.1", "198.51.100.9"),
        ("10.0.0.0/8", "10.0.0.2", "", "10.0.0.2"),
        ("10.0.0.0/8", "10.0.0.2", "1.2.3.4, nonsense", "unknown"),
        ("10.0.0.0/8,2001:db8::/64", "2001:db8::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("10.0.0.0/8", "::ffff:10.0.0.2", "::ffff:198.51.100.9", "198.51.100.9"),
        ("", "2001:db8:1:2:ffff::1", "", "2001:db8:1:2::/64"),
        ("", "", "198.51.100.9", "unknown"),
    ],
)
def test_whom_a_request_comes_from(rf, setting, trusted, peer, forwarded, visitor):
    setting("VITRINE_TRUSTED_PROXIES", trusted)
    request = rf.get("/", REMOTE_ADDR=peer, **({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}))
    assert visitor_of(request) == visitor


def test_a_visitor_gains_nothing_by_forging_the_header(shop, redis_server):
    left = [standing(search(shop.public, HTTP_X_FORWARDED_FOR=f"198.51.100.{n}"))["searches"] for n in range(3)]
    assert left == [59, 58, 57]


def test_behind_a_proxy_each_visitor_has_a_budget(shop, redis_server, setting):
    setting("VITRINE_TRUSTED_PROXIES", "10.0.0.0/8")
    public = client_of(shop.public_token)
    left = [
        standing(search(public, REMOTE_ADDR="10.0.0.2", HTTP_X_FORWARDED_FOR=f"198.51.100.{n % 2}"))["searches"]
        for n in range(4)
    ]
    assert left == [59, 59, 58, 58]
