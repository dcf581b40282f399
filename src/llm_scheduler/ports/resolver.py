"""What addresses a host's name stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Resolver(Protocol):
    """Asks whoever knows names."""

    async def addresses(self, host: str) -> Sequence[str]:
        """Every address of the host, in standard form; empty when the name is not known, or nobody answers in time.

        Hosts that are addresses in an odd form (`2130706433`, `0x7f.1`) come out as what they mean.
        """
        ...
