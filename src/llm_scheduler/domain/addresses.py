"""Addresses and networks (CIDRs) in one form each, however they are written."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_LONGEST: Final = 64
"""Characters of an address with a zone; what is longer is none."""


@lru_cache(maxsize=4096)
def address_of(text: str) -> Address | None:
    """The address, an IPv4-mapped one (::ffff:192.0.2.1) as IPv4, without a zone; None if it is none."""
    if len(text) > _LONGEST:
        return None
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def network_of(text: str) -> Network:
    """The network, a single address as a network of one, an IPv4-mapped one as IPv4.

    Raises:
        ValueError: it is none, or has bits behind its prefix.
    """
    found = ip_network(text.strip())
    if isinstance(found, IPv6Network) and found.prefixlen >= _MAPPED.prefixlen and found.subnet_of(_MAPPED):
        return IPv4Network((int(found.network_address) & 0xFFFF_FFFF, found.prefixlen - _MAPPED.prefixlen))
    return found


@lru_cache(maxsize=4096)
def household(address: str) -> str:
    """Who is counted as one: an IPv4 address, or the /64 that an IPv6 customer has at least."""
    found = address_of(address)
    if isinstance(found, IPv6Address):
        return f"{IPv6Address(int(found) >> 64 << 64)}/64"
    return address[:_LONGEST] if found is None else str(found)
