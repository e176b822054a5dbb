"""Keys through the API: made, listed, changed, rotated with an overlap, revoked; nobody gives more than they have."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from catalog.models import ApiKey, IdempotencyRecord, Scope
from catalog.services.key import PRESETS, api_key_create, api_key_find, api_key_rotate, api_key_update, origin_cleaned
from tests.api_support import API, Shop, client_of, faults, problem

PAGES = ["https://shop.example", "http://localhost:5173"]


def make(client, **body):
    return client.post(f"{API}/keys", {"name": "ERP", **body}, format="json")


def limited(shop, *scopes):
    return client_of(api_key_create(merchant=shop.merchant, name="limited", scopes=scopes)[1])


def test_a_secret_key_is_made_and_shown_once(shop):
    response = make(shop.client, preset="catalogue", rate_limit=100)
    assert response.status_code == 201
    body = response.json()
    assert body["secret"].startswith("vit_sk_")
    assert body["scopes"] == ["products:write", "uploads"]
    assert (body["kind"], body["state"], body["origins"], body["rate_limit"]) == ("secret", "active", [], 100)
    assert api_key_find(body["secret"]).pk == ApiKey.objects.get(name="ERP").pk
    read = shop.client.get(response.headers["Location"])
    assert read.json() == {name: value for name, value in body.items() if name != "secret"} | {
        "last_used_at": read.json()["last_used_at"]
    }
    assert body["secret"] not in shop.client.get(f"{API}/keys").content.decode()


def test_a_publishable_key_is_made_for_pages(shop):
    body = make(shop.client, kind="publishable", origins=[*PAGES, "HTTPS://Shop.Example:443/"]).json()
    assert body["secret"].startswith("vit_pk_")
    assert (body["scopes"], body["origins"]) == (["searches"], PAGES)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "scopes_missing"),
        ({"scopes": []}, 422, "scopes_missing"),
        ({"preset": "full", "origins": ["*"]}, 422, "origins_not_taken"),
        ({"kind": "publishable"}, 422, "origins_missing"),
        ({"kind": "publishable", "origins": ["shop.example"]}, 422, "origin_invalid"),
        ({"preset": "full", "expires_at": "2020-01-01T00:00:00Z"}, 422, "expiry_passed"),
    ],
)
def test_what_no_key_can_be(shop, body, status, code):
    before = ApiKey.objects.count()
    problem(make(shop.client, **body), status, code)
    assert ApiKey.objects.count() == before


def test_fields_are_judged_with_their_place(shop):
    body = {"name": "", "scopes": ["everything"], "preset": "x", "rate_limit": 0, "colour": "red"}
    found = problem(make(shop.client, **body), 422, "invalid")
    assert faults(found) == {"colour": "field_unknown"}
    found = problem(make(shop.client, **{name: body[name] for name in body if name != "colour"}), 422, "invalid")
    assert faults(found) == {
        "name": "blank", "scopes.0": "invalid_choice", "preset": "invalid_choice", "rate_limit": "min_value",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "https://",
        "shop.example",
        "https://shop.example/path",
        "ftp://shop.example",
        "https://a b",
        "file://",
    ],
)
def test_what_is_no_origin(shop, text):
    with pytest.raises(Exception, match="origin_invalid"):
        origin_cleaned(text)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("*", "*"),
        ("https://Shop.Example/", "https://shop.example"),
        ("http://shop.example:80", "http://shop.example"),
        ("https://shop.example:8443", "https://shop.example:8443"),
        ("http://[::1]:5173", "http://[::1]:5173"),
    ],
)
def test_origins_are_kept_as_browsers_send_them(text, origin):
    assert origin_cleaned(text) == origin


def test_a_key_hands_out_no_more_than_it_has(shop):
    keeper = limited(shop, Scope.KEYS, Scope.UPLOADS)
    assert make(keeper, scopes=["uploads"]).status_code == 201
    before = list(ApiKey.objects.order_by("pk").values())
    for scopes in (["*"], ["uploads", "products:read"]):
        assert "`" in problem(make(keeper, scopes=scopes), 403, "scope_exceeded")["detail"]
    problem(make(keeper, kind="publishable", origins=["*"]), 403, "scope_exceeded")
    problem(keeper.post(f"{API}/keys/{shop.key.pk}/rotate", {}, format="json"), 403, "scope_exceeded")
    own = ApiKey.objects.get(name="limited")
    problem(keeper.patch(f"{API}/keys/{own.pk}", {"scopes": ["*"]}, format="json"), 403, "scope_exceeded")
    kept = [{**row, "last_used_at": None} for row in ApiKey.objects.order_by("pk").values()]
    assert kept == [{**row, "last_used_at": None} for row in before]


def ends_in(**span):
    return timezone.now() + timedelta(**span)


@pytest.fixture
def keeper(shop):
    """A key that keeps keys and searches, for an hour, a hundred times a minute."""
    key, token = api_key_create(
        merchant=shop.merchant, name="keeper", scopes=[Scope.KEYS, Scope.SEARCHES], expires_at=ends_in(hours=1),
        rate_limit=100,
    )  # fmt: skip
    key.client = client_of(token)
    return key


def rows():
    """All keys with their origins, but for the time that they were used."""
    names = [field.attname for field in ApiKey._meta.fields if field.attname != "last_used_at"]
    return list(ApiKey.objects.order_by("pk", "origins__origin").values(*names, "origins__origin"))


MORE = [
    ({"expires_at": None}, "expiry_exceeded"),
    ({"expires_at": "2100-01-01T00:00:00Z"}, "expiry_exceeded"),
    ({"rate_limit": 101}, "rate_exceeded"),
    ({"rate_limit": None}, "rate_exceeded"),
    ({"scopes": ["*"]}, "scope_exceeded"),
    ({"scopes": ["keys", "searches", "uploads"]}, "scope_exceeded"),
]


@pytest.mark.parametrize(("change", "code"), MORE)
def test_a_key_widens_neither_itself_nor_another(shop, keeper, change, code):
    less, _ = api_key_create(merchant=shop.merchant, name="less", scopes=[Scope.SEARCHES], expires_at=ends_in(hours=1))
    before = rows()
    for key in (keeper, less):
        body = {"name": "wide", **change}
        problem(keeper.client.patch(f"{API}/keys/{key.pk}", body, format="json"), 403, code)
    within = {"scopes": ["searches"], "rate_limit": 100, "expires_at": keeper.expires_at.isoformat()}
    problem(make(keeper.client, **{**within, **change}), 403, code)
    assert rows() == before
    assert make(keeper.client, **within).status_code == 201


def test_a_key_that_may_do_more_is_neither_lengthened_nor_opened(shop, keeper):
    """Not even within the asking key's own limits: its scopes are not for it to hand out."""
    writer, _ = api_key_create(merchant=shop.merchant, name="writer", expires_at=ends_in(minutes=5), rate_limit=5)
    before = rows()
    for change in ({"expires_at": ends_in(minutes=9).isoformat()}, {"rate_limit": 9}, {"rate_limit": 5, "name": "x"}):
        problem(keeper.client.patch(f"{API}/keys/{writer.pk}", change, format="json"), 403, "scope_exceeded")
    only_keys = limited(shop, Scope.KEYS)
    public = f"{API}/keys/{shop.public_key.pk}"
    problem(only_keys.patch(public, {"origins": ["https://mine.example"]}, format="json"), 403, "scope_exceeded")
    assert [row for row in rows() if row["name"] != "limited"] == before
    assert only_keys.patch(public, {"name": "Shop"}, format="json").json()["name"] == "Shop"


