"""The ASGI entry that uvicorn serves.

Comes after the server has a request's head; ``config.bodies`` judges its size, then all that answers it, middlewares
and view, runs in one thread. Only what an answer streams runs on the event loop (``catalog.api.events``).
"""

import os

import django
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

from config.bodies import BodyLimit  # noqa: E402 - it needs Django set up


class OneThread(ASGIHandler):
    """Enters a request's thread once.

    Django's own goes back to the event loop between one middleware and the next, and again before the view: some
    twenty changes of threads for a chain that is synchronous throughout.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        """The chain as a server of threads has it."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """The whole chain in the request's thread."""
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)


application = BodyLimit(OneThread())
