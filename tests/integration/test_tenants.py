"""Every address of the site, asked by merchant B with merchant A's ids: nothing is shown, nothing changes.

The table is ``tests/tenant_cases.py``; an address that is not in it fails here and says what to add. Each refusal has
its counterpart: A, asking the same, is let in (and rolled back), so that no case passes because its request was wrong.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLResolver, get_resolver, reverse

from catalog.models import Job
from catalog.services.result import search_result_store
from catalog.web.photos import photo_address
from tests.api_support import candidate, client_of, search_result
from tests.tenant_cases import ADMIN, API, REACHES, WEB, Case, Open, Theirs, admin_pages
from tests.tenant_world import Rows, Tenant, belongings, owned_models, tenant

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

METHODS = {True: ("GET", "POST"), False: ("GET", "POST", "PUT", "PATCH", "DELETE")}  # of forms, of the API
GONE = {401, 403, 404, 405}
UUID_LENGTH = 36
HERE = "tests/tenant_cases.py"


def addresses(resolver: Any = None, spaces: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Name and pattern of every address; one without a name is called after its pattern."""
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            inner = (*spaces, entry.namespace) if entry.namespace else spaces
            for name, pattern in addresses(entry, inner):
                yield (name, f"{entry.pattern}{pattern}")
        else:
            yield (":".join((*spaces, entry.name or str(entry.pattern))), str(entry.pattern))


@cache
def named() -> dict[str, str]:
    """Pattern by name. The admin's nameless ones, one a model, are told apart by the path before them."""
    found = {}
    for name, pattern in addresses():
        if name == "admin:<path:object_id>/":
            name = pattern.replace("admin/", "admin:", 1)
        found[name] = pattern
    return found


CASES: dict[str, Case] = {**API, **WEB, **ADMIN, **admin_pages()}


@pytest.fixture
def world(redis_server, setting) -> tuple[Tenant, Tenant]:
    """A, who is attacked, and B, who attacks and is never told to wait."""
    setting("VITRINE_VISITOR_SEARCHES", "100000")
    setting("VITRINE_VISITOR_READS", "100000")
    return tenant("alpha"), tenant("beta")


def test_every_address_has_a_case():
    missing = sorted(set(named()) - set(CASES))
    assert not missing, f"no case in {HERE} for {missing}: its first lines say what to add"
    stale = sorted(set(CASES) - set(named()))
    assert not stale, f"{HERE} has cases for addresses that are no more: {stale}"
    bare = [
        name
        for name, pattern in named().items()
        if "<" in pattern and not CASES[name].ids and not isinstance(CASES[name], Open)
    ]
    assert not bare, f"these addresses have ids, so say in {HERE} whose: {bare}"


def path_of(name: str, case: Case, whose: dict[str, str]) -> str:
    pattern = named()[name]
    values = {kwarg: whose.get(what, what) for kwarg, what in case.ids.items()}
    if name.endswith("<path:object_id>/"):  # the admin's nameless ones
        return "/" + pattern.replace("<path:object_id>", whose["product"])
    if name.startswith("^") or "(?P<url>" in name:
        return "/api/nothing" if name.startswith("^") else "/admin/nothing"
    if name == "admin:view_on_site":
        return "/admin/r/1/1/"
    for kwarg in re.findall(r"<(?:\w+:)?(\w+)>", pattern):
        values.setdefault(kwarg, {"size": "thumb", "app_label": "catalog"}.get(kwarg, "1"))
    if name == "admin:app_list":
        values = {"app_label": "catalog"}
    return reverse(name, kwargs=values)


def filled(value: Any, names: dict[str, str]) -> Any:
    """``{product}`` and the like in a body or a query, replaced."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {key: filled(each, names) for key, each in value.items()}
    return [filled(each, names) for each in value] if isinstance(value, list) else value


def ask(client: Client, method: str, path: str, case: Case, body: Any, query: dict[str, Any]) -> HttpResponse:
    query_string = "&".join(f"{key}={value}" for key, value in query.items())
    headers = {"QUERY_STRING": query_string}
    if method == "GET":
        return client.generic("GET", path, **headers)
    if case.form:
        return client.post(path, body, **headers) if method == "POST" else client.generic(method, path, **headers)
    kind = "application/x-ndjson" if path.endswith("/bulk") else "application/json"
    return client.generic(method, path, json.dumps(body), content_type=kind, **headers)


def requests(case: Case, names: dict[str, str]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Every method with its body, every query, every attack."""
    for method in METHODS[case.form]:
        yield method, filled(case.bodies.get(method, {}), names), {}
    for query in case.queries:
        yield "GET", {}, filled(query, names)
    for method, body in case.attacks:
        yield method, filled(body, names), {}


def callers(name: str, it: Tenant) -> dict[str, Any]:
    """Who asks: both keys of the API, or the browser of a manager."""
    if name.startswith("api-"):
        return {"secret key": client_of(it.shop.token), "publishable key": client_of(it.shop.public_token)}
    return {"manager": it.browser}


