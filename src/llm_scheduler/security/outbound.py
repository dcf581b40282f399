"""Asking the system what a host's name stands for."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_S: Final = 2.0


class SystemResolver:
    """A `ports.resolver.Resolver`: the same that connections will ask."""

    async def addresses(self, host: str) -> Sequence[str]:
        """See `ports.resolver.Resolver`."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError, ValueError):
            return ()
        return list(dict.fromkeys(str(address[0]) for *_, address in found))
