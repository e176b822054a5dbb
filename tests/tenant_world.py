"""Two merchants with one row of everything: ``theirs`` is attacked, ``mine`` attacks. No fixtures here.

Whoever adds a table that belongs to a merchant adds a row of it in ``_fill``; a test finds what lacks one. What
belongs to ``theirs`` is found by following the foreign keys of every model, so nothing has to be listed for that.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Field, ForeignKey, Model
from django.test import Client

from catalog.models import (
    ComparedPhoto,
    Comparison,
    ExamplePhoto,
    IdempotencyRecord,
    Membership,
    Merchant,
    Opinion,
    Role,
    ShadowPhoto,
    Threshold,
    Upload,
    UploadRow,
    UploadState,
    WebhookAttempt,
)
from catalog.services.job import search_job_create
from catalog.services.result import search_result_store
from catalog.services.review import item_reject
from catalog.services.synonyms import synonyms_create
from catalog.services.webhooks.endpoint import endpoint_create, endpoint_test
from catalog.web.access import BROWSER, job_token
from tests.api_support import Shop, candidate, jpeg, search_result
from workers.contract import SearchFilters

Rows = dict[str, dict[Any, dict[str, Any]]]


@dataclass
class Tenant:
    """A merchant, its people's browsers, its keys, and ``rows``: one of each thing by the name that cases use."""

    shop: Shop
    mark: str  # stands in every text of this merchant and nowhere else
    user: User
    browser: Client = field(default_factory=Client)
    rows: dict[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, str]:
        """What ``{product}`` and the like stand for in a case."""
        ids = {name: str(row.pk) if isinstance(row, Model) else str(row) for name, row in self.rows.items()}
        return ids | {"mark": self.mark, "slug": self.shop.merchant.slug, "sku": self.rows["product"].sku}


def tenant(slug: str) -> Tenant:
    """Make one and fill it."""
    shop = Shop(slug)
    mark = f"Mark{slug}"
    shop.merchant.name = mark
    shop.merchant.save()
    user = User.objects.create(username=f"{slug}-manager", is_staff=True, first_name=mark)
    Membership.objects.create(user=user, merchant=shop.merchant, role=Role.MANAGER)
    made = Tenant(shop, mark, user)
    made.browser.force_login(user)
    made.rows = _fill(made)
    return made


def _fill(it: Tenant) -> dict[str, Any]:
    shop, merchant, mark = it.shop, it.shop.merchant, it.mark
    product = shop.product(sku=f"{mark}-1", title=f"{mark} mug", brand=f"{mark} brand", category=f"{mark}/Mugs")
    photo = shop.photo(product)
    recognition = shop.recognition()
    item = shop.item(product, job=recognition)
    decided = shop.item(product, job=recognition)
    decision = item_reject(item=decided, reviewer=it.user)
    search = search_job_create(
        merchant=merchant,
        photo=jpeg((1, 2, len(mark))),
        words=f"{mark} words",
        filters=SearchFilters(),
        region=None,
        limit=10,
    )
    search_result_store(result=search_result(search, candidate(product, photo)))
    search.refresh_from_db()
    upload = Upload.objects.create(merchant=merchant, name=f"{mark}.zip", source="x", state=UploadState.DONE)
    row = UploadRow.objects.create(upload=upload, number=2, sku=f"{mark}-row", verdict="refused")
    comparison = Comparison.objects.create(live="test-1", shadow="test-2", created_by=mark)
    endpoint, _ = endpoint_create(
        merchant=merchant, url=f"https://{mark}.test/", events=["job.finished"], description=mark
    )
    delivery = endpoint_test(endpoint=endpoint)
    return {
        "merchant": merchant,
        "user": it.user,
        "apikey": shop.key,
        "product": product,
        "photo": photo,
        "recognition": recognition,
        "item": item,
        "decided": decided,
        "decision": decision,
        "opinion": Opinion.objects.create(
            item=decided, reviewer=it.user, about=decision, kind="gold", desk=decided.pk, action="reject", agrees=True
        ),
        "threshold": Threshold.objects.create(merchant=merchant, category=f"{mark}/Mugs", bundle_version="test-1"),
        "search": search,
        "job": search,
        "token": _token(it.browser, search),
        "upload": upload,
        "row": row,
        "endpoint": endpoint,
        "delivery": delivery,
        "attempt": WebhookAttempt.objects.create(
            delivery=delivery, number=1, at=delivery.created_at, seconds=0.1, response=mark
        ),
        "shadow": ShadowPhoto.objects.create(photo=photo),
        "compared": ComparedPhoto.objects.create(
            comparison=comparison, photo=photo, product=product, bundle_version="test-1"
        ),
        "example": ExamplePhoto.objects.create(job=search, like=True, key=search.key),
        "once": IdempotencyRecord.objects.create(merchant=merchant, key=mark, fingerprint="f" * 64, status=201),
        "synonyms": synonyms_create(merchant=merchant, words=[f"{mark} a", f"{mark} b"]),
    }


def _token(browser: Client, job: Any) -> str:
    """The address of a search on the page, as this browser got it."""
    session = browser.session
    session[BROWSER] = f"browser of {job.merchant_id}"
    session.save()
    return job_token(SimpleNamespace(session=session), job)  # type: ignore[arg-type]


def belongings(it: Tenant) -> Rows:
    """Every row that leads to this merchant by foreign keys, over any number of steps, with all its values as the
    database gives them: some hundred reads for each case of the walk, which take Django longer to build than to make.
    """
    models = [model for model in apps.get_models() if model._meta.app_label in ("catalog", "auth")]
    new = {type(row): _rows(type(row), row._meta.pk, {_stored(row)}) for row in (it.shop.merchant, it.user)}
    found: dict[type[Model], dict[Any, dict[str, Any]]] = {}
    while new:
        for model, rows in new.items():
            found.setdefault(model, {}).update(rows)
        below: dict[type[Model], dict[Any, dict[str, Any]]] = {}
        for model in models:
            for key in (each for each in model._meta.fields if isinstance(each, ForeignKey)):
                rows = _rows(model, key, new.get(key.related_model, {}).keys())
                below.setdefault(model, {}).update(
                    {pk: row for pk, row in rows.items() if pk not in found.get(model, {})}
                )
        new = {model: rows for model, rows in below.items() if rows}
    return {model.__name__: rows for model, rows in found.items()}


def _stored(row: Model) -> Any:
    return row._meta.pk.get_db_prep_value(row.pk, connection)


def _rows(model: type[Model], field: Field, values: Collection[Any]) -> dict[Any, dict[str, Any]]:
    """The rows of a table whose column has one of these values, by their keys."""
    if not values:
        return {}
    name = connection.ops.quote_name
    columns = [each.column for each in model._meta.concrete_fields]
    told, one_of = ", ".join(map(name, columns)), ", ".join(["%s"] * len(values))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {told} FROM {name(model._meta.db_table)} WHERE {name(field.column)} IN ({one_of})", [*values]
        )
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return {row[model._meta.pk.column]: row for row in rows}


def owned_models() -> set[str]:
    """The names of the project's models whose rows lead to a merchant by foreign keys."""
    models = list(apps.get_app_config("catalog").get_models())
    found: set[type[Model]] = {Merchant}
    while more := {model for model in models if model not in found and _above(model) & found}:
        found |= more
    return {model.__name__ for model in found}


def _above(model: type[Model]) -> set[Any]:
    return {each.related_model for each in model._meta.fields if isinstance(each, ForeignKey)}
