"""Answers that are made while they are sent, in flat memory, whichever way the site is served.

Called by views whose body is larger than anybody wants to hold. Under ASGI, Django would gather a plain iterator
whole before it sends the first byte; so there it gets an asynchronous one, each piece of which is made in a thread of
its own (``config.threads``), one after the other.
"""

from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, TypeAlias

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request

Blocks: TypeAlias = Generator[bytes, None, None]


def file_streamed(
    request: Request | HttpRequest, make: Callable[[], Blocks], *, name: str, content_type: str
) -> HttpResponseBase:
    """A response that is saved as a file of this name, made block by block while it is sent; for HEAD not at all."""
    options: dict[str, Any] = {
        "content_type": content_type,
        "headers": {"Content-Disposition": f'attachment; filename="{name}"'},
    }
    if request.method == "HEAD":  # only wants to know whether it may
        return HttpResponse(**options)
    asked = request._request if isinstance(request, Request) else request
    blocks = make()
    return StreamingHttpResponse(_awaited(blocks) if isinstance(asked, ASGIRequest) else blocks, **options)


async def _awaited(blocks: Blocks) -> AsyncIterator[bytes]:
    try:
        while (block := await sync_to_async(lambda: next(blocks, None))()) is not None:
            yield block
    finally:
        await sync_to_async(blocks.close)()
