"""Networks in CIDR notation: well-formed, and whether an address lies in one of them.

An IPv4 address that arrives in IPv6 clothes (`::ffff:10.0.0.1`, as sockets for both give it) is that IPv4 address,
on both sides.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING

from llm_scheduler.domain.addresses import address_of, network_of
from llm_scheduler.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_scheduler.domain.addresses import Network


def checked_network(text: str) -> str:
    """The network as it is kept: an address alone is a network of one.

    Raises:
        InvalidInputError: no network, or one with bits beyond its length.
    """
    try:
        return str(network_of(text))
    except ValueError as error:
        said = f"'{text[:60]}' is no network; write 10.0.0.0/8, 2001:db8::/32 or an address. {error}."
        raise InvalidInputError(said, "networks") from None


@lru_cache(maxsize=4096)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(network_of(text) for text in texts)


def contains(networks: Iterable[str], address: str) -> bool:
    """Whether one of the networks has the address. What is no address is in none.

    Raises:
        ValueError: one of the networks is none.
    """
    known = _networks(tuple(networks))
    found = address_of(address)
    return found is not None and any(found.version == one.version and found in one for one in known)


def is_within(inner: str, outer: Iterable[str]) -> bool:
    """Whether every address of a network lies in one of the others."""
    small = network_of(inner)
    for large in _networks(tuple(outer)):
        if (isinstance(small, IPv4Network) and isinstance(large, IPv4Network) and small.subnet_of(large)) or (
            isinstance(small, IPv6Network) and isinstance(large, IPv6Network) and small.subnet_of(large)
        ):
            return True
    return False
