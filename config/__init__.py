"""Wiring only: settings from the environment, Django, the coordinator's Celery app, addresses, the ASGI entry."""
