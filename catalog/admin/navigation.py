"""The admin's sidebar, in the order of a merchant's day; unfold asks for it on every page."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from catalog.admin.scope import may_manage, may_see


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups with the pages that this person may open."""
    sees, manages = may_see(request), may_manage(request)
    return [
        {"items": [_page("Today", "space_dashboard", "admin:index", True)]},
        {
            "title": "Catalogue",
            "items": [
                _page("Products", "sell", "admin:catalog_product_changelist", sees),
                _page("Photos", "photo_library", "admin:catalog_photo_changelist", sees),
                _page("Uploads", "upload", "admin:catalog_upload_changelist", sees),
                _page("Synonyms", "translate", "admin:catalog_synonyms_changelist", sees),
            ],
        },
        {
            "title": "Recognition",
            "items": [
                _page("Review desk", "keyboard", "admin:catalog_item_desk", sees),
                _page("Review queue", "stacks", "admin:catalog_item_queue", sees),
                _page("Items", "fact_check", "admin:catalog_item_changelist", sees, query="?state__exact=open"),
                _page("Jobs", "image_search", "admin:catalog_job_changelist", sees),
                _page("Decisions", "history", "admin:catalog_decision_changelist", sees),
                _page("Opinions", "balance", "admin:catalog_opinion_changelist", manages),
                _page("Thresholds", "tune", "admin:catalog_threshold_changelist", sees),
            ],
        },
        {
            "title": "Shop",
            "items": [
                _page("Merchants", "storefront", "admin:catalog_merchant_changelist", sees),
                _page("API keys", "key", "admin:catalog_apikey_changelist", manages),
                _page("Webhooks", "webhook", "admin:catalog_webhookendpoint_changelist", sees),
                _page("Webhook log", "receipt_long", "admin:catalog_webhookdelivery_changelist", sees),
            ],
        },
        {
            "title": "People",
            "items": [_page("Accounts", "group", "admin:auth_user_changelist", request.user.is_superuser)],
        },
        {
            "title": "Installation",
            "items": [
                _page("Bundles", "deployed_code", "admin:catalog_bundle_changelist", request.user.is_superuser),
            ],
        },
    ]


def _page(title: str, icon: str, name: str, allowed: bool, *, query: str = "") -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse(name) + query, "permission": lambda request: allowed}