def body_of(response: HttpResponse) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return content.decode("utf-8", "replace") + str(dict(response.headers))


def shows(response: HttpResponse, victim: Tenant, sent: str) -> set[str]:
    """What an answer tells of the victim that was not in the question."""
    text = body_of(response)
    secrets = {victim.mark, *(value for value in victim.names.values() if len(value) == UUID_LENGTH)}
    return {secret for secret in secrets if secret in text and secret not in sent}


def in_vain(response: HttpResponse) -> bool:
    """Not there, not allowed; or, as Django's admin says it, back to its first page."""
    to = response.headers.get("Location", "").partition("?")[0]
    return response.status_code in GONE or (
        response.status_code == 302 and to in (reverse("admin:index"), reverse("admin:login"))
    )


def test_what_belongs_to_another_does_not_exist(world, subtests):
    before = belongings(world[0])
    for name, case in CASES.items():
        if isinstance(case, Theirs):
            with subtests.test(name), rolled_back():
                attack_theirs(*world, name, case, before)


def test_addresses_without_ids_show_ones_own(world, subtests):
    before = belongings(world[0])
    for name, case in CASES.items():
        if not isinstance(case, Theirs):
            with subtests.test(name), rolled_back():
                attack_own(*world, name, case, before)


def test_nothing_reaches_from_ones_own_to_anothers(world, subtests):
    before = belongings(world[0])
    for name, case in REACHES.items():
        with subtests.test(name), rolled_back():
            attack_own(*world, name, case, before)


@contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_the_attacked_merchant_has_a_row_of_everything(world):
    theirs, _ = world
    assert owned_models() - belongings(theirs).keys() == set()


def attack_theirs(theirs: Tenant, mine: Tenant, name: str, case: Case, before: Rows) -> None:
    names = theirs.names | {f"own_{key}": value for key, value in mine.names.items()}
    path = path_of(name, case, theirs.names)
    welcome = 0
    for method, body, query in requests(case, names):
        for who, client in callers(name, mine).items():
            response = ask(client, method, path, case, body, query)
            assert in_vain(response), f"{who}: {method} {path} {query} answered {response.status_code}"
            assert shows(response, theirs, f"{path}{body}{query}") == set(), f"{who}: {method} {path} tells of A"
        owner = next(iter(callers(name, theirs).values()))
        with rolled_back():
            welcome += not in_vain(ask(owner, method, path, case, body, query))
    assert belongings(theirs) == before
    assert welcome or not case.owner, f"A is refused too: the case of {name} in {HERE} asks wrongly"


def attack_own(theirs: Tenant, mine: Tenant, name: str, case: Case, before: Rows) -> None:
    names = theirs.names | {f"own_{key}": value for key, value in mine.names.items()}
    path = path_of(name, case, mine.names)
    for who, client in callers(name, mine).items():
        for method, body, query in requests(case, names):
            mine.browser.force_login(mine.user)  # logging out is one of the addresses
            response = ask(client, method, path, case, body, query)
            assert response.status_code < 500 or response.status_code == 503, f"{who}: {method} {path} {body}"
            assert shows(response, theirs, f"{path}{body}{query}") == set(), f"{who}: {method} {path} {body} {query}"
    assert belongings(theirs) == before


def test_the_signature_of_ones_own_photo_opens_no_other(world):
    theirs, mine = world
    own = photo_address(mine.rows["photo"].pk, size="thumb")
    assert mine.browser.get(own).status_code == 404  # let in; the bytes are nowhere
    stolen = own.replace(str(mine.rows["photo"].pk), str(theirs.rows["photo"].pk))
    assert mine.browser.get(stolen).status_code == 403
    as_search = own.replace(f"photos/{mine.rows['photo'].pk}", f"photos/searches/{theirs.rows['search'].pk}")
    assert mine.browser.get(as_search).status_code == 403
    assert mine.browser.get(own.replace("/thumb", "/full")).status_code == 403


def test_a_search_carries_its_own_merchant_whatever_it_asks_for(world):
    theirs, mine = world
    client = client_of(mine.shop.token)
    asked = {"words": "mug", "filters": {"brands": [f"{theirs.mark} brand"]}, "merchant_id": theirs.names["merchant"]}
    known = set(Job.objects.values_list("pk", flat=True))
    client.post("/api/v1/search-jobs", asked, format="json")
    assert set(Job.objects.exclude(pk__in=known).values_list("merchant_id", flat=True)) <= {mine.shop.merchant.pk}


def test_an_answer_that_names_anothers_products_shows_none(world):
    """An index gone wrong, or a worker that lies: SQL is asked for one's own products only."""
    theirs, mine = world
    job = mine.shop.search()
    search_result_store(result=search_result(job, candidate(theirs.rows["product"], theirs.rows["photo"])))
    response = client_of(mine.shop.token).get(f"/api/v1/search-jobs/{job.pk}")
    assert (response.status_code, response.json()["hits"]) == (200, [])
    assert shows(response, theirs, "") == set()
