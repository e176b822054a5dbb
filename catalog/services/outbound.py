"""The guarded way out: one HTTP request to an address that a stranger named, without lending them our network.

Called where a merchant says where to: webhooks, and photos by their address (``photo_address``). An address is looked
up once, judged, and connected to as it was judged, so a name cannot mean something else a moment later (DNS rebinding).
Nothing is followed: no redirect (who wants to asks anew, and is judged anew), no proxy of the environment. Time and
size are bounded as a whole, so an answer that drips a byte at a time ends too. No connection is used twice: one that
proved another host's name proves nothing for this one.
"""

import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import httpcore
import httpx

from config.env import load_env

URL_LIMIT = 2000
WRITE_BYTES = 1 << 14
CONNECT_SECONDS = 5.0  # for one address of a name, so that the next one has a chance
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
HIDDEN = [  # looks public to Python, and is not meant for strangers
    ipaddress.ip_network("168.63.129.16/32"),  # Azure: the virtual machine's host
    ipaddress.ip_network("192.0.0.0/24"),  # RFC 6890, and Oracle's metadata
    ipaddress.ip_network("192.88.99.0/24"),  # RFC 7526: relays that are no more
    ipaddress.ip_network("64:ff9b:1::/48"),  # RFC 8215: translated inside a network
]
HOST = re.compile(rb"[A-Za-z0-9._-]+")
MALFORMED = (httpcore.ProtocolError, httpcore.UnsupportedProtocol)
PORTS = {"http": 80, "https": 443}
FIRST_FREE_PORT = 1024  # below it only the two of web servers: the others are mail, remote logins and the like

# A name server that never answers holds one of these, and not the caller, who goes on when his time is over.
_resolvers = ThreadPoolExecutor(64, thread_name_prefix="resolver")


class OutboundError(Exception):
    """A request that was not made or not answered. ``code`` is stable, ``message`` a sentence for people.

    Codes: url_invalid, address_refused, host_unknown, connect_failed, tls_failed, timed_out, answer_invalid.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Answer:
    """What came back. ``headers`` have lower-case names; ``is_whole`` is false where the body was cut at the limit."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool


def url_check(url: str) -> httpx.URL:
    """The URL, taken apart. Raises ``OutboundError`` (url_invalid, address_refused) without asking any name server.

    A name may still lead to a refused address: ``fetch`` finds that out, each time anew.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError):
        parsed = httpx.URL("")
    literal = _as_address(parsed.host)
    is_host = literal is not None or HOST.fullmatch(parsed.raw_host)
    is_port = parsed.port is None or 0 < parsed.port < 1 << 16
    if len(url) > URL_LIMIT or parsed.scheme not in PORTS or parsed.userinfo or not (is_host and is_port):
        raise OutboundError("url_invalid", "Use an http:// or https:// address with a host and without a password.")
    if parsed.port and parsed.port < FIRST_FREE_PORT and parsed.port not in PORTS.values():
        raise OutboundError("address_refused", "This is not a port of web servers, so it is not called.")
    if literal is not None:
        _judge([literal])
    return parsed


@contextmanager
def opened(
    method: str, url: str, *, seconds: float, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Iterator[httpcore.Response]:
    """One request; its answer is read inside the block, and all of it ends ``seconds`` from now.

    A status of any kind is an answer. Raises ``OutboundError``, out of the block too.
    """
    address = url_check(url)
    backend = _GuardedBackend(until=time.monotonic() + seconds)
    target = httpcore.URL(
        scheme=address.raw_scheme,
        host=address.raw_host,
        port=address.port or PORTS[address.scheme],
        target=address.raw_path,
    )
    try:
        with (
            httpcore.ConnectionPool(ssl_context=_ssl_context(), network_backend=backend) as pool,
            pool.stream(method, target, headers=_headers(address, headers or {}), content=body or None) as response,
        ):
            yield response
    except httpcore.TimeoutException as error:
        raise OutboundError("timed_out", f"No complete answer within {seconds:g} s.") from error
    except MALFORMED as error:
        raise OutboundError("answer_invalid", f"The answer is not HTTP: {error}") from error
    except httpcore.NetworkError as error:
        raise OutboundError("connect_failed", f"The connection failed: {error}") from error


def fetch(
    method: str,
    url: str,
    *,
    seconds: float,
    max_bytes: int,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """One request and at most ``max_bytes`` of its answer, as ``opened``."""
    with opened(method, url, seconds=seconds, headers=headers, body=body) as response:
        return _answer(response, max_bytes)


def _headers(address: httpx.URL, given: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Identity only: a compressed answer could unpack to any size."""
    names = {"Host": address.netloc.decode("ascii"), "Accept-Encoding": "identity", **given}
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in names.items()]


