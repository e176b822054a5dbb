"""The review desk: one page that never waits, and the addresses that it talks to in the background.

Comes after items were recognised; every address checks who asks and calls one service. The page is its own, without
unfold's scripts, so that its policy allows nothing inline.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar
from uuid import UUID, uuid4

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST, require_safe
from pydantic import ValidationError

from catalog.admin.desk_items import items_shown, products_shown
from catalog.admin.desk_messages import Body, DecideBody, ItemsBody, KeysBody, NextBody, OrderBody
from catalog.admin.explanations import AWAY, WAIT_SECONDS
from catalog.admin.queue_form import AGES, WHOSE, filters_of
from catalog.admin.scope import may_see, person_of
from catalog.models import Item, Lane, Verdict
from catalog.selectors.explanation import item_comparison
from catalog.selectors.product import categories_of, product_list, products_matching
from catalog.selectors.queue import merchants_reviewed, queue_for
from catalog.selectors.queue_figures import queue_choices
from catalog.services.errors import Refused
from catalog.services.explanation import explanation_find
from catalog.services.reviewing.claims import claims_release, items_claim, items_claim_these, items_held
from catalog.services.reviewing.desk import CarriedOut, order_carry_out
from catalog.services.reviewing.keys import DEFAULTS, desk_keys, desk_keys_choose
from catalog.services.reviewing.opinions import opinions_open
from catalog.web.explained import explained
from config.env import load_env
from workers.client import PhotoError, Unavailable

FOUND_SHOWN = 9
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
Message = TypeVar("Message", bound=Body)


def _as_json(view: Callable[..., Any]) -> Callable[..., JsonResponse]:
    """What is refused becomes a body with its stable code; whoever reviews nothing is refused everything."""

    @wraps(view)
    def wrapped(self: "Desk", request: HttpRequest, *args: Any, **kwargs: Any) -> JsonResponse:
        if not may_see(request):
            return JsonResponse(_problem(Refused("review_forbidden", "You review for no shop.")), status=403)
        try:
            return JsonResponse(view(self, request, *args, **kwargs))
        except Refused as error:
            return JsonResponse(_problem(error), status=error.status)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            return JsonResponse(_problem(Refused("invalid", faults)), status=422)

    return wrapped


class Desk:
    """The page and its addresses; ``log`` writes into Django's own log of the admin."""

    def __init__(self, site: admin.AdminSite, log: Callable[[HttpRequest, Item, str], Any]) -> None:
        self._site, self._log = site, log

    def urls(self) -> list[URLPattern]:
        """All of them below ``desk/``."""
        views: list[tuple[str, str, Callable[..., HttpResponse]]] = [
            ("desk/", "desk", self.page),
            ("desk/next/", "desk_next", self.next_items),
            ("desk/decide/", "desk_decide", self.decide),
            ("desk/claim/", "desk_claim", self.claim),
            ("desk/release/", "desk_release", self.release),
            ("desk/keys/", "desk_keys", self.keys),
            ("desk/<uuid:item_id>/products/", "desk_products", self.products),
            ("desk/<uuid:item_id>/categories/", "desk_categories", self.categories),
            ("desk/<uuid:item_id>/heat/", "desk_heat", self.heat),
        ]
        return [path(route, self._site.admin_view(view), name=f"catalog_item_{name}") for route, name, view in views]

    @method_decorator([require_safe, ensure_csrf_cookie])
    def page(self, request: HttpRequest) -> HttpResponse:
        """The desk itself. Each page that is opened is a desk of its own, with its own claims."""
        if not may_see(request):
            raise PermissionDenied
        reviewer = person_of(request)
        context = {
            "title": "Review desk",
            "desk": uuid4(),
            "keys": desk_keys(reviewer),
            "defaults": DEFAULTS,
            "filters": filters_of(request.GET),
            "choices": queue_choices(reviewer=reviewer),
            "query": request.GET.urlencode(),
            "lanes": Lane.choices,
            "verdicts": Verdict.choices,
            "ages": AGES,
            "whose": WHOSE,
            "claim_seconds": load_env().review_claim_seconds,
        }
        response = render(request, "admin/catalog/item/desk.html", context)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    @method_decorator(require_POST)
    @_as_json
    def next_items(self, request: HttpRequest) -> dict[str, Any]:
        """More items for this desk, claimed and complete; it also keeps the claims on those that it has."""
        body, reviewer = _read(request, NextBody), person_of(request)
        filters = filters_of(request.GET)
        if body.skipped:
            claims_release(reviewer=reviewer, desk=body.desk, item_ids=body.skipped)
        items = items_claim(
            reviewer=reviewer,
            desk=body.desk,
            filters=filters,
            count=body.count,
            holding=body.holding,
            without=body.skipped,
        )
        mine = items_held(reviewer=reviewer, desk=body.desk, among=body.holding)
        asked = opinions_open(desk=body.desk, reviewer=reviewer).count()
        return {
            "items": items_shown(items=items, reviewer=reviewer),
            "lost": [str(each) for each in set(body.holding).difference(mine)],
            "waiting": queue_for(reviewer=reviewer, filters=filters).count() + asked,
        }

    @method_decorator(require_POST)
    @_as_json
    def decide(self, request: HttpRequest) -> dict[str, Any]:
        """Decisions in their order; one that is refused stands in nobody's way."""
        body = _read(request, DecideBody)
        return {"decisions": [self._carry_out(request, body.desk, each) for each in body.decisions]}

    def _carry_out(self, request: HttpRequest, desk: UUID, asked: OrderBody) -> dict[str, Any]:
        try:
            done = order_carry_out(order=asked.order(), reviewer=person_of(request), desk=desk)
        except Refused as error:
            return {"id": str(asked.id), "item": str(asked.item), **_problem(error)}
        decision = done.decision
        if decision and not done.repeated:
            self._log(request, decision.item, f"{decision.get_action_display()}: {decision.product or 'no product'}")
        return {"id": str(asked.id), "item": str(asked.item), "code": "", **_told(done)}

    @method_decorator(require_POST)
    @_as_json
    def claim(self, request: HttpRequest) -> dict[str, Any]:
        """These items too, for a decision on all of them; returns those that nobody else has."""
        body = _read(request, ItemsBody)
        mine = items_claim_these(reviewer=person_of(request), desk=body.desk, item_ids=body.items or [])
        return {"items": [str(each) for each in mine]}

    @method_decorator(require_POST)
    @_as_json
    def release(self, request: HttpRequest) -> dict[str, Any]:
        """The page closes, or gives some items back."""
        body = _read(request, ItemsBody)
        return {"released": claims_release(reviewer=person_of(request), desk=body.desk, item_ids=body.items)}

    @method_decorator(require_POST)
    @_as_json
    def keys(self, request: HttpRequest) -> dict[str, Any]:
        """Other keys from now on, on every machine that this person reviews at."""
        return {"keys": desk_keys_choose(user=person_of(request), keys=_read(request, KeysBody).keys)}

    @method_decorator(require_safe)
    @_as_json
    def products(self, request: HttpRequest, item_id: UUID) -> dict[str, Any]:
        """Products of the item's shop in whose sku, title or brand the words occur."""
        item, words = self._item(request, item_id), request.GET.get("words", "").strip()
        found = products_matching(products=product_list(merchant=item.merchant), words=words)
        return {"products": products_shown(found.order_by("title", "pk"))[:FOUND_SHOWN] if words else []}

    @method_decorator(require_safe)
    @_as_json
    def categories(self, request: HttpRequest, item_id: UUID) -> dict[str, Any]:
        """The categories of the item's shop, which a new product may be in."""
        return {"categories": categories_of(merchant=self._item(request, item_id).merchant)}

    @method_decorator(require_safe)
    @_as_json
    def heat(self, request: HttpRequest, item_id: UUID) -> dict[str, Any]:
        """Where the network looked when it named its first candidate; ``pending`` while a worker is at it."""
        comparison = item_comparison(item=self._item(request, item_id))
        try:
            found = explanation_find(comparison=comparison, seconds=WAIT_SECONDS)
        except (PhotoError, Unavailable) as error:
            raise Refused(error.code, AWAY.get(error.code, "The photo cannot be looked at now."), status=503) from error
        if found is None:
            return {"pending": True}
        why = explained(comparison, found)
        return {"pending": False, "overlay": why.query.overlay if why.query else "", "sentence": why.sentence}

    def _item(self, request: HttpRequest, item_id: UUID) -> Item:
        mine = Item.objects.filter(merchant__in=merchants_reviewed(person_of(request)))
        return get_object_or_404(mine.select_related("merchant", "photo", "job"), pk=item_id)


def _read(request: HttpRequest, kind: type[Message]) -> Message:
    """The message: JSON, or the one field of the form that a closing page can still send.

    A page stays open while another person logs in in the same browser: what the first one decided is not the second's.
    """
    text = request.POST.get("message") if request.POST else request.body
    body = kind.model_validate_json(text or b"")
    if body.reviewer not in ("", person_of(request).get_username()):
        raise Refused("other_reviewer", "Somebody else is logged in in this browser by now.", status=403)
    return body


def _problem(error: Refused) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "problems": error.problems}


def _told(done: CarriedOut) -> dict[str, Any]:
    product = done.product
    return {
        "state": done.state,
        "reference": done.reference,
        "product": {"sku": product.sku, "title": product.title} if product else None,
    }
