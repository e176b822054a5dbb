"""The addresses: the search page, the admin, the API and its documentation, health."""

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
