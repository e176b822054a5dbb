"""Fetches what a merchant's address leads to, and never anything inside our own network.

Comes when a request names a photo by its address, before the photo is inspected and kept; runs in the request, which
waits without a database connection. An address is resolved once, every answer is checked, and the connection goes to
the very address that was checked, with the name of the host in ``Host`` and in TLS; so does each redirect. Only time
and bytes that the limits allow are spent. Why here and not in a worker: docs/decisions/photo-addresses.md.
"""

import asyncio
import socket
import ssl
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import IO
from urllib.parse import urljoin
from uuid import UUID

import httpx
from django.db import connection

from catalog.services.errors import Refused
from config.env import load_env
from workers.client import PhotoError

FETCH_SECONDS = 10.0  # for one address, its redirects included
FETCHES_SECONDS = 30.0  # for all addresses of one request
CONNECT_SECONDS = 5.0
REDIRECTS = 3
AT_ONCE = 4  # connections of one request
REQUESTS_AT_ONCE = 16  # requests of one web process that fetch
MERCHANT_AT_ONCE = 4  # and those of one merchant: a slow server of one never keeps the others from fetching
ADDRESS_LENGTH = 2048
IN_MEMORY = 1_000_000  # bytes; what is larger lies on the disk
CHUNK = 64 * 1024
REDIRECT_STATUS = {301, 302, 303, 307, 308}
PORTS = {80, 443}
LAST_PORT = 65_535
NAT64 = ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48")
HEADERS = {"User-Agent": "Vitrine", "Accept": "image/*", "Accept-Encoding": "identity"}

# A name server that never answers holds one of these and not the request, which goes on after its time.
_resolvers = ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="resolver")
_running: Counter[UUID] = Counter()
_running_lock = threading.Lock()

Address = IPv4Address | IPv6Address


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
        return asyncio.run(_fetch_all(urls))


def photo_fetch(*, merchant_id: UUID, url: str) -> bytes:
    """The bytes that lie at one address. Raises ``FetchError`` (a ``PhotoError``), ``Refused``."""
    (found,) = photos_fetch(merchant_id=merchant_id, urls=[url])
    if isinstance(found, FetchError):
        raise found
    with found:
        return found.read()


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet, whatever it is wrapped in: no private, local or special one."""
    if isinstance(address, IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if wrapped:
            return False
        if any(address in network for network in NAT64) or address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


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


async def _fetch_all(urls: Sequence[str]) -> list[IO[bytes] | FetchError]:
    turn = asyncio.Semaphore(AT_ONCE)
    until = asyncio.get_running_loop().time() + FETCHES_SECONDS
    # Nothing of the environment's: a proxy would connect for us, past every check.
    # No connection is used twice: one that proved another host's name at this address proves nothing for this one.
    async with httpx.AsyncClient(
        trust_env=False,
        headers=HEADERS,
        timeout=CONNECT_SECONDS,
        limits=httpx.Limits(max_keepalive_connections=0),
        verify=_tls(),
    ) as client:
        return await asyncio.gather(*(_fetch_in_turn(client, url, turn, until) for url in urls))


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


async def _fetch_in_turn(
    client: httpx.AsyncClient, url: str, turn: asyncio.Semaphore, until: float
) -> IO[bytes] | FetchError:
    file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - the caller closes it
    try:
        async with asyncio.timeout_at(until), turn, asyncio.timeout(FETCH_SECONDS):
            await _fetch(client, url, file)
    except (TimeoutError, httpx.TimeoutException):
        problem = FetchError("photo_url_timeout", "The server of the photo took too long.")
    except FetchError as error:
        problem = error
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        problem = FetchError("photo_url_unreachable", "No photo could be read from this address.")
    else:
        file.seek(0)
        return file
    file.close()
    return problem


async def _fetch(client: httpx.AsyncClient, url: str, file: IO[bytes]) -> None:
    for _ in range(REDIRECTS + 1):
        named = _parsed(url)
        async with client.stream("GET", **await _pinned(named)) as response:
            if response.status_code not in REDIRECT_STATUS:
                await _read(response, file)
                return
            url = urljoin(str(named), response.headers.get("Location", ""))
    raise FetchError("photo_url_redirects", f"The address leads on to others more than {REDIRECTS} times.")


def _parsed(url: str) -> httpx.URL:
    """The address, if it is one that we ask: HTTP(S) without a password, at a port where web servers listen."""
    wrong = FetchError("photo_url_invalid", "Send an address that begins with http:// or https://.")
    try:
        named = httpx.URL(url if len(url) <= ADDRESS_LENGTH else "")
    except httpx.InvalidURL:
        raise wrong from None
    if named.scheme not in ("http", "https") or not named.host or named.userinfo or (named.port or 80) > LAST_PORT:
        raise wrong
    if named.port is not None and named.port not in PORTS and named.port < 1024:
        raise FetchError("photo_url_refused", "The address names a port that is not one of web servers.")
    return named


async def _pinned(named: httpx.URL) -> dict:
    """The request to the address that the host's name stands for now, checked; TLS still proves the name."""
    port = named.port or (443 if named.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    host = named.raw_host.decode()
    try:
        found = await loop.run_in_executor(_resolvers, _resolve, host, port)
    except (OSError, UnicodeError):
        raise FetchError("photo_url_unreachable", "There is no server of this name.") from None
    addresses = [ip_address(each.partition("%")[0]) for each in found]
    if not addresses or not all(map(_is_allowed, addresses)):  # one bad answer among good ones is an attack
        raise FetchError("photo_url_refused", "The address does not lead to the public internet.")
    return {
        "url": named.copy_with(host=str(addresses[0])),
        "headers": {"Host": named.netloc.decode()},
        "extensions": {"sni_hostname": host},
    }


def _resolve(host: str, port: int) -> list[str]:
    return [str(each[4][0]) for each in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)]


def _is_allowed(address: Address) -> bool:
    own = (ip_network(each.strip()) for each in load_env().outbound_networks.split(",") if each.strip())
    return is_public(address) or any(address in network for network in own)


async def _read(response: httpx.Response, file: IO[bytes]) -> None:
    if response.status_code != 200:
        raise FetchError("photo_url_status", f"The server of the photo answered {response.status_code}.")
    limit = load_env().photo_max_bytes
    too_large = FetchError("photo_too_large", f"The photo at this address is larger than {limit / 1e6:g} MB.")
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > limit:
        raise too_large
    got = 0
    async for chunk in response.aiter_raw(CHUNK):
        got += len(chunk)
        if got > limit:
            raise too_large
        file.write(chunk)
