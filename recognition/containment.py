"""Where photos of strangers are decoded: in children that may die, so that no worker and no web process does.

Between whoever has a photo's bytes and ``decoder``, the child. The children live on from photo to photo: one more costs
about a quarter of a millisecond, a dead one a fifth of a second. A photo that ends its child, or finds too little
memory there, is tried once more in a fresh child that has the memory of the largest photo allowed, one such photo at a
time: so a child that something else killed blames no photo, and the memory of all children is bounded. Why so, and what
it costs: docs/decisions/containment.md.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from recognition.decoder import Message, receive, send
from recognition.errors import PhotoError, Unavailable
from recognition.photos import Box, DecodedPhoto, PhotoFacts, PhotoLimits

logger = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parent.parent
_KEPT = ("PATH", "LD_LIBRARY_PATH", "LANG")  # of the environment; the rest holds secrets

CPU_SECONDS = 10  # for the pixels of one photo
HEADER_CPU_SECONDS = 2
WALL_SECONDS = 60.0  # for each step of the talk: a child may have been stopped, or wait for a processor
ANSWER_BYTES = 64 << 20  # the most a child may send back
ORDINARY = 1 / 3  # of the pixels allowed: what a child that is kept has memory for. It suffices for every header

TOO_SLOW = ("photo_decoder_timeout", "The photo takes too long to decode: please export it anew.")
TOO_HUNGRY = ("photo_decoder_memory", "The photo takes too much memory to decode: please scale it down.")
CRASHED = ("photo_decoder_crashed", "The photo is damaged: the decoder breaks down at it.")


class Decoder(Protocol):
    """What a recogniser needs: ``photos`` itself (photos of one's own) or ``Decoders`` (photos of strangers)."""

    def decode_photo(
        self, data: bytes, *, size: int, limits: PhotoLimits, region: Box | None = None, crop: float = 1.0
    ) -> DecodedPhoto:
        """As ``photos.decode_photo``."""

    def decode_whole(self, data: bytes, *, size: int, limits: PhotoLimits) -> DecodedPhoto:
        """As ``photos.decode_whole``."""

    def decode_regions(
        self, data: bytes, regions: Sequence[Box], *, size: int, limits: PhotoLimits, crop: float = 1.0
    ) -> list[NDArray[np.uint8]]:
        """As ``photos.decode_regions``."""


class Decoders:
    """Children that decode, at most ``most`` at work at once (whoever comes then waits) and one for large photos.

    The methods are those of ``photos`` and ``thumbnails``; each also raises PhotoError photo_decoder_timeout,
    photo_decoder_memory or photo_decoder_crashed. Thread-safe.
    """

    def __init__(self, most: int) -> None:
        self._idle: list[_Child] = []  # the last used first: few children serve few callers
        self._places = threading.BoundedSemaphore(most)
        self._large = threading.Lock()

    def inspect_photo(self, data: bytes, limits: PhotoLimits) -> PhotoFacts:
        """As ``photos.inspect_photo``."""
        head, _ = self._ask("inspect", data, limits)
        return PhotoFacts(**head)

    def decode_photo(
        self, data: bytes, *, size: int, limits: PhotoLimits, region: Box | None = None, crop: float = 1.0
    ) -> DecodedPhoto:
        """As ``photos.decode_photo``."""
        return _decoded(size, *self._ask("photo", data, limits, size=size, region=region, crop=crop))

    def decode_whole(self, data: bytes, *, size: int, limits: PhotoLimits) -> DecodedPhoto:
        """As ``photos.decode_whole``."""
        return _decoded(size, *self._ask("whole", data, limits, size=size))

    def decode_regions(
        self, data: bytes, regions: Sequence[Box], *, size: int, limits: PhotoLimits, crop: float = 1.0
    ) -> list[NDArray[np.uint8]]:
        """As ``photos.decode_regions``."""
        if not regions:
            return []
        _, pixels = self._ask("regions", data, limits, regions=regions, size=size, crop=crop)
        return list(np.frombuffer(pixels, np.uint8).reshape(len(regions), size, size, 3))

    def shrink_photo(self, data: bytes, *, side: int, limits: PhotoLimits) -> bytes:
        """As ``thumbnails.shrink_photo``."""
        return bytes(self._ask("shrink", data, limits, side=side)[1])

    def cut_photo(self, data: bytes, *, region: Box, limits: PhotoLimits) -> bytes:
        """As ``thumbnails.cut_photo``."""
        return bytes(self._ask("cut", data, limits, region=region)[1])

    def warm_up(self, count: int, limits: PhotoLimits) -> None:
        """Start children now, so that the first photos do not wait for it."""
        self._idle += [_Child(int(limits.max_pixels * ORDINARY)) for _ in range(count)]

    def close(self) -> None:
        """End the children that are idle; those at work end with their photo."""
        while child := self._idle_child():
            child.end()

    def _idle_child(self) -> "_Child | None":
        """Taken out in one step: to look first and take then would give two threads the last one."""
        with suppress(IndexError):
            return self._idle.pop()
        return None

    def _ask(self, do: str, data: bytes, limits: PhotoLimits, **how: Any) -> Message:
        if len(data) > limits.max_bytes:
            raise PhotoError("photo_too_large", f"The file is larger than {limits.max_bytes / 1e6:g} MB.")
        seconds = HEADER_CPU_SECONDS if do == "inspect" else CPU_SECONDS
        request = {"do": do, "cpu_seconds": seconds, "limits": asdict(limits), **how}
        with self._places:
            child = self._idle_child() or _Child(int(limits.max_pixels * ORDINARY))
            try:
                answer = child.ask(request, data)
            except _Died as death:
                logger.warning("%s, its photo is tried once more", death)
            else:
                self._idle.append(child)
                if not answer[0].get("memory"):
                    return _judged(answer)
        with self._large:
            return self._alone(request, data, limits.max_pixels)

    def _alone(self, request: dict[str, Any], data: bytes, pixels: int) -> Message:
        child = _Child(pixels)
        try:
            return _judged(child.ask(request, data))
        except _Died as death:
            if death.code >= 0:  # it ended of its own will: it could not even start, or the fault is ours
                raise RuntimeError(str(death)) from death
            raise PhotoError(*(TOO_HUNGRY if death.code == -signal.SIGKILL else CRASHED)) from death
        finally:
            child.end()


class _Died(Exception):
    """The child ended before it answered."""

    def __init__(self, code: int) -> None:
        super().__init__(f"a decoder ended with exit code {code}")
        self.code = code


class _Child:
    """One process of ``recognition.decoder``, with memory for photos of so many pixels."""

    def __init__(self, pixels: int) -> None:
        self._link, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = _start([sys.executable, "-m", "recognition.decoder", str(pixels)], theirs)
        except BaseException:
            self._link.close()
            raise
        self._link.settimeout(WALL_SECONDS)

    def ask(self, request: dict[str, Any], data: bytes) -> Message:
        """One photo. Raises ``_Died``, and PhotoError where the time was up."""
        try:
            send(self._link, request, data)
            answer = receive(self._link, most=ANSWER_BYTES)
        except TimeoutError as error:
            self.end()
            raise PhotoError(*TOO_SLOW) from error
        except OSError:
            answer = None
        if answer is None:
            code = self.end()
            if code == -signal.SIGXCPU:
                raise PhotoError(*TOO_SLOW)
            raise _Died(code)
        return answer

    def end(self) -> int:
        """Let go of it; its exit code. One that died already is not killed."""
        self._link.close()
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(1)
        self._process.kill()
        return self._process.wait()


def _start(command: list[str], link: socket.socket) -> subprocess.Popen[bytes]:
    """Start it in a session of its own: Ctrl-C is for the process that decides when work is finished."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    try:
        return subprocess.Popen(  # noqa: S603 - the command is a constant
            command,
            stdin=link.fileno(),
            stdout=subprocess.DEVNULL,
            cwd=_ROOT,
            env=kept | {"OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable("decoder_unavailable", f"No process can be started to decode photos: {error}") from error


def _judged(answer: Message) -> Message:
    head, _ = answer
    if "code" in head:
        raise PhotoError(head["code"], head["message"])
    if "memory" in head:
        raise PhotoError(*TOO_HUNGRY)
    if "bug" in head:
        raise RuntimeError(f"the decoder failed:\n{head['bug']}")
    return answer


def _decoded(size: int, head: dict[str, Any], pixels: bytes | bytearray) -> DecodedPhoto:
    return DecodedPhoto(np.frombuffer(pixels, np.uint8).reshape(size, size, 3), head["width"], head["height"])
