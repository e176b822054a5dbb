"""Answers that are made while they are sent, in flat memory, whichever way the site is served.

Called by views whose body is larger than anybody wants to hold. Under ASGI, Django would gather a plain iterator
whole before it sends the first byte; so there it gets an asynchronous one, whose pieces are made in the request's
own thread.
"""

from collections.abc import AsyncIterator, Generator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from rest_framework.request import Request


def streamed(
    request: Request | HttpRequest, blocks: Generator[bytes, None, None], **options: Any
) -> StreamingHttpResponse:
    """A response whose body is these blocks; ``options`` are those of the response."""
    asked = request._request if isinstance(request, Request) else request
    content = _awaited(blocks) if isinstance(asked, ASGIRequest) else blocks
    return StreamingHttpResponse(content, **options)


async def _awaited(blocks: Generator[bytes, None, None]) -> AsyncIterator[bytes]:
    try:
        while (block := await sync_to_async(lambda: next(blocks, None))()) is not None:
            yield block
    finally:
        await sync_to_async(blocks.close)()
