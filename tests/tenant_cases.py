"""How each address of the site is attacked by a stranger: the table that ``test_tenants`` walks.

An address that is missing here fails the test. Add one of these under the address's name:

    "api-things": Mine(),                                # a list, or an address without ids: shows only one's own
    "api-thing": Theirs(id="product"),                   # with ids: what is not one's own does not exist
    "api-thing-do": Theirs(id="product", post={"a": 1}), # with a body that its owner may send
    "about": Open(),                                     # an address that knows no merchants

``id="product"`` names one of ``Tenant.rows`` (tests/tenant_world.py). In bodies and queries ``{product}`` stands for
the id of the victim's product, ``{mark}`` for a word that stands in all of the victim's texts, ``{own_product}`` and
the like for the attacker's. ``attacks`` are more bodies, and ``queries`` more queries, through which an own address
might reach for what is not one's own; they may be refused or answered, but nothing is shown and nothing changes.
"""

from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, User

from catalog.models import Bundle

Body = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """``bodies`` by method, ``form`` where they are sent as a form and not as JSON."""

    ids: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, Body] = field(default_factory=dict)
    queries: tuple[Body, ...] = ()
    attacks: tuple[tuple[str, Body], ...] = ()
    form: bool = False
    owner: bool = True  # whether the owner, asking the same, is let in: else the case would prove nothing


class Theirs(Case):
    """An address with ids of the victim."""

    def __init__(
        self,
        *,
        post: Body | None = None,
        patch: Body | None = None,
        put: Body | None = None,
        queries: tuple[Body, ...] = (),
        form: bool = False,
        owner: bool = True,
        **ids: str,
    ) -> None:
        given = {"POST": post, "PATCH": patch, "PUT": put}
        bodies = {method: body for method, body in given.items() if body is not None}
        super().__init__(ids=ids, bodies=bodies, queries=queries, form=form, owner=owner)


class Mine(Case):
    """An address without ids."""

    def __init__(
        self, *attacks: tuple[str, Body], queries: tuple[Body, ...] = (), form: bool = False, **ids: str
    ) -> None:
        super().__init__(attacks=attacks, queries=queries, form=form, ids=ids)


class Open(Case):
    """An address that knows no merchants."""


SEARCH = {"words": "mug"}
DESK = "00000000-0000-4000-8000-000000000001"  # an open desk, as its page makes one up


def decided_at_desk(action: str, item: str, **more: str) -> Body:
    """One decision as the desk's page sends it."""
    order = {"id": "00000000-0000-4000-8000-000000000002", "item": item, "action": action, **more}
    return {"desk": DESK, "decisions": [order]}


