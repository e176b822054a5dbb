"""Makes one definition of a call serve both clients: it blocks on a ``Vitrine`` and is awaited on an ``AsyncVitrine``.

A resource is generic in its mode, ``Sync`` or ``Async``; its methods are generators (``_steps``) under ``@call`` or
``@stream``. Type checkers see the right signature for each mode, parameters included.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from vitrine._steps import Flow, Stream, giving

P = ParamSpec("P")
T = TypeVar("T")


class Sync:
    """Calls block."""


class Async:
    """Calls are awaited."""


Mode = TypeVar("Mode")  # Sync or Async


class Runner(Protocol):
    """Takes the steps of calls, see ``_client``."""

    retries: int

    def run(self, flow: Stream[Any], /) -> Any:
        """The one result."""

    def iterate(self, stream: Stream[Any], /) -> Any:
        """One thing after the other."""


class Resource(Generic[Mode]):
    """Something that has calls."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner


class call(Generic[P, T]):  # noqa: N801 - a decorator
    """A call with one result."""

    def __init__(self, flow: Callable[Concatenate[Any, P], Flow[T]]) -> None:
        self.flow = flow
        self.__doc__ = flow.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> call[P, T]: ...
    @overload
    def __get__(self, owner: Resource[Sync], kind: type | None = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, owner: Resource[Async], kind: type | None = None) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        """The method of this resource; of the class itself, what it was made of."""
        if owner is None:
            return self

        @wraps(self.flow)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return owner._runner.run(giving(self.flow(owner, *args, **kwargs)))

        return method


class stream(Generic[P, T]):  # noqa: N801 - a decorator
    """A call that gives one thing after the other. Nothing is sent before the first one is asked for."""

    def __init__(self, flow: Callable[Concatenate[Any, P], Stream[T]]) -> None:
        self.flow = flow
        self.__doc__ = flow.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> stream[P, T]: ...
    @overload
    def __get__(self, owner: Resource[Sync], kind: type | None = None) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, owner: Resource[Async], kind: type | None = None) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        """The method of this resource; of the class itself, what it was made of."""
        if owner is None:
            return self

        @wraps(self.flow)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return owner._runner.iterate(self.flow(owner, *args, **kwargs))

        return method
