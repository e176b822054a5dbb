"""What a call asks of the wire: a call is a generator that yields these steps and never does input or output itself.

``_flows`` and ``resources`` write calls; ``_client`` takes the steps, with blocking or with asynchronous httpx. So
retries, waiting, pages and event streams are written once for both.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """One HTTP request below ``/api/v1``. ``wait``: seconds that Vitrine may say nothing, beyond the ``timeout``."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] = field(default_factory=dict)
    files: list[tuple[str, tuple[str, Any]]] = field(default_factory=list)
    content: bytes | None = None
    timeout: float | None = None  # the client's own where it is None
    wait: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What came back; ``body`` is empty where the answer was opened to be read piece by piece."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Send:
    """Send the request and read the whole ``Answer``."""

    request: Request


@dataclass(frozen=True)
class Open:
    """Send the request and leave a good answer open for ``Next``; any other is read whole."""

    request: Request


@dataclass(frozen=True)
class Next:
    """The next bytes of the open answer, ``None`` at its end."""


@dataclass(frozen=True)
class Sleep:
    """Wait."""

    seconds: float


@dataclass(frozen=True)
class Give(Generic[T]):
    """Hand this to whoever iterates over the call."""

    value: T


Step = Send | Open | Next | Sleep
Flow = Generator[Step, Any, T]  # a call with one result
Stream = Generator[Step | Give[T], Any, None]  # a call that gives one thing after the other


@dataclass(frozen=True)
class Outcome:
    """What a step came to: its value, or the failure that the call may handle."""

    value: Any = None
    error: Exception | None = None


def advance(stream: Stream[T], outcome: Outcome) -> Step | Give[T] | None:
    """Tell a call what its last step came to; its next step, or ``None`` when it is over."""
    try:
        return stream.throw(outcome.error) if outcome.error else stream.send(outcome.value)
    except StopIteration:
        return None


def giving(flow: Flow[T]) -> Stream[T]:
    """A call with one result as a stream of one."""
    yield Give((yield from flow))