def test_a_key_narrows_itself_and_not_back(keeper):
    path, sooner = f"{API}/keys/{keeper.pk}", ends_in(minutes=30).isoformat()
    less = {"expires_at": sooner, "rate_limit": 50, "scopes": ["keys"]}
    assert keeper.client.patch(path, less, format="json").status_code == 200
    narrowed = rows()
    problem(
        keeper.client.patch(path, {"expires_at": keeper.expires_at.isoformat()}, format="json"), 403, "expiry_exceeded"
    )
    problem(keeper.client.patch(path, {"rate_limit": 51}, format="json"), 403, "rate_exceeded")
    problem(keeper.client.patch(path, {"scopes": ["searches"]}, format="json"), 403, "scope_exceeded")
    assert rows() == narrowed


def test_a_key_without_a_limit_hands_out_no_more_than_the_installations(shop, setting):
    setting("VITRINE_KEY_REQUESTS", "600")
    before = rows()
    problem(make(shop.client, preset="search", rate_limit=601), 403, "rate_exceeded")
    problem(shop.client.patch(f"{API}/keys/{shop.key.pk}", {"rate_limit": 601}, format="json"), 403, "rate_exceeded")
    assert rows() == before
    assert make(shop.client, preset="search", rate_limit=600).status_code == 201


def test_a_rotation_gives_no_more_than_the_key_that_asks_has(shop, keeper):
    scopes = [Scope.SEARCHES]
    forever, _ = api_key_create(merchant=shop.merchant, name="forever", scopes=scopes, rate_limit=100)
    longer, _ = api_key_create(
        merchant=shop.merchant, name="longer", scopes=scopes, rate_limit=100, expires_at=ends_in(hours=2)
    )
    oftener, _ = api_key_create(merchant=shop.merchant, name="oftener", scopes=scopes, expires_at=ends_in(minutes=1))
    before = rows()
    for key, code in ((forever, "expiry_exceeded"), (longer, "expiry_exceeded"), (oftener, "rate_exceeded")):
        problem(keeper.client.post(f"{API}/keys/{key.pk}/rotate", {}, format="json"), 403, code)
    assert rows() == before


