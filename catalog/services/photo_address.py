"""Photos by their address: fetched through the guarded way out, whatever they are worth, and nothing of ours lent.

Comes when a request names a photo by its address, before the photo is inspected and kept; runs in the request, which
waits without a database connection. Redirects are followed here, and each is judged by ``outbound`` like the first
address. Only time and bytes that the limits allow are spent. Why here and not in a worker:
docs/decisions/photo-addresses.md.
"""

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import IO
from urllib.parse import urljoin
from uuid import UUID

import httpcore
from django.db import connection

from catalog.services.errors import Refused
from catalog.services.outbound import OutboundError, headers_of, opened
from config.env import load_env
from workers.client import PhotoError

FETCH_SECONDS = 10.0  # for one address, its redirects included
FETCHES_SECONDS = 30.0  # for all addresses of one request
REDIRECTS = 3
AT_ONCE = 4  # connections of one request
REQUESTS_AT_ONCE = 16  # requests of one web process that fetch
MERCHANT_AT_ONCE = 4  # and those of one merchant: a slow server of one never keeps the others from fetching
IN_MEMORY = 1_000_000  # bytes; what is larger lies on the disk
REDIRECT_STATUS = {301, 302, 303, 307, 308}
HEADERS = {"User-Agent": "Vitrine", "Accept": "image/*"}
UNREACHABLE = ("photo_url_unreachable", "No photo could be read from this address.")
FAULTS = {  # of ``OutboundError``; the others, which tell what was found there, are all the same to the caller
    "url_invalid": ("photo_url_invalid", "Send an address that begins with http:// or https://."),
    "address_refused": ("photo_url_refused", "The address does not lead to a web server on the public internet."),
    "timed_out": ("photo_url_timeout", "The server of the photo took too long."),
}

_running: Counter[UUID] = Counter()
_running_lock = threading.Lock()


class FetchError(PhotoError):
    """An address that leads to no photo; the code says why, and nothing of what was found there."""


def photos_fetch(*, merchant_id: UUID, urls: Sequence[str]) -> list[IO[bytes] | FetchError]:
    """What lies at these addresses, in their order: a file at its beginning, to be closed, or why there is none.

    At most ``FETCHES_SECONDS`` for all of them. Raises ``Refused("photo_url_busy")`` (503) when too many requests
    of this process, or of this merchant, fetch at this moment.
    """
    with _slot(merchant_id):
        if not connection.in_atomic_block:
            connection.close()  # none is held while a foreign server takes its time
        until = time.monotonic() + FETCHES_SECONDS
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="photo-address") as threads:
            return list(threads.map(partial(_fetched, until=until), urls))


def photo_fetch(*, merchant_id: UUID, url: str) -> bytes:
    """The bytes that lie at one address. Raises ``FetchError`` (a ``PhotoError``), ``Refused``."""
    (found,) = photos_fetch(merchant_id=merchant_id, urls=[url])
    if isinstance(found, FetchError):
        raise found
    with found:
        return found.read()


@contextmanager
def _slot(merchant_id: UUID) -> Iterator[None]:
    with _running_lock:
        if _running.total() >= REQUESTS_AT_ONCE or _running[merchant_id] >= MERCHANT_AT_ONCE:
            raise Refused("photo_url_busy", "Too many photos are being fetched at this moment.", status=503)
        _running[merchant_id] += 1
    try:
        yield
    finally:
        with _running_lock:
            _running[merchant_id] -= 1
            if not _running[merchant_id]:
                del _running[merchant_id]


def _fetched(url: str, until: float) -> IO[bytes] | FetchError:
    file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - the caller closes it
    try:
        _fetch(url, file, min(until, time.monotonic() + FETCH_SECONDS))
    except OutboundError as error:
        problem = FetchError(*FAULTS.get(error.code, UNREACHABLE))
    except FetchError as error:
        problem = error
    else:
        file.seek(0)
        return file
    file.close()
    return problem


def _fetch(url: str, file: IO[bytes], until: float) -> None:
    for _ in range(REDIRECTS + 1):
        with opened("GET", url, seconds=until - time.monotonic(), headers=HEADERS) as response:
            headers = headers_of(response)
            if response.status not in REDIRECT_STATUS:
                _read(response, headers, file)
                return
        url = urljoin(url, headers.get("location", ""))
    raise FetchError("photo_url_redirects", f"The address leads on to others more than {REDIRECTS} times.")


def _read(response: httpcore.Response, headers: dict[str, str], file: IO[bytes]) -> None:
    if response.status != 200:
        raise FetchError("photo_url_status", f"The server of the photo answered {response.status}.")
    limit = load_env().photo_max_bytes
    too_large = FetchError("photo_too_large", f"The photo at this address is larger than {limit / 1e6:g} MB.")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise too_large
    got = 0
    for block in response.iter_stream():
        got += len(block)
        if got > limit:
            raise too_large
        file.write(block)
