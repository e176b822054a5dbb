"""The child that decodes: reads photos from a socket, answers with pixels, and may die at any of them.

``python -m recognition.decoder PIXELS`` is started by ``containment`` with the socket as its standard
input. It has an empty environment, may write no file, has memory for a photo of so many pixels, and so much
processor time a photo: where one takes more, the kernel ends it. Pillow and numpy only.

One message either way: two lengths, a head in JSON, then bytes. No pickle: whoever took this process over could only
answer with other pixels.
"""

import json
import resource
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognition.errors import PhotoError
from recognition.photos import PhotoLimits, decode_photo, decode_regions, decode_whole, inspect_photo
from recognition.thumbnails import cut_photo, shrink_photo

LENGTHS = struct.Struct(">II")  # of the head, of the bytes behind it
BYTES_PER_PIXEL = 24  # what the hungriest format, WebP with transparency, takes to become a thumbnail
SPARE_BYTES = 128 << 20
DAMAGED = {"photo_unreadable", "photo_truncated"}

Message = tuple[dict[str, Any], bytes | bytearray]


def main(pixels: int) -> None:
    """Serve until the other end closes, or a photo ends it."""
    _confine(SPARE_BYTES + pixels * BYTES_PER_PIXEL)
    with socket.socket(fileno=sys.stdin.fileno()) as link:
        while message := receive(link):
            head, data = message
            _allow(head.pop("cpu_seconds"))
            send(link, *_answer(head, bytes(data), pixels))


def send(link: socket.socket, head: dict[str, Any], data: bytes | bytearray) -> None:
    """Send one message."""
    packed = json.dumps(head).encode()
    link.sendall(LENGTHS.pack(len(packed), len(data)) + packed)
    link.sendall(data)


def receive(link: socket.socket, most: int = 1 << 32) -> Message | None:
    """The next message; None where the other end is gone. Raises ConnectionError where it is longer than ``most``."""
    packed = _read(link, LENGTHS.size)
    if packed is None:
        return None
    lengths = LENGTHS.unpack(packed)
    if sum(lengths) > most:
        raise ConnectionError("the message is too long")
    head, data = (_read(link, length) for length in lengths)
    return None if head is None or data is None else (json.loads(head), data)


def _read(link: socket.socket, count: int) -> bytearray | None:
    got = bytearray(count)
    view, at = memoryview(got), 0
    while at < count:
        more = link.recv_into(view[at:])
        if not more:
            return None
        at += more
    return got


def _answer(head: dict[str, Any], data: bytes, pixels: int) -> Message:
    """What came of one photo. ``memory``: it was, or may have been, for want of memory; decoders do not always tell."""
    do, limits = _OPERATIONS[head.pop("do")], PhotoLimits(**head.pop("limits"))
    try:
        return do(data, limits=limits, **head)
    except PhotoError as error:
        code, message = error.code, error.message
    except MemoryError:
        return {"memory": True}, b""
    except Exception:
        return {"bug": traceback.format_exc()}, b""
    if code in DAMAGED and _pixels(data, limits) > pixels:  # here, where what failed holds no memory any more
        return {"memory": True}, b""
    return {"code": code, "message": message}, b""


def _pixels(data: bytes, limits: PhotoLimits) -> int:
    try:
        facts = inspect_photo(data, limits)
    except PhotoError:
        return 0
    return facts.width * facts.height


def _inspect(data: bytes, **how: Any) -> Message:
    return asdict(inspect_photo(data, **how)), b""


def _photo(data: bytes, **how: Any) -> Message:
    seen = decode_photo(data, **how)
    return {"width": seen.width, "height": seen.height}, seen.pixels.tobytes()


def _whole(data: bytes, **how: Any) -> Message:
    seen = decode_whole(data, **how)
    return {"width": seen.width, "height": seen.height}, seen.pixels.tobytes()


def _regions(data: bytes, **how: Any) -> Message:
    parts: list[NDArray[np.uint8]] = decode_regions(data, **how)
    return {}, b"".join(part.tobytes() for part in parts)


def _shrink(data: bytes, **how: Any) -> Message:
    return {}, shrink_photo(data, **how)


def _cut(data: bytes, **how: Any) -> Message:
    return {}, cut_photo(data, **how)


_OPERATIONS: dict[str, Callable[..., Message]] = {
    "inspect": _inspect, "photo": _photo, "whole": _whole, "regions": _regions, "shrink": _shrink,
    "cut": _cut,
}  # fmt: skip


def _confine(room: int) -> None:
    """Memory is counted as address space, which needs no privilege to limit; what is mapped by now is our own."""
    statm = Path("/proc/self/statm")
    if statm.exists():  # Linux; elsewhere the limits of pixels and time have to do
        room += int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _allow(cpu_seconds: int) -> None:
    """So much processor time from now on: past it the kernel sends SIGXCPU, which ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime) + 1 + cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(int(sys.argv[1]))
