"""The bundles that this worker answers with: the live one, and the one in its shadow.

Between ``tasks`` (which ask for the line of a message's bundle) and ``line``. A thread follows the assignment that the
coordinator writes into Redis: it loads what is missing, lets go of what is no longer named, and never touches a line
that is in use otherwise. A message names its bundle, so while several workers follow at their own pace every search is
answered with the bundle that was live when it was asked. Why: docs/decisions/bundles.md.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError
from redis import Redis

from config.env import Env
from recognition.bundle import load_bundle
from recognition.errors import BundleError, Unavailable
from recognition.store import PhotoStore
from workers.batching import BACKGROUND_BATCH
from workers.beside import Background
from workers.broker import BROKER_AWAY
from workers.bundles import fetch_bundle
from workers.contract import ASSIGNMENT_KEY, Assignment, WorkerCard
from workers.line import Line, open_beside

logger = logging.getLogger(__name__)

FOLLOW_SECONDS = 2.0
AGAIN_SECONDS = 30.0  # until a bundle that could not be loaded is tried again
PATIENCE_SECONDS = 1.0  # of background work, where searches never end: it goes on all the same, step by step
NICE = 10  # background threads have less of the processor than those who answer


class Served:
    """The lines of this process by bundle version; thread-safe."""

    def __init__(self, env: Env, first: Line) -> None:
        self._env = env
        self._first = first
        self._lines = {first.recogniser.bundle.version: first}
        self._primary = first.recogniser.bundle.version
        self._faults: dict[str, str] = {}
        self._tried: dict[str, float] = {}
        self._searches = 0
        self._quiet = threading.Condition()
        self._last_rest = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="bundles", daemon=True)

    @property
    def name(self) -> str:
        """The worker's name."""
        return self._first.name

    def start(self) -> None:
        """Follow the assignment from now on."""
        self._thread.start()

    def of(self, version: str) -> Line:
        """The line of a bundle; of the worker's own for an empty version. Raises Unavailable("bundle_absent")."""
        line = self._lines.get(version or self._primary)
        if line is None:
            raise Unavailable("bundle_absent", f"This worker does not serve the bundle {version}.")
        return line

    def primary(self) -> Line:
        """The line of the live bundle, or of the worker's own where none was assigned."""
        return self._lines[self._primary]

    def lines(self) -> list[Line]:
        """All of them: what is forgotten, is forgotten everywhere."""
        return list(self._lines.values())

    def background(self, version: str) -> Line:
        """The line of a bundle for work that must not be felt. Raises Unavailable("bundle_absent")."""
        line = self.of(version)
        return replace(line, device=Background(line.lane, line.recogniser, self._rest), batch=BACKGROUND_BATCH)

    @contextmanager
    def searching(self) -> Iterator[None]:
        """While a search is in hand here, background work waits."""
        with self._quiet:
            self._searches += 1
        try:
            yield
        finally:
            with self._quiet:
                self._searches -= 1
                self._quiet.notify_all()

    def card(self) -> WorkerCard:
        """What the worker says about itself."""
        versions = tuple(sorted(self._lines)) if len(self._lines) > 1 else ()  # one: the card of the release before
        return self.primary().card().model_copy(update={"bundles": versions, "bundle_faults": dict(self._faults)})

    def close(self) -> None:
        """Stop following, finish what the device has, let go of every index."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._first.close()  # all lines share its device and its decoders
        for line in self.lines():
            if line is not self._first:
                line.index.close()

    def assign(self, assignment: Assignment) -> None:
        """Serve what is named and nothing else; what cannot be loaded is told on the card and tried again later."""
        wanted = [version for version in (assignment.live, assignment.shadow) if version]
        for version in wanted:
            if version not in self._lines and time.monotonic() >= self._tried.get(version, 0.0):
                self._load(version)
        if assignment.live not in self._lines:
            return  # the old one goes on: better than nothing
        if self._primary != assignment.live:
            logger.info("bundle=%s is live", assignment.live)
        self._primary = assignment.live
        self._faults = {version: said for version, said in self._faults.items() if version in wanted}
        index = self.primary().index
        if index.health().version != assignment.live:
            index.promote(assignment.live)
        for version in set(self._lines) - set(wanted):
            self._lines.pop(version).index.close()
            logger.info("bundle=%s is served no longer", version)
        for version in set(assignment.retired) & set(index.versions()) - set(wanted):
            index.drop(version)
            logger.info("bundle=%s its photos are deleted from the index", version)

    def _load(self, version: str) -> None:
        try:
            self._lines[version] = open_beside(
                self._env, bundle_folder(self._env, self._first.store, version), self._first
            )
            self._faults.pop(version, None)
            logger.info("bundle=%s is loaded", version)
        except Exception as error:
            self._faults[version] = str(error)[:300]
            self._tried[version] = time.monotonic() + AGAIN_SECONDS
            logger.error("bundle=%s cannot be served: %s", version, error)

    def _follow(self) -> None:
        be_nice()
        with Redis.from_url(self._env.broker, socket_timeout=3, socket_connect_timeout=3) as server:
            while not self._stop.wait(FOLLOW_SECONDS):
                try:
                    assignment = read_assignment(server)
                    if assignment:
                        self.assign(assignment)
                except (*BROKER_AWAY, Unavailable) as error:
                    logger.warning("the bundles stay as they are: %s", error)
                except Exception:
                    logger.exception("the assignment cannot be followed")

    def _rest(self) -> None:
        """After a step of background work: leave the rest of the time to others, then wait until no search is here."""
        share = self._env.shadow_share
        worked = time.monotonic() - self._last_rest
        time.sleep(min(worked * (1 / share - 1), PATIENCE_SECONDS))
        with self._quiet:
            self._quiet.wait_for(lambda: self._searches == 0, timeout=PATIENCE_SECONDS)
        self._last_rest = time.monotonic()


def read_assignment(server: Redis) -> Assignment | None:
    """What the coordinator last wrote; one of another release counts as none. Raises redis errors."""
    text = server.get(ASSIGNMENT_KEY)
    try:
        return Assignment.model_validate_json(text) if text else None
    except ValidationError:
        return None


def first_folder(env: Env) -> Path:
    """The folder of the bundle to start with: the live one where the installation has one, else ``VITRINE_BUNDLE``.

    Raises BundleError and Unavailable where the live one cannot be had: this worker must not serve.
    """
    try:
        with Redis.from_url(env.broker, socket_timeout=3, socket_connect_timeout=3) as server:
            assignment = read_assignment(server)
    except BROKER_AWAY:
        assignment = None
    return bundle_folder(env, PhotoStore(env.photos), assignment.live) if assignment else env.bundle


def bundle_folder(env: Env, store: PhotoStore, version: str) -> Path:
    """Where this bundle lies on this machine, fetched from the photo store if need be. Raises as ``fetch_bundle``."""
    with suppress(BundleError):
        if load_bundle(env.bundle).version == version:
            return env.bundle
    return fetch_bundle(store, version, env.var / "bundle-cache")


def be_nice() -> None:
    """Give this thread (not the process) less of the processor, where the system knows that of threads: on Linux."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
