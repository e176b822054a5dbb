"""Explanations in Redis: a worker keeps one under its token, the web finds it there or hears that it came.

Between ``explain`` (a worker) and ``client`` (the web). Redis is a cache here and no ledger: what it forgets is asked
for and computed again. Every function raises redis errors as they come; the callers know what an absent Redis means.
"""

import json

from pydantic import ValidationError
from redis import Redis

from workers.contract import EXPLANATION_KEY_PREFIX, Explanation

KEEP_SECONDS = 3600
FAULT_SECONDS = 10  # long enough for those who wait now; the next one who asks gets another try


def keep(server: Redis, explanation: Explanation) -> None:
    """Keep an answer for an hour (a fault, and its claim, for seconds) and wake those who wait for it."""
    key = EXPLANATION_KEY_PREFIX + explanation.token
    failed = explanation.expired or explanation.fault is not None
    with server.pipeline(transaction=True) as pipe:
        pipe.set(key, json.dumps(explanation.to_wire()), ex=FAULT_SECONDS if failed else KEEP_SECONDS)
        if failed:
            pipe.expire(_claim_of(key), FAULT_SECONDS)
        pipe.publish(key, "finished")
        pipe.execute()


def find(server: Redis, token: str) -> Explanation | None:
    """The answer, if it is there; one that a worker of another release wrote counts as absent."""
    text = server.get(EXPLANATION_KEY_PREFIX + token)
    try:
        return Explanation.model_validate_json(text) if text else None
    except ValidationError:
        return None


def claim(server: Redis, token: str, seconds: float) -> bool:
    """Whether the caller is the one to send this question, whose deadline is in so many seconds: nobody else did.

    The claim outlives the deadline a little, so that all who wait for an answer hear that none came.
    """
    milliseconds = round(1000 * (max(seconds, 0) + FAULT_SECONDS))
    return bool(server.set(_claim_of(EXPLANATION_KEY_PREFIX + token), "asked", nx=True, px=milliseconds))


def seconds_left(server: Redis, token: str) -> float | None:
    """Until the deadline of the question that was sent, 0 or less once it has passed; ``None``: there is no claim."""
    milliseconds = server.pttl(_claim_of(EXPLANATION_KEY_PREFIX + token))
    return milliseconds / 1000 - FAULT_SECONDS if milliseconds >= 0 else None


def unclaim(server: Redis, token: str) -> None:
    """Let another one send the question: it could not be sent."""
    server.delete(_claim_of(EXPLANATION_KEY_PREFIX + token))


def _claim_of(key: str) -> str:
    return f"{key}:asked"
