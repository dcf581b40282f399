"""Where calls may go that users chose the address of: what keeps a model's URL from reaching into the own network.

Decided by the address that a connection is opened to, never by the name: names may change what they mean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.addresses import address_of, network_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.addresses import Address, Network


class Reach(StrEnum):
    """How far calls may go."""

    OPEN = "open"
    """Anywhere but to metadata services and link-local addresses."""
    PUBLIC = "public"
    """To addresses of the internet."""
    ALLOWLIST = "allowlist"
    """Only where it is listed."""


_NEVER: Final = tuple(
    network_of(one)
    for one in (
        "169.254.0.0/16",  # link-local, and the metadata services of most clouds
        "100.100.100.200/32",  # Alibaba's
        "168.63.129.16/32",  # Azure's
        "192.0.0.192/32",  # Oracle's
        "224.0.0.0/4",
        "255.255.255.255/32",
        "fe80::/10",
        "fec0::/10",
        "fd00:ec2::/32",  # Amazon's
        "fd20:ce::/32",  # Google's
        "ff00::/8",
    )
)
"""Where nobody's model is: only a network of the list opens it."""

_NOT_PUBLIC: Final = tuple(
    network_of(one)
    for one in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "240.0.0.0/4",
        "2001::/23",  # Teredo and other protocols: an IPv4 address may be inside
        "2001:db8::/32",
        "3fff::/20",
    )
)
"""Source: IANA's registries of special-purpose addresses; of IPv6 only 2000::/3 is public at all."""

_GLOBAL: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_COMPATIBLE: Final = IPv6Network("::/96")
_HOST: Final = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?")
_ADDRESS_FIELD: Final = re.compile(r"(?:^|_)(?:url|uri|endpoint|host)$")
_FILE_FIELD: Final = re.compile(r"(?:^|_)(?:path|file|dir|folder|ledger)$")


def inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one leads to (NAT64, 6to4, compatible); else the address itself."""
    if isinstance(address, IPv6Address):
        number = int(address)
        if address in _NAT64 or (address in _COMPATIBLE and number > 1):
            return IPv4Address(number & 0xFFFF_FFFF)
        if address in _SIX_TO_FOUR:
            return IPv4Address(number >> 80 & 0xFFFF_FFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether it is one of the internet's."""
    reached = inner(address)
    if isinstance(reached, IPv6Address) and reached not in _GLOBAL:
        return False
    return not _is_in(reached, _NOT_PUBLIC) and not _is_in(reached, _NEVER)


@dataclass(frozen=True, slots=True)
class Outbound:
    """What one model may call.

    `allow` holds networks, hosts and `*.domains`, in lower case. A network opens also what is never open else;
    a host opens whatever it resolves to, but for that.
    """

    reach: Reach = Reach.OPEN
    allow: tuple[str, ...] = ()

    def refuses(self, host: str, address: str) -> bool:
        """Whether a connection for this host must not be opened to this address."""
        found = address_of(address)
        if found is None:
            return True
        networks = _networks_in(self.allow)
        reached = inner(found)
        if _is_in(found, networks) or _is_in(reached, networks):
            return False
        if _is_in(reached, _NEVER):
            return True
        if self.reach is Reach.OPEN or self.lists(host):
            return False
        return self.reach is Reach.ALLOWLIST or not is_public(found)

    def lists(self, host: str) -> bool:
        """Whether the list names this host."""
        name = host.lower().rstrip(".")
        return any(
            name == entry or (entry.startswith("*.") and name.endswith(entry[1:]))
            for entry in self.allow
            if _network_in(entry) is None
        )


def check_entry(entry: str) -> None:
    """Refuse what is neither a network nor a host.

    Raises:
        ValueError: says what is taken.
    """
    if _network_in(entry) is None and not _HOST.fullmatch(entry.lower()):
        raise ValueError(f"'{entry}' is no network (10.0.0.0/8), host (llm.example.com) or *.domain")


def addresses_in(config: Mapping[str, object]) -> dict[str, str]:
    """The fields of a provider's config that say where calls go, with what they say."""
    return {
        name: value
        for name, value in config.items()
        if isinstance(value, str) and value and _ADDRESS_FIELD.search(name)
    }


def files_in(config: Mapping[str, object]) -> dict[str, object]:
    """The fields of a provider's config that name files of the machine it runs on, with what they say."""
    return {name: value for name, value in config.items() if value and _FILE_FIELD.search(name)}


def _network_in(entry: str) -> Network | None:
    try:
        return network_of(entry)
    except ValueError:
        return None


def _networks_in(allow: Sequence[str]) -> list[Network]:
    return [network for entry in allow if (network := _network_in(entry)) is not None]


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(
        (isinstance(address, IPv4Address) and isinstance(one, IPv4Network) and address in one)
        or (isinstance(address, IPv6Address) and isinstance(one, IPv6Network) and address in one)
        for one in networks
    )
