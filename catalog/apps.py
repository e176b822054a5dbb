"""Registers the app with Django."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """The catalogue, its jobs and its reviews."""

    name = "catalog"
    verbose_name = "Catalogue"
    default_auto_field = "django.db.models.BigAutoField"
