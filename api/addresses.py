"""Where a request comes from, and over what. Headers are believed only of proxies that the settings name, and of our
own dashboard."""

import ipaddress
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from fastapi import Request
from starlette.requests import HTTPConnection

from api.deps import platform_of
from core import service_credentials
from core.signins import Here

DASHBOARD_HEADER = "X-WaQtor-Dashboard"
"""What the dashboard says to be believed (ui/session.py)."""


def address_of(request: HTTPConnection) -> str:
    """The nearest address that is no trusted proxy; empty where there is none, as on a Unix socket."""
    peer = request.client.host if request.client else ""
    proxies = platform_of(request).settings.proxies
    if not is_among(peer, proxies) and not _is_dashboard(request):
        return _plain(peer)
    for said in reversed(",".join(request.headers.getlist("x-forwarded-for")).split(",")):
        if said.strip() and not is_among(said.strip(), proxies):
            return _plain(said.strip()) or _plain(peer)  # nonsense is counted with the proxy that let it through
    return _plain(peer)


def _is_dashboard(request: HTTPConnection) -> bool:
    said = request.headers.get(DASHBOARD_HEADER)
    return said is not None and service_credentials.is_dashboards(platform_of(request).key, said)


def is_secure(request: Request) -> bool:
    """Over TLS, ours or that of a trusted proxy."""
    peer = request.client.host if request.client else ""
    if is_among(peer, platform_of(request).settings.proxies):
        return request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
    return request.url.scheme == "https"


def here(request: Request) -> Here:
    return Here(
        address=address_of(request),
        agent=request.headers.get("user-agent", "").replace("\0", "")[:200],
        request_id=request.state.request_id,
    )


def is_among(address: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    plain = _read(address)
    return plain is not None and any(plain in network for network in networks)


def _plain(address: str) -> str:
    """Empty for what is no address."""
    found = _read(address)
    return str(found) if found else ""


@lru_cache(maxsize=4096)
def _read(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found