def _answer(response: httpcore.Response, max_bytes: int) -> Answer:
    body = bytearray()
    for block in response.iter_stream():
        body += block
        if len(body) > max_bytes:
            break
    return Answer(response.status, headers_of(response), bytes(body[:max_bytes]), is_whole=len(body) <= max_bytes)


def headers_of(response: httpcore.Response) -> dict[str, str]:
    """Its headers by their names in lower case."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}


@lru_cache(maxsize=1)
def _ssl_context() -> ssl.SSLContext:
    """Certificates are verified; ``SSL_CERT_FILE`` names an authority of one's own."""
    return httpx.create_ssl_context()


def _as_address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _addresses(host: str, port: int, seconds: float) -> list[str]:
    """What the name means, all of it judged: one refused address refuses the name."""
    asked = _resolvers.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = asked.result(timeout=seconds)
    except TimeoutError as error:
        asked.cancel()
        raise httpcore.ConnectTimeout("the name server does not answer") from error
    except (OSError, UnicodeError) as error:
        raise OutboundError("host_unknown", f"There is no host {host}.") from error
    texts = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    _judge(ipaddress.ip_address(text) for text in texts)
    return texts


def _judge(addresses: Iterable[IPv4Address | IPv6Address]) -> None:
    own = load_env().outbound_networks
    if not all(is_public(each) or any(each in network for network in own) for each in addresses):
        raise OutboundError("address_refused", "This address is not on the public internet, so it is not called.")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it may be anywhere but here: not private, loopback, link-local (cloud metadata), shared or multicast.

    IPv4 wrapped in IPv6 is refused, but for the translation through which networks with IPv6 alone reach all others.
    """
    if isinstance(address, IPv6Address):
        if inner := _nat64(address):
            return is_public(inner)
        if address.ipv4_mapped or address.sixtofour or address.teredo or address.is_site_local:
            return False
    if address.is_multicast or address.is_reserved or any(address in each for each in HIDDEN):
        return False
    return address.is_global


def _nat64(address: IPv6Address) -> IPv4Address | None:
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else None


class _GuardedBackend(httpcore.NetworkBackend):
    """Connects to the very address that was judged; everything on the connection shares one deadline."""

    def __init__(self, until: float) -> None:
        self._until = until
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        """The first of the host's addresses that answers. TLS still checks the certificate against the host's name."""
        failure: Exception = httpcore.ConnectError("it has no address")
        for address in _addresses(host, port, _left(self._until, httpcore.ConnectTimeout)):
            left = min(CONNECT_SECONDS, _left(self._until, httpcore.ConnectTimeout))
            try:
                plain = self._plain.connect_tcp(address, port, left, local_address, socket_options)
                return _TimedStream(plain, self._until)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _TimedStream(httpcore.NetworkStream):
    """A connection whose every step ends at the same moment."""

    def __init__(self, plain: httpcore.NetworkStream, until: float) -> None:
        self._plain = plain
        self._until = until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """As httpcore asks, until the deadline."""
        return self._plain.read(max_bytes, timeout=_left(self._until, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """In parts, so that a slow reader cannot stretch one call without end."""
        for start in range(0, len(buffer), WRITE_BYTES):
            part = buffer[start : start + WRITE_BYTES]
            self._plain.write(part, timeout=_left(self._until, httpcore.WriteTimeout))

    def close(self) -> None:
        """Closes it."""
        self._plain.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same connection, encrypted."""
        left = _left(self._until, httpcore.ConnectTimeout)
        try:
            return _TimedStream(self._plain.start_tls(ssl_context, server_hostname, left), self._until)
        except httpcore.ConnectError as error:
            raise OutboundError(
                "tls_failed", f"The host's certificate or its encryption is not accepted: {error}"
            ) from error

    def get_extra_info(self, info: str) -> Any:
        """What httpcore wants to know of the socket."""
        return self._plain.get_extra_info(info)


def _left(until: float, late: type[httpcore.TimeoutException]) -> float:
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise late("the time is over")
    return seconds
