"""The ASGI entry that uvicorn serves.

Comes after the server has a request's head; ``config.bodies`` judges its size, then all that answers it, middlewares
and view, runs in one thread (``config.threads``). Only waiting is done on the event loop: for what an answer streams
(``catalog.api.events``), and before an answer that is held (``catalog.api.held``).
"""

import os
import resource
from typing import cast

import django
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_started
from django.db import close_old_connections, reset_queries
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch
from django.views.decorators.csrf import csrf_exempt

FILES = 65_536  # every client that waits has one; shells give 1,024, and the system lets a process have more

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

from catalog.api.held import Held, HoldableRequest  # noqa: E402 - they need Django set up
from config.bodies import BodyLimit  # noqa: E402
from config.threads import RequestThreads  # noqa: E402


class OneThread(ASGIHandler):
    """Enters a request's thread once.

    Django's own goes back to the event loop between one middleware and the next, and again before the view: some
    twenty changes of threads for a chain that is synchronous throughout.
    """

    request_class = HoldableRequest

    def load_middleware(self, is_async: bool = False) -> None:
        """The chain as a server of threads has it."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """The whole chain in the request's thread; once more, in another, for a request that waited between the two."""
        answered = sync_to_async(self.get_response, thread_sensitive=True)
        try:
            return await answered(request)
        except Held as thrown:
            held = thrown
        await held.over()
        cast(HoldableRequest, request).held = held
        return await answered(request)

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """The view, or what is left of it. Nothing is left to be judged: who asks was let in before the wait."""
        held = cast(HoldableRequest, request).held
        return ResolverMatch(csrf_exempt(lambda _: held.rest()), (), {}) if held else super().resolve_request(request)


def may_open(files: int) -> None:
    """Let this process have so many files open, or as many as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files if hard == resource.RLIM_INFINITY else min(files, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


may_open(FILES)
for each in (reset_queries, close_old_connections):  # every request would have a thread for these alone
    request_started.disconnect(each)
application = RequestThreads(BodyLimit(OneThread()))
