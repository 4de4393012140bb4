"""Where webhooks may go. Strangers choose the address, and we are inside the network that they would like to reach.

What counts is the check of the address that a socket is about to connect to (`connectors/posting.py`). A look at the
text of a URL comes first, so that whoever registers a wrong one is told at once.
"""

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from core.errors import Invalid

Network = IPv4Network | IPv6Network
IPAddress = IPv4Address | IPv6Address

LONGEST: Final = 2048

# From the special-purpose registries of IANA, and what clouds keep for themselves. The first that fits names it.
_KINDS: Final = {
    "this network": "0.0.0.0/8 ::/128",
    "loopback": "127.0.0.0/8 ::1/128",
    "metadata": "169.254.169.254/32 168.63.129.16/32 100.100.100.200/32 192.0.0.192/32 fd00:ec2::254/128 "
    "fd20:ce::254/128",
    "private": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10",
    "link-local": "169.254.0.0/16 fe80::/10",
    "carrier-grade NAT": "100.64.0.0/10",
    "multicast": "224.0.0.0/4 ff00::/8",
    "documentation": "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
    "benchmark": "198.18.0.0/15 2001:2::/48",
    "mapped IPv4": "::ffff:0:0/96 ::ffff:0:0:0/96 ::/96",
    "NAT64": "64:ff9b::/96 64:ff9b:1::/48",
    "Teredo": "2001::/32",
    "6to4": "2002::/16 192.88.99.0/24",
    "segment routing": "5f00::/16",
    "reserved": "192.0.0.0/24 192.31.196.0/24 192.52.193.0/24 192.175.48.0/24 240.0.0.0/4 100::/64 100:0:0:1::/64 "
    "2001::/23 2620:4f:8000::/48",
}
FORBIDDEN: Final = tuple((kind, ip_network(one)) for kind, listed in _KINDS.items() for one in listed.split())
_GLOBAL: Final = IPv6Network("2000::/3")
_PORTS: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


def ports(named: str) -> tuple[range, ...]:
    """From a setting such as `443 8000-8999`. Raises `ValueError`."""
    found: list[range] = []
    for one in named.replace(",", " ").split():
        match = _PORTS.fullmatch(one)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 0 < first <= last < 65536:
            raise ValueError(f"{one!r} is no port and no range of ports such as 8000-8999")
        found.append(range(first, last + 1))
    return tuple(found)


def kind_of(address: IPAddress) -> str | None:
    """Why nothing goes there by itself, or None."""
    for kind, network in FORBIDDEN:
        if address.version == network.version and address in network:
            return kind
    if (address.version == 6 and address not in _GLOBAL) or not address.is_global:
        return "reserved"
    return None


@dataclass(frozen=True)
class Rules:
    """What the operator allows beyond the public internet."""

    allowed: Sequence[Network]
    http: bool
    ports: Sequence[range]

    def refusal(self, address: str) -> str | None:
        """Why nothing may connect to it, or None. An address that carries another is allowed only with that one."""
        try:
            ip = ip_address(address)
        except ValueError:
            return "not an address"
        kind = kind_of(ip)
        if kind is None:
            return None
        if not any(ip.version == network.version and ip in network for network in self.allowed):
            return kind
        inner = _carried(ip)
        return None if inner is None else self.refusal(str(inner))

    def refusal_of_url(self, scheme: str, host: str, port: int, *, credentials: bool) -> str | None:
        """What is wrong with it as far as its text tells; a name may still lead anywhere."""
        if scheme not in ("http", "https"):
            return "only https:// addresses can be posted to"
        if scheme == "http" and not self.http:
            return "only https:// addresses may be posted to here"
        if not host:
            return "the address names no host"
        if credentials:
            return "the address carries a user or password; use a header for that"
        if not any(port in allowed for allowed in self.ports):
            return f"port {port} may not be posted to"
        return None

    def check(self, url: str) -> str:
        """One to be registered, as it is to be kept. Raises `Invalid`."""
        url = url.strip()
        why: str | None
        if len(url) > LONGEST or any(ord(character) <= 32 or ord(character) == 127 for character in url):
            why = f"it is longer than {LONGEST} characters, or has blanks in it"
        else:
            try:
                parts = urlsplit(url)
                host, port = parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)
            except ValueError:
                why = "it cannot be read"
            else:
                credentials = "@" in parts.netloc
                why = self.refusal_of_url(parts.scheme, host, port, credentials=credentials)
                if why is None and (kind := self.refusal(_as_connected(host))) not in (None, "not an address"):
                    why = f"its address is not on the public internet ({kind})"
        if why is not None:
            raise Invalid(
                f"Nothing can be posted to this address: {why}.",
                field="url",
                hint="An address such as https://example.com/hooks. What an operator may allow beyond that is in "
                "webhook_networks, webhook_http and webhook_ports.",
            )
        return url


def _as_connected(host: str) -> str:
    """What a system makes of 0x7f.1 and 2130706433; a name stays one."""
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1"
    try:
        return str(IPv4Address(socket.inet_aton(host)))
    except (OSError, UnicodeEncodeError):
        return host


def _carried(ip: IPAddress) -> IPv4Address | None:
    if isinstance(ip, IPv4Address):
        return None
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip.teredo is not None:
        return ip.teredo[1]
    if any(ip in IPv6Network(one) for one in ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")) and int(ip) > 1:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return None
