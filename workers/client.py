"""All that ``catalog`` needs of the workers: send them work, see who is alive, store and inspect photos.

Comes after a row is committed in SQL and before the queue. Loads no torch, no Django and nothing of a worker's
inside, so the web process stays light (a test proves it). Everything here is thread-safe; where Redis is away,
``Unavailable("broker_unavailable")`` comes within a few seconds, and the ledger in SQL loses nothing by it.
"""

import atexit
import json
import os
import socket
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from celery import Celery
from prometheus_client import generate_latest
from pydantic import ValidationError
from redis import Redis

from config.env import load_env
from recognition.bundle import load_bundle
from recognition.containment import Decoders
from recognition.errors import BundleError, PhotoError, Unavailable
from recognition.fingerprint import is_near_duplicate, likeness
from recognition.photos import PhotoFacts, PhotoLimits
from recognition.store import PhotoStore, StoredBytes, is_storage_away
from workers import bundles, explanations, inventories
from workers.broker import BROKER_AWAY, celery_settings, publish, send
from workers.bundles import FILES as BUNDLE_FILES
from workers.bundles import bundle_key
from workers.clock import counts_for
from workers.contract import (
    ASSIGNMENT_KEY,
    BULK_QUEUE,
    COORDINATOR_KEY,
    COORDINATOR_QUEUE,
    METRICS_KEY_PREFIX,
    RESULTS_QUEUE,
    RUN_CHUNK,
    RUN_EXPLAIN,
    RUN_INVENTORY,
    RUN_SEARCH,
    SEARCH_QUEUE,
    SHADOW_QUEUE,
    WORKER_KEY_PREFIX,
    Assignment,
    Chunk,
    Explain,
    Explanation,
    Inventory,
    InventoryPage,
    Message,
    Region,
    Search,
    WorkerCard,
)

__all__ = [
    "BUNDLE_FILES",
    "BundleError",
    "PhotoError",
    "PhotoFacts",
    "PhotoStore",
    "StoredBytes",
    "Unavailable",
    "any_worker_alive",
    "bundle_facts",
    "bundle_key",
    "coordinator_beat",
    "coordinator_is_alive",
    "cut_photo",
    "explanation_of",
    "inspect_photo",
    "inventory_page",
    "is_near_duplicate",
    "is_storage_away",
    "likeness",
    "live_workers",
    "photo_store",
    "process_metrics",
    "publish_bundle",
    "queue_lengths",
    "send_chunk",
    "send_explain",
    "send_search",
    "send_shadow_chunk",
    "shrink_photo",
    "wake_coordinator",
    "write_assignment",
]

_DECODERS = 4  # photos that this process has read for it at once
_RETRIES = 1
_ANSWER_SECONDS = 2
_COORDINATOR_SECONDS = 30
_KEYS_AT_ONCE = 1_000  # looked through in one step of a scan; by default Redis sends a message for every ten


def send_chunk(chunk: Chunk) -> None:
    """Queue a chunk of bulk work; it is dropped where nobody began it while its lease ran. Raises Unavailable.

    Redis may hand a killed worker's message out again an hour later: by then the photos were leased anew, and to run
    the old message would put old text and prices back into the index.
    """
    _publish(RUN_CHUNK, BULK_QUEUE, chunk, load_env().lease_seconds)


def send_shadow_chunk(chunk: Chunk) -> None:
    """Queue a chunk for a bundle that is not live, or of a comparison, as ``send_chunk`` does. Raises Unavailable."""
    _publish(RUN_CHUNK, SHADOW_QUEUE, chunk, load_env().lease_seconds)


def write_assignment(assignment: Assignment) -> None:
    """Say which bundles the workers are to serve. Raises Unavailable."""
    try:
        _redis().set(ASSIGNMENT_KEY, json.dumps(assignment.to_wire()))
    except BROKER_AWAY as error:
        raise Unavailable("broker_unavailable", f"Redis is away: {error}") from error


def publish_bundle(folder: Path) -> None:
    """Put the bundle in a folder where every worker finds it. Raises BundleError, Unavailable."""
    bundles.publish_bundle(photo_store(), folder)


