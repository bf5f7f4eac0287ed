"""Where a webhook may go: which URLs are taken, and which addresses are connected to.

The name is looked up once, each address that it has is checked, and one of these very addresses is
connected to: a name that leads elsewhere a moment later leads nowhere.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

URL_CHARACTERS = 500
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]"
_URL = re.compile(rf"https://({_HOST})(?::([0-9]{{1,5}}))?(/[!-\"$-~]*)?")
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A URL, taken apart."""

    host: str
    port: int
    path: str

    @property
    def name(self) -> str:
        """The host as it is looked up, and as its certificate names it."""
        return self.host.strip("[]")

    @property
    def authority(self) -> str:
        """The host as a request names it."""
        return self.host if self.port == 443 else f"{self.host}:{self.port}"


def parse_target(url: str, ports: Iterable[int]) -> Target:
    """Take a URL apart.

    Raises
    ------
    ValueError
        When it is none that a webhook may have; the text says what would be.

    Examples
    --------
    >>> parse_target("https://hooks.example.org/x?y=1", [443])
    Target(host='hooks.example.org', port=443, path='/x?y=1')
    """
    found = _URL.fullmatch(url) if len(url) <= URL_CHARACTERS else None
    if found is None:
        raise ValueError("write it as https://host/path: no user, no fragment, no spaces")
    port = int(found[2] or 443)
    if port not in ports:
        raise ValueError(f"port {port} is not allowed here: use {', '.join(map(str, ports))}")
    return Target(host=found[1].lower(), port=port, path=found[3] or "/")


def look_up(target: Target) -> list[Address]:
    """Ask once for all addresses of a name."""
    found = socket.getaddrinfo(target.name, target.port, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(str(entry[4][0]) for entry in found)
    return [ip_address(text) for text in texts]


def may_reach(address: Address, networks: Iterable[str]) -> bool:
    """Whether an address is everybody's, or in a network that the site allows.

    >>> [may_reach(ip_address(text), []) for text in ("192.0.32.10", "::ffff:127.0.0.1")]
    [True, False]
    >>> may_reach(ip_address("10.0.0.1"), ["10.0.0.0/8"])
    True
    """
    inner = _inside(address)
    if any(inner in ip_network(network) for network in networks):
        return True
    return inner.is_global and not inner.is_multicast and not inner.is_reserved


def _inside(address: Address) -> Address:
    """Unwrap an IPv4 address that is written as one of IPv6: where it leads is what counts."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)
