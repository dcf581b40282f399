"""Whether an address is in one of some networks (CIDRs)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from llm_scheduler.domain.addresses import address_of, network_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.addresses import Network


@lru_cache(maxsize=4096)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(network_of(text) for text in texts)


def contains(networks: Sequence[str], address: str) -> bool:
    """Whether one of the networks has the address. What is no address is in none.

    Raises:
        ValueError: one of the networks is none.
    """
    known = _networks(tuple(networks))
    found = address_of(address)
    return found is not None and any(found.version == one.version and found in one for one in known)
