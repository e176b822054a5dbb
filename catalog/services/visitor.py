"""Who stands behind a request: the client's network address, as far as it can be believed.

Read by the budgets of the API, of large bodies and of logging in. ``X-Forwarded-For`` is written by whoever likes to,
so only the entries that proxies of ours (``VITRINE_TRUSTED_PROXIES``) added are believed: from the right, up to the
first address that is none of them.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.http import HttpRequest

from config.env import load_env

UNKNOWN = "unknown"
HOME_NETWORK = 64  # bits of an IPv6 address that one subscriber has for itself


def visitor_of(request: HttpRequest) -> str:
    """The client's address; of an IPv6 one its network, because a single visitor has 2^64 addresses."""
    return visitor_at(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""))


def visitor_at(peer: str, forwarded: str) -> str:
    """The same before there is a request: who is connected, and what ``X-Forwarded-For`` says."""
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    address = _parsed(peer)
    while address and hops and _is_ours(address):
        address = _parsed(hops.pop())
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        return str(ip_network((address, HOME_NETWORK), strict=False))
    return str(address)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_ours(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in load_env().trusted_proxies)