def bundle_facts(folder: Path) -> dict[str, Any]:
    """Verify the bundle in a folder; its version and what people want to know of it. Raises BundleError."""
    bundle = load_bundle(folder)
    return {
        "version": bundle.version,
        "arch": bundle.arch,
        "dim": bundle.dim,
        "calibrated": bundle.calibration.calibrated,
        "labels": sorted(bundle.labels),
        "weights_sha256": bundle.weights_sha256,
    }


def send_search(search: Search) -> None:
    """Queue a search; workers serve it before bulk work. Raises Unavailable("broker_unavailable")."""
    _publish(RUN_SEARCH, SEARCH_QUEUE, search, (search.deadline - datetime.now(UTC)).total_seconds())


def send_explain(question: Explain) -> float:
    """Queue a question why, unless the same one was just sent. Raises Unavailable.

    Returns the seconds until the deadline of the one that was sent: 0 or less, for a few seconds, once it passed
    without an answer.
    """
    seconds = (question.deadline - datetime.now(UTC)).total_seconds()
    try:
        if not explanations.claim(_redis(), question.token, seconds):
            left = explanations.seconds_left(_redis(), question.token)
            return seconds if left is None else left  # the claim ended in between
        try:
            _publish(RUN_EXPLAIN, SEARCH_QUEUE, question, seconds)
        except Unavailable:
            explanations.unclaim(_redis(), question.token)
            raise
    except BROKER_AWAY as error:
        raise Unavailable("broker_unavailable", f"Redis is away: {error}") from error
    return seconds


def explanation_of(token: str) -> Explanation | None:
    """The answer to a question why, once a worker has kept it, for about an hour. Raises Unavailable."""
    try:
        return explanations.find(_redis(), token)
    except BROKER_AWAY as error:
        raise Unavailable("broker_unavailable", f"Redis is away: {error}") from error


def inventory_page(question: Inventory) -> InventoryPage:
    """Ask any live worker what the index holds, and wait for its answer until the question's deadline.

    Raises ``Unavailable``: broker_unavailable, worker_unavailable, or what kept the worker from answering.
    """
    seconds = (question.deadline - datetime.now(UTC)).total_seconds()
    _publish(RUN_INVENTORY, SEARCH_QUEUE, question, seconds)
    try:
        page = inventories.take(_redis(), question.token, seconds)
    except BROKER_AWAY as error:
        raise Unavailable("broker_unavailable", f"Redis is away: {error}") from error
    if page is None:
        raise Unavailable("worker_unavailable", f"No worker said within {seconds:.0f} s what the index holds.")
    if page.fault:
        raise Unavailable(page.fault.code, page.fault.message)
    return page


def wake_coordinator(task: str, *args: str) -> None:
    """Ask the coordinator to run one of its own tasks now, not at its next tick. Raises Unavailable."""
    send(_producer(), task=task, queue=COORDINATOR_QUEUE, args=list(args), retries=0)


def live_workers() -> list[WorkerCard]:
    """The cards of the workers that wrote theirs in the last seconds, by name. Raises Unavailable."""
    try:
        keys = list(_redis().scan_iter(match=f"{WORKER_KEY_PREFIX}*", count=_KEYS_AT_ONCE))
        texts = _redis().mget(keys) if keys else []
    except BROKER_AWAY as error:
        raise Unavailable("broker_unavailable", f"Redis is away: {error}") from error
    cards = [card for text in texts if text and (card := _read_card(text))]
    return sorted(cards, key=lambda card: card.name)


def any_worker_alive() -> bool:
    """Whether a worker is known to be alive; while Redis is away, none is."""
    try:
        return bool(live_workers())
    except Unavailable:
        return False


def coordinator_beat() -> None:
    """Say that the coordinator is alive, with its figures; forgotten after half a minute. Raises Unavailable."""
    process = f"coordinator-{socket.gethostname()}-{os.getpid()}"
    try:
        _redis().set(COORDINATOR_KEY, "alive", ex=_COORDINATOR_SECONDS)
        _redis().set(METRICS_KEY_PREFIX + process, generate_latest(), ex=_COORDINATOR_SECONDS)
    except BROKER_AWAY as error:
        raise Unavailable("broker_unavailable", f"Redis is away: {error}") from error


