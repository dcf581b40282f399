"""What a connection may cost before its request is whole: time, bytes, and how many there are.

uvicorn waits for ever for a head or a body, and takes heads of any size. Here every connection knows since when it owes
something, and once a second somebody looks: a request costs two assignments, not a timer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.addresses import household
from llm_scheduler.domain.networks import contains

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

LOOK_EVERY_S: Final = 1.0
LEAST_BYTES_S: Final = 10_000
"""Bytes a second for which a body gets a second more than `Bounds.body_s`."""


@dataclass
class Bounds:
    """Limits of all connections of this process, and the connections.

    Args:
        header_s: for a head to arrive, from its first byte, or from the connection's begin.
        body_s: for a body; for each piece where the path is in `streamed`; and for the peer to take what is sent.
        header_bytes, headers, url_bytes: of a head.
        connections: open at once.
        per_address: of them from one address, 0 = any; networks in `trusted` apart.
    """

    header_s: float = 10.0
    body_s: float = 60.0
    header_bytes: int = 32_768
    headers: int = 100
    url_bytes: int = 16_384
    connections: int = 10_000
    per_address: int = 1_000
    trusted: Sequence[str] = ()
    streamed: Collection[str] = frozenset()
    open: set[Any] = field(default_factory=set)
    by_address: Counter[str] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    """Connections that were closed, by status."""

    def enter(self, connection: Any, address: str) -> int:
        """One more; the status to refuse it with, 0 = it may stay."""
        if len(self.open) >= self.connections:
            return 503
        house = household(address)
        is_bound = self.per_address and self.by_address[house] >= self.per_address
        if is_bound and not contains(self.trusted, address):
            return 429
        self.open.add(connection)
        self.by_address[house] += 1
        return 0

    def leave(self, connection: Any, address: str) -> None:
        """One less, if it was in."""
        if connection in self.open:
            self.open.discard(connection)
            house = household(address)
            self.by_address[house] -= 1
            if self.by_address[house] <= 0:
                del self.by_address[house]

    async def sweep_forever(self) -> None:
        """Close what is too slow, as long as this runs."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.sweep(loop.time())

    def sweep(self, now_s: float) -> None:
        """Close what is too slow."""
        for connection in list(self.open):
            if connection.is_late(now_s):
                connection.refuse(408)