API: dict[str, Case] = {
    "api-products": Mine(
        ("POST", {"sku": "N-1", "title": "New", "merchant": "{merchant}", "merchant_id": "{merchant}"}),
        queries=(
            {"brand": "{mark} brand"},
            {"category": "{mark}/Mugs"},
            {"q": "{mark}"},
            {"sku": "{sku}"},
            {"search": "{mark}"},
        ),
    ),
    "api-product": Theirs(id="product", patch={"title": "Taken"}),
    "api-product-photos": Theirs(product_id="product", post={"photo_url": "http://192.0.2.1/a.jpg"}),
    "api-products-bulk": Mine(
        ("POST", {"sku": "{sku}", "title": "Taken", "id": "{product}", "merchant": "{merchant}"})
    ),
    "api-products-export": Mine(),
    "api-product-by-sku": Mine(
        ("PATCH", {"title": "Taken"}), ("PUT", {"title": "Taken", "merchant": "{merchant}"}), sku="sku"
    ),
    "api-photo": Theirs(id="photo"),
    "api-synonyms": Mine(("POST", {"words": ["a", "b"], "merchant": "{merchant}"})),
    "api-synonyms-set": Theirs(id="synonyms", put={"words": ["a", "b"]}),
    "api-uploads": Mine(queries=({"kind": "catalogue"}, {"merchant": "{merchant}"})),
    "api-upload": Theirs(id="upload"),
    "api-upload-cancel": Theirs(id="upload", post={}),
    "api-upload-events": Theirs(id="upload"),
    "api-upload-bad-rows": Theirs(id="upload"),
    "api-upload-rows": Theirs(id="upload", queries=({"problems": "true"},)),
    "api-searches": Mine(
        ("POST", {"like": ["{product}"]}),
        ("POST", {"like": [{"search_id": "{search}"}]}),
        ("POST", {**SEARCH, "unlike": ["{product}"]}),
        ("POST", {**SEARCH, "merchant": "{merchant}", "merchant_id": "{merchant}"}),
        ("POST", {**SEARCH, "filters": {"merchant_id": "{merchant}"}}),
        ("POST", {**SEARCH, "filters": {"brands": ["{mark} brand"], "categories": ["{mark}/*"]}, "facets": ["brands"]}),
        queries=({"state": "done"}, {"merchant": "{merchant}"}),
    ),
    "api-search": Theirs(id="search"),
    "api-search-hits": Theirs(id="search"),
    "api-search-events": Theirs(id="search"),
    "api-search-cancel": Theirs(id="search", post={}),
    "api-hit-explanation": Theirs(id="search", product_id="product"),
    "api-recognitions": Mine(("POST", {"photos": [], "merchant": "{merchant}"})),
    "api-recognition": Theirs(id="recognition"),
    "api-recognition-events": Theirs(id="recognition"),
    "api-recognition-cancel": Theirs(id="recognition", post={}),
    "api-items": Mine(
        queries=({"job": "{recognition}"}, {"photo": "{photo}"}, {"product": "{product}"}, {"upload": "{upload}"})
    ),
    "api-items-export": Mine(kind="jsonl"),
    "api-items-claims": Mine(("POST", {"count": 100}), ("POST", {"count": 0, "skip": ["{item}"]})),
    "api-item": Theirs(id="item"),
    "api-item-accept": Theirs(id="item", post={}),
    "api-item-correct": Theirs(id="item", post={"product_id": "{product}"}),
    "api-item-reject": Theirs(id="item", post={}),
    "api-item-unknown": Theirs(id="item", post={}),
    "api-item-new-product": Theirs(id="item", post={"sku": "NEW-1", "title": "Taken"}),
    "api-item-undo": Theirs(id="decided", post={}),
    "api-item-explanation": Theirs(id="item", queries=({"product_id": "{product}"},)),
    "api-keys": Mine(("POST", {"name": "k", "scopes": ["uploads"], "merchant": "{merchant}"})),
    "api-key": Theirs(id="apikey", patch={"name": "taken"}),
    "api-key-rotate": Theirs(id="apikey", post={}),
    "api-webhook-endpoints": Mine(
        ("POST", {"url": "https://x.test/", "events": ["job.finished"], "merchant": "{merchant}"})
    ),
    "api-webhook-endpoint": Theirs(id="endpoint", patch={"enabled": False}),
    "api-webhook-endpoint-rotate-secret": Theirs(id="endpoint", post={}),
    "api-webhook-endpoint-test": Theirs(id="endpoint", post={}),
    "api-webhook-deliveries": Mine(queries=({"endpoint": "{endpoint}"}, {"state": "pending"})),
    "api-webhook-delivery": Theirs(id="delivery"),
    "api-webhook-delivery-replay": Theirs(id="delivery", post={}),
    "api-schema": Open(),
    "api-docs": Open(),
    "api-errors": Open(),
    "^api/": Open(),
    "health-live": Open(),
    "health-ready": Open(),
    "metrics": Open(),
}

# Own addresses through which another merchant's rows might be reached: the attacker's ids in the address.
REACHES: dict[str, Case] = {
    "api-item-correct": Case(
        {"id": "item"}, attacks=(("POST", {"product_id": "{product}"}), ("POST", {"sku": "{sku}"}))
    ),
    "api-item-explanation": Case({"id": "item"}, queries=({"product_id": "{product}"},)),
    "api-product": Case({"id": "product"}, attacks=(("PATCH", {"merchant": "{merchant}", "id": "{product}"}),)),
    "api-webhook-endpoint": Case({"id": "endpoint"}, attacks=(("PATCH", {"merchant": "{merchant}"}),)),
    "admin:catalog_item_correct": Case({"item_id": "item"}, attacks=(("POST", {"product": "{product}"}),), form=True),
    "admin:catalog_item_products": Case({"item_id": "item"}, queries=({"q": "{mark}"}, {"term": "{mark}"})),
    "admin:catalog_product_change": Case(
        {"object_id": "product"},
        attacks=(("POST", {"merchant": "{merchant}", "sku": "{sku}", "title": "T"}),),
        form=True,
    ),
}

