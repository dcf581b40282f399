"""Networks in CIDR notation: well-formed, and whether an address lies in one of them.

An IPv4 address that arrives in IPv6 clothes (`::ffff:10.0.0.1`, as sockets for both give it) is that IPv4 address,
on both sides.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network
_MAPPED_BITS: Final = 96
"""Of an IPv6 address, before the IPv4 address that is mapped into it."""


def checked_network(text: str) -> str:
    """The network as it is kept: an address alone is a network of one.

    Raises:
        InvalidInputError: no network, or one with bits beyond its length.
    """
    try:
        return str(_network(text.strip()))
    except ValueError as error:
        said = f"'{text[:60]}' is no network; write 10.0.0.0/8, 2001:db8::/32 or an address. {error}."
        raise InvalidInputError(said, "networks") from None


def contains(networks: Iterable[str], address: str) -> bool:
    """Whether the address lies in one of the networks; text that is no address lies nowhere.

    Raises:
        ValueError: one of the networks did not come from `checked_network`.
    """
    found = _address(address)
    return found is not None and any(_holds(_network(network), found) for network in networks)


def is_within(inner: str, outer: Iterable[str]) -> bool:
    """Whether every address of a network lies in one of the others."""
    small = _network(inner)
    for text in outer:
        large = _network(text)
        if (isinstance(small, IPv4Network) and isinstance(large, IPv4Network) and small.subnet_of(large)) or (
            isinstance(small, IPv6Network) and isinstance(large, IPv6Network) and small.subnet_of(large)
        ):
            return True
    return False


def _holds(network: _Network, address: _Address) -> bool:
    return network.version == address.version and address in network


@lru_cache(maxsize=4096)
def _network(text: str) -> _Network:
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((int(mapped), network.prefixlen - _MAPPED_BITS))
    return network


@lru_cache(maxsize=4096)
def _address(text: str) -> _Address | None:
    try:
        address = ip_address(text.partition("%")[0])  # without the zone of a link-local address
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
