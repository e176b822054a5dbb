"""The page "Bundles" of the admin: change the model by buttons, for the operator alone.

Before it: a bundle in a folder under ``VITRINE_BUNDLES``. Each button calls one service of ``services.bundle`` and is
noted in the log of the admin. The part that moves asks for itself again every few seconds.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST, require_safe
from unfold.admin import ModelAdmin

from catalog.admin.look import VERDICT_COLOURS
from catalog.admin.refusals import refusal_text
from catalog.admin.scope import person_of
from catalog.models import Bundle, BundleState
from catalog.selectors.bundle import (
    Opinion,
    Pair,
    Report,
    bundle_in,
    comparison_latest,
    comparison_report,
    shadow_failures,
    shadow_progress,
)
from catalog.services.bundle import bundle_compare, bundle_promote, bundle_retire, bundle_rollback, bundle_shadow
from catalog.services.errors import Refused
from catalog.web.cards import percent
from catalog.web.photos import photo_address
from config.env import load_env
from workers.client import Unavailable, live_workers

CHANGES_SHOWN = 60
FACTS = "bundle.json"


@admin.register(Bundle)
class BundleAdmin(ModelAdmin):
    """One page in place of a list; rows are written by services alone."""

    def get_urls(self) -> list[URLPattern]:
        """The buttons, and the part that moves."""
        buttons = {
            "shadow": lambda by, request: bundle_shadow(folder=_folder(request.POST.get("folder", "")), by=by),
            "compare": lambda by, request: bundle_compare(by=by),
            "promote": lambda by, request: bundle_promote(
                version=request.POST.get("version", ""), by=by, incomplete="incomplete" in request.POST
            ),
            "rollback": lambda by, request: bundle_rollback(by=by),
            "retire": lambda by, request: bundle_retire(version=request.POST.get("version", ""), by=by),
        }
        return [
            path("now/", self.admin_site.admin_view(self.now_view), name="catalog_bundle_now"),
            *(
                path(f"{name}/", self.admin_site.admin_view(self._button(name, verb)), name=f"catalog_bundle_{name}")
                for name, verb in buttons.items()
            ),
            *super().get_urls(),
        ]

    def has_module_permission(self, request: HttpRequest) -> bool:
        """The operator's."""
        return bool(request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The operator's."""
        return bool(request.user.is_superuser)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Services make them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Services change them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What was live once stays known."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The page."""
        self._check(request)
        context = {
            **self.admin_site.each_context(request),
            "title": "Bundles",
            "opts": self.opts,
            **_now(),
            "folders": _folders(),
            "searched": load_env().bundles,
            "history": LogEntry.objects.filter(content_type__model="bundle").select_related("user")[:8],
        }
        return TemplateResponse(request, "admin/catalog/bundle/page.html", context)

    @method_decorator(require_safe)
    def now_view(self, request: HttpRequest) -> HttpResponse:
        """The part of the page that moves."""
        self._check(request)
        return render(request, "admin/catalog/bundle/now.html", _now())

    def _button(self, name: str, verb: Callable[[str, HttpRequest], Any]) -> Callable[..., HttpResponse]:
        @require_POST
        def press(request: HttpRequest) -> HttpResponse:
            self._check(request)
            try:
                verb(request.user.get_username(), request)
            except (Refused, Unavailable) as error:
                messages.error(request, refusal_text(error))
            else:
                self._note(request, name)
            return HttpResponseRedirect(reverse("admin:catalog_bundle_changelist"))

        return press

    def _note(self, request: HttpRequest, name: str) -> None:
        """What was done, by whom, about which bundle; shown on the page and in the person's history."""
        about = bundle_in(BundleState.SHADOW if name in ("shadow", "compare") else BundleState.LIVE)
        if about:
            LogEntry.objects.log_actions(
                person_of(request).pk, [about], CHANGE, change_message=DONE[name], single_object=True
            )
        messages.success(request, f"{DONE[name]}.")

    def _check(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied


DONE = {
    "shadow": "Put into the shadow",
    "compare": "Comparison started",
    "promote": "Promoted",
    "rollback": "Rolled back",
    "retire": "Shadow retired",
}


def _folder(name: str) -> Path:
    """A folder that the page offered. Raises ``Refused("bundle_unreadable")`` for any other."""
    if name not in _folders():
        raise Refused("bundle_unreadable", f"There is no bundle {name!r} where this installation looks for bundles.")
    return load_env().bundles / name


def _folders() -> list[str]:
    """Names of the folders that hold a bundle."""
    place = load_env().bundles
    return sorted(each.parent.name for each in place.glob(f"*/{FACTS}")) if place.is_dir() else []


def _now() -> dict[str, Any]:
    """How things stand: both bundles, the shadow's progress, who has loaded it, the newest comparison."""
    live, shadow = bundle_in(BundleState.LIVE), bundle_in(BundleState.SHADOW)
    try:
        cards = live_workers()
    except Unavailable:
        cards = []
    comparison = comparison_latest()
    report = comparison_report(comparison) if comparison else None
    progress = shadow_progress() if shadow else None
    waiting = [card for card in cards if shadow and not card.serves(shadow.version)]
    is_loaded = bool(shadow and cards and not waiting)
    return {
        "live": live,
        "served": sorted({card.bundle_version for card in cards}),
        "shadow": shadow,
        "progress": progress,
        "percent": round(100 * progress.part) if progress else 0,
        "workers": len(cards),
        "waiting": [(card.name, card.bundle_faults.get(shadow.version, "")) for card in waiting] if shadow else [],
        "may_promote": bool(is_loaded and progress and not progress.missing),
        "may_leave_out": bool(is_loaded and progress and progress.failed and not progress.waiting),
        "failures": shadow_failures() if progress and progress.failed else [],
        "report": report,
        "recalls": _recalls(report) if report else [],
        "changes": [_change(pair) for pair in report.changed[:CHANGES_SHOWN]] if report else [],
        "moving": bool(shadow and ((progress and progress.waiting) or waiting or (report and not report.is_finished))),
    }


def _recalls(report: Report) -> list[dict[str, str]]:
    names = {1: "Right product first"}
    return [
        {
            "name": names.get(among, f"Right product among {among}"),
            "live": f"{live:.1%}",
            "shadow": f"{shadow:.1%}",
            "change": f"{100 * (shadow - live):+.1f}",
            "tone": "done" if shadow > live else "failed" if shadow < live else "",
        }
        for among, live, shadow in report.recalls
    ]


def _change(pair: Pair) -> dict[str, Any]:
    return {
        "photo": photo_address(pair.photo.pk, size="thumb"),
        "name": pair.photo.name or str(pair.photo.pk),
        "merchant": pair.photo.merchant.name,
        "product": pair.product,
        "reviewed": pair.reviewed,
        "gain": pair.gain,
        "sides": [_side(pair, pair.live), _side(pair, pair.shadow)],
    }


def _side(pair: Pair, opinion: Opinion) -> dict[str, Any]:
    return {
        "verdict": opinion.verdict or "–",
        "colour": VERDICT_COLOURS.get(opinion.verdict, ""),
        "title": opinion.product.title if opinion.product else "nothing",
        "probability": percent(opinion.probability) if opinion.probability is not None else "",
        "right": opinion.finds(pair.product.pk, 1),
    }