WEB: dict[str, Case] = {
    "search": Mine(queries=({"merchant": "{slug}"}, {"search": "{token}"})),
    "search-submit": Mine(
        ("POST", {"merchant": "{slug}", "words": "{mark}"}),
        ("POST", {"merchant": "{own_slug}", "words": "mug", "again": "{token}"}),
        ("POST", {"merchant": "{own_slug}", "words": "mug", "like": "{product}"}),
        form=True,
    ),
    "search-poll": Theirs(token="token"),
    "search-events": Theirs(token="token"),
    "search-why": Theirs(token="token", product_id="product"),
    "set-language": Open(),
    "widget": Open(),
    "photo": Theirs(photo_id="photo", owner=False, form=True),
    "job-photo": Theirs(job_id="job", owner=False, form=True),
    "photo-heat": Theirs(photo_id="photo", owner=False, form=True),
    "job-photo-heat": Theirs(job_id="job", owner=False, form=True),
}

AUTOCOMPLETED = (
    ("photo", "product"),
    ("product", "merchant"),
    ("membership", "user"),
    ("membership", "merchant"),
    ("item", "product"),
    ("apikey", "merchant"),
)
ADMIN: dict[str, Case] = {
    "admin:index": Mine(),
    "admin:search": Mine(queries=({"s": "{mark}"}, {"s": "{sku}"}, {"s": "{mark}", "extended": "1"})),
    "admin:login": Mine(("POST", {"username": "{mark}", "password": "x"}), form=True),
    "admin:logout": Mine(),
    "admin:password_change": Mine(),
    "admin:password_change_done": Mine(),
    "admin:autocomplete": Mine(
        queries=tuple(
            {"app_label": "catalog", "model_name": model, "field_name": name, "term": "{mark}"}
            for model, name in AUTOCOMPLETED
        )
    ),
    "admin:jsi18n": Open(),
    "admin:view_on_site": Open(),
    "admin:app_list": Mine(app_label="app"),
    "admin:(?P<url>.*)$": Open(),
    "admin:auth_user_password_change": Theirs(id="user", owner=False),
    "admin:catalog_job_explanation": Theirs(job_id="search", product_id="product"),
    "admin:catalog_photo_retry": Theirs(photo_id="photo", post={}, form=True),
    "admin:catalog_item_accept": Theirs(item_id="item", post={}, form=True),
    "admin:catalog_item_correct": Theirs(item_id="item", post={"product": "{product}"}, form=True),
    "admin:catalog_item_reject": Theirs(item_id="item", post={}, form=True),
    "admin:catalog_item_products": Theirs(item_id="item", queries=({"q": "{mark}"},)),
    "admin:catalog_item_undo": Theirs(item_id="decided", post={}, form=True),
    "admin:catalog_item_queue": Mine(queries=({"merchant": "{slug}"},)),
    "admin:catalog_item_assign": Mine(
        ("POST", {"merchant": "{slug}", "reviewer": "", "count": "9"}),
        ("POST", {"merchant": "{own_slug}", "reviewer": "{slug}-manager", "count": "9"}),
        form=True,
    ),
    "admin:catalog_item_decisions": Theirs(merchant_id="merchant", kind="jsonl"),
    "admin:catalog_item_desk": Mine(queries=({"merchant": "{slug}"}, {"upload": "{upload}"})),
    "admin:catalog_item_desk_next": Mine(
        ("POST", {"desk": DESK, "count": 20, "holding": ["{item}"]}), ("POST", {"desk": DESK, "skipped": ["{item}"]})
    ),
    "admin:catalog_item_desk_decide": Mine(
        ("POST", decided_at_desk("accept", "{item}")),
        ("POST", decided_at_desk("reject", "{item}")),
        ("POST", decided_at_desk("correct", "{item}", product="{product}")),
        ("POST", decided_at_desk("correct", "{own_item}", product="{product}")),
        ("POST", decided_at_desk("correct", "{own_item}", same_as="{decided}")),
        ("POST", decided_at_desk("undo", "{decided}", undoes="{decision}")),
        ("POST", decided_at_desk("undo", "{own_decided}", undoes="{decision}")),
        ("POST", decided_at_desk("accept", "{decided}", product="{product}")),
    ),
    "admin:catalog_item_desk_claim": Mine(("POST", {"desk": DESK, "items": ["{item}"]})),
    "admin:catalog_item_desk_release": Mine(("POST", {"desk": DESK, "items": ["{item}"]})),
    "admin:catalog_item_desk_keys": Mine(("POST", {"desk": DESK, "keys": {"accept": "x"}, "user": "{user}"})),
    "admin:catalog_item_desk_products": Theirs(item_id="item", queries=({"words": "{mark}"},)),
    "admin:catalog_item_desk_categories": Theirs(item_id="item"),
    "admin:catalog_item_desk_heat": Theirs(item_id="item", owner=False),  # without a worker it is refused to all
    "admin:catalog_item_explanation": Theirs(item_id="item", product_id="product"),
    "admin:catalog_upload_progress": Theirs(upload_id="upload"),
    "admin:catalog_upload_bad-rows": Theirs(upload_id="upload"),
    "admin:catalog_upload_cancel": Theirs(upload_id="upload", post={}, form=True),
    "admin:catalog_webhookendpoint_test": Theirs(endpoint_id="endpoint", post={}, form=True),
    "admin:catalog_webhookendpoint_rotate": Theirs(endpoint_id="endpoint", post={}, form=True),
    "admin:catalog_webhookendpoint_switch": Theirs(endpoint_id="endpoint", post={}, form=True),
    "admin:catalog_webhookdelivery_replay": Theirs(delivery_id="delivery", post={}, form=True),
}