def coordinator_is_alive() -> bool:
    """Whether a coordinator beat in the last half minute. Raises Unavailable."""
    try:
        return bool(_redis().exists(COORDINATOR_KEY))
    except BROKER_AWAY as error:
        raise Unavailable("broker_unavailable", f"Redis is away: {error}") from error


def process_metrics() -> dict[str, str]:
    """The figures of every process that lately told some: Prometheus' text, by its name. Raises Unavailable."""
    try:
        keys = sorted(_redis().scan_iter(match=f"{METRICS_KEY_PREFIX}*", count=_KEYS_AT_ONCE))
        texts = _redis().mget(keys) if keys else []
    except BROKER_AWAY as error:
        raise Unavailable("broker_unavailable", f"Redis is away: {error}") from error
    found: dict[Any, Any] = {key: text for key, text in zip(keys, texts, strict=True) if text}
    return {key.decode().removeprefix(METRICS_KEY_PREFIX): text.decode() for key, text in found.items()}


def queue_lengths() -> dict[str, int]:
    """Messages that wait in each queue; those a worker already holds are not counted. Raises Unavailable."""
    queues = (SEARCH_QUEUE, BULK_QUEUE, SHADOW_QUEUE, RESULTS_QUEUE, COORDINATOR_QUEUE)
    try:
        with _redis().pipeline(transaction=False) as pipe:
            for queue in queues:
                pipe.llen(queue)
            return dict(zip(queues, pipe.execute(), strict=True))
    except BROKER_AWAY as error:
        raise Unavailable("broker_unavailable", f"Redis is away: {error}") from error


@lru_cache(maxsize=1)
def photo_store() -> PhotoStore:
    """Where photos lie, the same place for web, coordinator and workers."""
    return PhotoStore(load_env().photos)


def inspect_photo(data: bytes) -> PhotoFacts:
    """Read a photo's header and hold it against the configured limits. Raises PhotoError."""
    return _decoders().inspect_photo(data, _limits())


def shrink_photo(data: bytes, side: int) -> bytes:
    """A small copy of a photo as WebP, its longest side at most so many pixels. Raises PhotoError."""
    return _decoders().shrink_photo(data, side=side, limits=_limits())


def cut_photo(data: bytes, region: Region) -> bytes:
    """A part of a photo as a JPEG of its own. Raises PhotoError."""
    return _decoders().cut_photo(data, region=region, limits=_limits())


def _limits() -> PhotoLimits:
    env = load_env()
    return PhotoLimits(env.photo_max_bytes, env.photo_max_pixels)


@lru_cache(maxsize=1)
def _decoders() -> Decoders:
    """Children that read strangers' photos for this process; they end with it."""
    decoders = Decoders(most=_DECODERS)
    atexit.register(decoders.close)
    return decoders


def _publish(task: str, queue: str, message: Message, seconds: float) -> None:
    """Send a message that counts for so many seconds by the one clock that web and workers share."""
    try:
        headers = counts_for(_redis(), seconds)
    except BROKER_AWAY as error:
        raise Unavailable("broker_unavailable", f"Redis is away: {error}") from error
    publish(_producer(), task=task, queue=queue, message=message, retries=_RETRIES, headers=headers)


def _read_card(text: bytes | str) -> WorkerCard | None:
    """A worker of another release may write a card that this one cannot read: it is left out."""
    try:
        return WorkerCard.model_validate_json(text)
    except ValidationError:
        return None


@lru_cache(maxsize=1)
def _producer() -> Celery:
    """The sending app, with a pool of connections; never consumes, never becomes the current app."""
    app = Celery("vitrine-client", set_as_current=False, fixups=())
    app.conf.update(celery_settings())
    app.conf.broker_transport_options |= {"socket_timeout": _ANSWER_SECONDS}  # a web request waits behind this
    return app


@lru_cache(maxsize=1)
def _redis() -> Redis:
    return Redis.from_url(load_env().broker, socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=_ANSWER_SECONDS)
