"""Where a request comes from: the client's address and scheme behind proxies that the installation trusts, only."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.domain.addresses import address_of
from llm_scheduler.domain.networks import contains

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import Scope

MOST_HOPS: Final = 32
"""Only so many entries of a header are looked at, from the right."""
_LONGEST: Final = 4096
"""Bytes of a header that are looked at, from the right."""
FORWARDED_FOR, FORWARDED = b"x-forwarded-for", b"forwarded"
_PROTO: Final = b"x-forwarded-proto"
_SIGNS: Final = frozenset({FORWARDED_FOR, FORWARDED, _PROTO, b"x-forwarded-host", b"x-real-ip", b"via"})
"""Headers that say: there is a proxy in between."""
UNKNOWN: Final = "unknown"
_SCHEMES: Final = frozenset({"http", "https"})


class Origin(NamedTuple):
    """Who asks, and how.

    `peer` is at the other end of the connection; `address` is the client's, as far as trusted proxies tell.
    `is_local`: it comes from this machine itself, and not through a proxy on it that nobody trusts.
    """

    address: str
    scheme: str
    peer: str
    is_local: bool


class Origins:
    """Reads them.

    Args:
        trusted: networks of the proxies whose word is taken.
        header: which of the two they write: X-Forwarded-For (and -Proto) or Forwarded. The other one is what a client
            may write as it likes, so it is never read.
    """

    def __init__(self, trusted: Sequence[str] = (), header: bytes = FORWARDED_FOR) -> None:
        self.trusted, self._header = tuple(trusted), header

    def of(self, scope: Scope, fields: Mapping[bytes, bytes]) -> Origin:
        """Where the request comes from. `fields`: its headers; of several of a name the last one."""
        client = scope.get("client")
        peer = "" if client is None else client[0]
        scheme = scope.get("scheme", "http")
        is_forwarded = not _SIGNS.isdisjoint(fields)
        if not is_forwarded or not self.trusted or not self.trusts(peer):
            return _of_peer(peer, scheme, is_forwarded)
        values = [value for name, value in scope["headers"] if name == self._header]
        said = b",".join(values)[-_LONGEST:].decode("latin-1")
        if self._header == FORWARDED:
            return self._resolved([_element(one) for one in said.split(",") if one.strip()], scheme, peer)
        proto = fields.get(_PROTO, b"")[-_LONGEST:].decode("latin-1").rpartition(",")[2].strip().lower()
        return self._resolved([(hop, proto) for hop in said.split(",") if hop.strip()], scheme, peer)

    def trusts(self, peer: str) -> bool:
        """Whether that is a proxy whose word is taken."""
        return contains(self.trusted, peer)

    def _resolved(self, hops: list[tuple[str, str]], scheme: str, peer: str) -> Origin:
        """By the rightmost hop that is no trusted proxy; what stands left of it may be anybody's invention.

        Args:
            hops: of each, from left to right, the address and the scheme that it came by.
            scheme: of the connection.
            peer: at its other end.
        """
        address, proto, is_told = peer, "", False
        for hop, said in reversed(hops[-MOST_HOPS:]):
            found = hop_address(hop)
            if found is None:
                address = UNKNOWN  # a trusted proxy hides its client: nobody, then, that any network contains
                break
            address, proto, is_told = found, said.lower(), True
            if not self.trusts(found):
                break
        # Without a hop it is the proxy itself that asks, or a client that it does not name.
        is_local = is_told and _is_loopback(peer) and _is_loopback(address)
        return Origin(address, proto if proto in _SCHEMES else scheme, peer, is_local)


@lru_cache(maxsize=4096)
def _of_peer(peer: str, scheme: str, is_forwarded: bool) -> Origin:
    return Origin(peer, scheme, peer, not is_forwarded and _is_loopback(peer))


@lru_cache(maxsize=4096)
def _is_loopback(address: str) -> bool:
    found = address_of(address)
    return address == "localhost" or (found is not None and found.is_loopback)


def hop_address(text: str) -> str | None:
    """The address in one entry: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`; None = none."""
    bare = text.strip().strip('"').strip()
    if bare.startswith("["):
        bare, closed, port = bare[1:].partition("]")
        if not closed or (port and not (port.startswith(":") and port[1:].isdecimal())):
            return None
    elif bare.count(":") == 1:
        bare, _, port = bare.partition(":")
        if not port.isdecimal():
            return None
    found = address_of(bare)
    return None if found is None else str(found)


def _element(said: str) -> tuple[str, str]:
    """Address and scheme in an element of a Forwarded header (RFC 7239).

    It is cut at every comma and semicolon, also in quotes: neither stands in an address, and a quote that a client
    left open must not swallow what proxies wrote behind it.
    """
    pairs: dict[str, str] = {}
    for pair in said.split(";"):
        name, _, value = pair.partition("=")
        pairs.setdefault(name.strip().lower(), value.strip().strip('"'))
    return pairs.get("for", ""), pairs.get("proto", "")
