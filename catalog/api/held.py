"""Waits without a thread: the view is left, the event loop waits, then what is left of the view has a new thread.

A view is synchronous, and so are the middlewares around it; whatever waits among them keeps a thread. So a view that
has to wait throws ``Held`` through all of them, up to ``config.asgi``. That waits, then it enters the middlewares once
more with ``Held.rest`` in the view's place: they see one answer. Key, budget and body were looked at before.

A server of threads (WSGI) has no event loop: there a wait keeps its thread, as in ``services.notify``.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from catalog.api.lookers import look_aside, looked
from catalog.services.listen import listening
from catalog.services.notify import LOOK_SECONDS, Wait, wait_here

T = TypeVar("T")


class Held(BaseException):  # no ``Exception``: for those on the way that answer these, there is nothing to answer yet
    """A request that waits, and the ``rest`` of its view.

    Whoever has something to do after the view, with its answer, catches this, wraps ``rest`` in that and raises it
    again. ``beat`` is called every ``every`` seconds meanwhile, ``given_up`` when the client hung up before the end.
    """

    def __init__(self, wait: Wait, rest: Callable[[], Any]) -> None:
        super().__init__(wait.channel)
        self.rest = partial(self._go_on, rest)
        self.beat: Callable[[], object] | None = None
        self.every = 0.0
        self.given_up: Callable[[], object] | None = None
        self._wait = wait
        self._fault: Exception | None = None

    async def over(self) -> None:
        """Wait, on no thread. What goes wrong meanwhile is raised by ``rest``, where somebody answers it."""
        self.__traceback__ = None  # it would keep all that the view held
        try:
            await self._over()
        except asyncio.CancelledError:
            if self.given_up:
                look_aside(self.given_up)
            raise
        except Exception as error:
            self._fault = error

    async def _over(self) -> None:
        """The subscription begins before the first look: nothing is announced between the two."""
        beaten = time.monotonic()
        until = beaten + self._wait.seconds
        with listening(self._wait.channel) as listener:
            while (left := until - time.monotonic()) > 0:
                await listener.hear(min(left, LOOK_SECONDS))
                if not await looked(self._wait.is_owed):
                    return
                if self.beat and time.monotonic() - beaten >= self.every:
                    beaten = time.monotonic()
                    await looked(self.beat)

    def _go_on(self, rest: Callable[[], Any]) -> Any:
        if self._fault:
            raise self._fault
        return rest()


class HoldableRequest(ASGIRequest):
    """A request whose server waits when its view throws ``Held``, and notes here that it did."""

    held: Held | None = None


def after(wait: Wait, request: HttpRequest, rest: Callable[[], T]) -> T:
    """What ``rest`` gives when the wait is over."""
    if isinstance(request, HoldableRequest):
        raise Held(wait, rest)
    wait_here(wait)
    return rest()