def test_a_key_that_rotates_itself_lives_no_longer(keeper):
    ApiKey.objects.filter(pk=keeper.pk).update(created_at=ends_in(days=-1))
    made = keeper.client.post(f"{API}/keys/{keeper.pk}/rotate", {}, format="json")
    assert made.status_code == 201
    assert datetime.fromisoformat(made.json()["expires_at"]) == keeper.expires_at
    assert (made.json()["rate_limit"], made.json()["scopes"]) == (100, keeper.scopes)


def test_keys_need_their_scope(shop):
    other = limited(shop, *(scope for scope in Scope if scope not in (Scope.KEYS, Scope.ALL)))
    for method, path in (
        ("get", "keys"), ("post", "keys"), ("get", f"keys/{shop.key.pk}"), ("patch", f"keys/{shop.key.pk}"),
        ("delete", f"keys/{shop.key.pk}"), ("post", f"keys/{shop.key.pk}/rotate"),
    ):  # fmt: skip
        assert "`keys`" in problem(getattr(other, method)(f"{API}/{path}"), 403, "scope_missing")["detail"]
        problem(getattr(shop.public, method)(f"{API}/{path}"), 403, "permission_denied")
    assert api_key_find(shop.token) == shop.key


def test_a_key_is_changed(shop):
    path = f"{API}/keys/{shop.public_key.pk}"
    body = shop.client.patch(path, {"name": "New page", "origins": PAGES, "rate_limit": 5}, format="json").json()
    assert (body["name"], sorted(body["origins"]), body["rate_limit"]) == ("New page", sorted(PAGES), 5)
    body = shop.client.patch(path, {"rate_limit": None}, format="json").json()
    assert (body["name"], sorted(body["origins"]), body["rate_limit"]) == ("New page", sorted(PAGES), None)
    problem(shop.client.patch(path, {"scopes": ["*"]}, format="json"), 422, "scopes_fixed")
    problem(shop.client.patch(path, {"origins": []}, format="json"), 422, "origins_missing")
    found = problem(shop.client.patch(path, {"kind": "secret"}, format="json"), 422, "invalid")
    assert faults(found) == {"kind": "field_unknown"}
    less = shop.client.patch(f"{API}/keys/{shop.key.pk}", {"scopes": ["keys"]}, format="json")
    assert less.json()["scopes"] == ["keys"]
    problem(shop.client.get(f"{API}/products"), 403, "scope_missing")


def test_an_ended_key_is_not_changed(shop):
    key, _ = api_key_create(merchant=shop.merchant, name="old")
    assert shop.client.delete(f"{API}/keys/{key.pk}").json()["state"] == "revoked"
    for method, path in (("patch", f"keys/{key.pk}"), ("post", f"keys/{key.pk}/rotate")):
        problem(getattr(shop.client, method)(f"{API}/{path}", {}, format="json"), 409, "key_ended")


def test_a_key_expires(shop):
    key, token = api_key_create(merchant=shop.merchant, name="short", expires_at=timezone.now() + timedelta(seconds=30))
    assert client_of(token).get(f"{API}/products").status_code == 200
    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now())
    problem(client_of(token).get(f"{API}/products"), 401, "key_invalid")
    assert shop.client.get(f"{API}/keys/{key.pk}").json()["state"] == "expired"


def test_rotation_overlaps(shop):
    path = f"{API}/keys/{shop.public_key.pk}"
    shop.client.patch(path, {"origins": PAGES, "rate_limit": 7}, format="json")
    before = timezone.now()
    response = shop.client.post(f"{path}/rotate", {"overlap_seconds": 3600}, format="json")
    assert response.status_code == 201
    new, old = response.json(), shop.client.get(path).json()
    assert new["secret"].startswith("vit_pk_") and new["secret"] != shop.public_token
    for name in ("name", "kind", "scopes", "origins", "rate_limit"):
        assert new[name] == old[name], name
    assert (new["state"], old["state"]) == ("active", "retiring")
    assert (old["replaced_by_id"], new["replaces_id"]) == (new["id"], old["id"])
    end = datetime.fromisoformat(old["expires_at"]) - before
    assert timedelta(seconds=3599) < end < timedelta(seconds=3660)
    assert new["expires_at"] is None
    assert api_key_find(shop.public_token) and api_key_find(new["secret"])
    problem(shop.client.post(f"{path}/rotate", {}, format="json"), 409, "key_replaced")
    ApiKey.objects.filter(pk=old["id"]).update(expires_at=timezone.now())
    assert api_key_find(shop.public_token) is None
    assert api_key_find(new["secret"]).pk == ApiKey.objects.get(pk=new["id"]).pk


