"""The addresses: the search page, the admin, the API and its documentation, health."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("", include("catalog.web.urls")),
    path("", include("catalog.api.urls")),
]