BUNDLE_PAGES = ("now", "shadow", "compare", "promote", "rollback", "retire")

# The rows of ``Tenant.rows`` behind the pages that Django's admin makes for every model.
ADMIN_ROWS = {
    "user": "user",
    "merchant": "merchant",
    "product": "product",
    "photo": "photo",
    "job": "job",
    "item": "item",
    "decision": "decision",
    "opinion": "opinion",
    "threshold": "threshold",
    "synonyms": "synonyms",
    "upload": "upload",
    "apikey": "apikey",
    "webhookendpoint": "endpoint",
    "webhookdelivery": "delivery",
}


def admin_pages() -> dict[str, Case]:
    """The pages of each model: its list with every action and filter, adding, changing, deleting, its history."""
    cases: dict[str, Case] = {}
    for model, registered in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        row = ADMIN_ROWS.get(str(model._meta.model_name))
        if model is Bundle:  # the operator's, of no merchant
            pages = ("changelist", "add", "change", "delete", "history", *BUNDLE_PAGES)
            cases |= {f"{name}_{page}": Open() for page in pages}
            cases["admin:catalog/bundle/<path:object_id>/"] = Open()
            continue
        if row is None:
            continue  # its addresses are then named as missing
        actions = (*(str(action) for action in registered.actions or ()), "delete_selected")
        chosen = tuple(
            ("POST", {"action": action, "_selected_action": f"{{{row}}}", "post": "yes"}) for action in actions
        )
        filters = (
            {"merchant__id__exact": "{merchant}"},
            {"q": "{mark}"},
            {"product__id__exact": "{product}"},
            {"all": ""},
        )
        people = model in (User, Group)
        cases[f"{name}_changelist"] = Case(attacks=chosen, queries=filters, form=True)
        new = {"merchant": "{merchant}", "sku": "N-9", "title": "N", "name": "N", "url": "https://x.test/"}
        cases[f"{name}_add"] = Case(attacks=(("POST", new),), queries=({"merchant": "{merchant}"},), form=True)
        form = {"merchant": "{own_merchant}", "title": "Taken", "name": "Taken", "sku": "TAKEN"}
        cases[f"{name}_change"] = Theirs(object_id=row, post=form, form=True, owner=not people)
        cases[f"{name}_delete"] = Theirs(object_id=row, post={"post": "yes"}, form=True, owner=False)
        cases[f"{name}_history"] = Theirs(object_id=row, owner=not people)
        # The old address of a row leads to its page, whatever the row.
        cases[f"admin:{model._meta.app_label}/{model._meta.model_name}/<path:object_id>/"] = Open()
    return cases