def test_a_rotation_may_end_the_old_key_at_once(shop):
    response = shop.client.post(f"{API}/keys/{shop.key.pk}/rotate", {"overlap_seconds": 0}, format="json")
    assert response.status_code == 201
    problem(shop.client.get(f"{API}/products"), 401, "key_invalid")
    assert client_of(response.json()["secret"]).get(f"{API}/products").status_code == 200


def test_an_overlap_never_lengthens_a_life_and_a_new_life_is_as_long(shop):
    end = timezone.now() + timedelta(hours=2)
    key, _ = api_key_create(merchant=shop.merchant, name="short", expires_at=end)
    new, _ = api_key_rotate(key=key, overlap=timedelta(days=7))
    key.refresh_from_db()
    assert key.expires_at == end
    assert abs((new.expires_at - new.created_at) - (key.expires_at - key.created_at)) < timedelta(seconds=1)


def test_too_long_an_overlap_is_refused(shop):
    response = shop.client.post(f"{API}/keys/{shop.key.pk}/rotate", {"overlap_seconds": 604801}, format="json")
    assert faults(problem(response, 422, "invalid")) == {"overlap_seconds": "max_value"}


def test_a_request_that_is_sent_again_makes_one_key_and_stores_no_secret(shop):
    for path in ("keys", f"keys/{shop.public_key.pk}/rotate"):
        body = {"name": "Once", "preset": "search"} if path == "keys" else {}
        first, second = (
            shop.client.post(f"{API}/{path}", body, format="json", HTTP_IDEMPOTENCY_KEY=path) for _ in range(2)
        )
        assert second.headers["Idempotent-Replayed"] == "true"
        assert first.json() | {"secret": None} == second.json()
        assert first.json()["secret"] not in str(list(IdempotencyRecord.objects.values()))
    assert ApiKey.objects.filter(name="Once").count() == 1


def test_lists_cost_the_same_however_many_keys(shop, django_assert_num_queries):
    shop.client.get(f"{API}/keys")
    for expected in (2, 12):
        with django_assert_num_queries(3):  # the caller's key, the page, its origins
            assert len(shop.client.get(f"{API}/keys").json()["results"]) == expected
        for _ in range(10):
            make(shop.client, kind="publishable", origins=PAGES)
    assert {row["kind"] for row in shop.client.get(f"{API}/keys?kind=secret").json()["results"]} == {"secret"}


def test_another_merchants_key_is_not_found(shop):
    theirs = Shop("theirs")
    for method, path in (("get", ""), ("patch", ""), ("delete", ""), ("post", "/rotate")):
        address = f"{API}/keys/{theirs.key.pk}{path}"
        problem(getattr(shop.client, method)(address, {}, format="json"), 404, "not_found")
    assert api_key_find(theirs.token) == theirs.key


def test_presets_give_what_their_views_need(shop):
    reach = {
        "catalogue": {"products": 200, "uploads": 200, "search-jobs": 403, "review-items": 403, "keys": 403},
        "search": {"products": 403, "search-jobs": 200, "recognition-jobs": 200, "review-items": 403},
        "review": {"products": 200, "review-items": 200, "recognition-jobs": 200, "uploads": 403},
        "full": {"products": 200, "uploads": 200, "search-jobs": 200, "review-items": 200, "keys": 200},
    }
    assert set(reach) == set(PRESETS)
    for preset, answers in reach.items():
        client = limited(shop, *PRESETS[preset])
        for path, status in answers.items():
            assert client.get(f"{API}/{path}").status_code == status, (preset, path)


def test_whoever_may_change_products_may_read_them_and_not_the_reverse(shop):
    writer, reader = limited(shop, Scope.PRODUCTS_WRITE), limited(shop, Scope.PRODUCTS_READ)
    body = {"sku": "A", "title": "A"}
    assert writer.post(f"{API}/products", body, format="json").status_code == 201
    assert (writer.get(f"{API}/products").status_code, reader.get(f"{API}/products").status_code) == (200, 200)
    found = problem(reader.post(f"{API}/products", body, format="json"), 403, "scope_missing")
    assert "`products:write`" in found["detail"]


def test_a_service_changes_nothing_where_it_refuses(shop):
    with pytest.raises(Exception, match="origin_invalid"):
        api_key_update(key=shop.public_key, values={"name": "x", "origins": ["https://ok.example", "nonsense"]})
    shop.public_key.refresh_from_db()
    assert shop.public_key.name == "page"
    assert [each.origin for each in shop.public_key.origins.all()] == ["*"]
