"""One clock for machines whose clocks differ: Redis', which all of them can ask.

``client`` says in a message's headers until when it counts, by that clock; a worker translates it back into its own
when the message arrives. So a worker whose clock is wrong by minutes neither drops every chunk nor runs what is over.
"""

from collections.abc import Mapping
from typing import Any, cast

from redis import Redis

UNTIL = "vitrine_until"  # a message's header: seconds since 1970 on Redis' clock


def broker_time(server: Redis) -> float:
    """Seconds since 1970, as Redis counts them. Raises redis errors as they come."""
    seconds, microseconds = cast(tuple[int, int], server.time())  # its stubs cover the asynchronous client too
    return seconds + microseconds / 1e6


def counts_for(server: Redis, seconds: float) -> dict[str, Any]:
    """The headers of a message that counts for so many seconds from now on."""
    return {UNTIL: broker_time(server) + seconds}


def seconds_left(server: Redis, headers: Mapping[str, Any]) -> float | None:
    """How long a message still counts; 0 or less: no longer. ``None``: it does not say, being of another release."""
    until = headers.get(UNTIL)
    return None if until is None else until - broker_time(server)
