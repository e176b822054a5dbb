"""The ASGI entry that uvicorn serves."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django_application = get_asgi_application()

from config.bodies import BodyLimit  # noqa: E402 - it needs Django set up

application = BodyLimit(django_application)
