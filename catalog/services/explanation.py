"""Explanations: why a product was found. Asks a worker, waits for the answer, finds it again for about an hour.

Comes after ``selectors.explanation`` read what to compare; before the API, the admin and the page show it. Nothing is
owed: the answer lies in Redis alone, and what Redis forgets is asked for again.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from catalog.selectors.explanation import Comparison
from catalog.selectors.product import product_facts
from catalog.services.errors import Refused
from catalog.services.notify import Wait, explanation_wait, wait_here
from config.env import load_env
from workers import client
from workers.client import PhotoError, Unavailable
from workers.contract import Explain, Explanation


@dataclass(frozen=True)
class Asked:
    """An explanation that was asked for: the one of the last hour, or a ``wait`` until there is one.

    ``is_last``: nobody answers any more after the wait.
    """

    token: str
    found: Explanation | None = None
    wait: Wait | None = None
    is_last: bool = False


def explanation_find(*, comparison: Comparison, seconds: float) -> Explanation | None:
    """Ask, wait on this thread, and take; ``None`` where none is there after ``seconds``. Raises as the two do."""
    asked = explanation_ask(comparison=comparison, seconds=seconds)
    if asked.wait:
        wait_here(asked.wait)
    return explanation_take(asked)


def explanation_ask(*, comparison: Comparison, seconds: float) -> Asked:
    """Find the explanation of the last hour, or have a worker make one, to be waited for at most ``seconds``.

    A question that nobody answered by its deadline has failed: it is sent anew only when it is asked again later.
    Raises ``Unavailable`` (``worker_unavailable``, ``broker_unavailable``).
    """
    versions = sorted({card.bundle_version for card in client.live_workers()})
    question = _question(comparison, versions or [comparison.bundle_version])
    found = client.explanation_of(question.token)
    if found is not None:
        return Asked(question.token, found)
    if not versions:
        raise Unavailable("worker_unavailable", "No worker is running.")
    left = client.send_explain(question)
    wait = explanation_wait(token=question.token, seconds=min(seconds, left))
    return Asked(question.token, wait=wait, is_last=left <= seconds)


def explanation_take(asked: Asked) -> Explanation | None:
    """The explanation; ``None`` where a worker is still at it.

    Raises ``Unavailable`` (``deadline_passed``, ``broker_unavailable``, ``storage_unavailable``, …), ``Refused``
    (``photo_gone``, ``explanation_failed``), and ``PhotoError`` for a photo that cannot be used.
    """
    found = asked.found or client.explanation_of(asked.token)
    if found is None and asked.is_last:
        raise Unavailable("deadline_passed", "No worker answered before the deadline.")
    return None if found is None else _sound(found)


def _question(comparison: Comparison, versions: list[str]) -> Explain:
    facts = product_facts(comparison.hit.product)
    product = facts.model_copy(update={"attributes": (), "group": ""})  # only filters need to know of them
    told = product.model_dump(mode="json", exclude={"product_id", "in_stock", "attributes", "group"})
    matched = comparison.matched
    asked = [comparison.key, comparison.region, comparison.words, matched.key, matched.region]
    return Explain(
        token=hashlib.sha256(json.dumps([*asked, told, versions], sort_keys=True).encode()).hexdigest(),
        merchant_id=comparison.merchant.pk,
        deadline=timezone.now() + timedelta(seconds=load_env().search_deadline_seconds),
        key=comparison.key or None,
        region=comparison.region,
        words=comparison.words,
        matched_key=matched.key,
        matched_region=matched.region,
        product=product,
    )


def _sound(found: Explanation) -> Explanation:
    """The explanation, or its fault raised by whose fault it is."""
    if found.expired:
        raise Unavailable("deadline_passed", "No worker was free before the deadline.")
    fault = found.fault
    if fault is None:
        return found
    if fault.code == "photo_missing":
        raise Refused("photo_gone", "The photo's bytes are no longer stored: there is nothing to look at.", status=410)
    if fault.kind == "retry":
        raise Unavailable(fault.code, fault.message)
    if fault.kind == "client":
        raise PhotoError(fault.code, fault.message)
    raise Refused("explanation_failed", "The worker could not explain this; its log says why.", status=500)
