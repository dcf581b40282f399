"""Wake-ups: who waits is told that something happened since they last looked.

Rings are counted. A waiter says which count it has seen, so a ring between its claim and its wait is
not lost, and one that it knows of does not wake it again.
"""

from __future__ import annotations

import asyncio


class Bell:
    """The bell of one process. Lanes share it: a spurious wake-up costs one claim that finds nothing."""

    def __init__(self) -> None:
        self.rings = 0
        self._sleepers: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """A claim may succeed now."""
        self.rings += 1
        for sleeper in self._sleepers:
            if not sleeper.done():
                sleeper.set_result(None)

    async def wait(self, seen: int, timeout_ms: int) -> int:
        """Return the count of rings once it differs from `seen`, or after the timeout."""
        if self.rings == seen:
            sleeper = asyncio.get_running_loop().create_future()
            self._sleepers.add(sleeper)
            try:
                await asyncio.wait((sleeper,), timeout=timeout_ms / 1000)
            finally:
                self._sleepers.discard(sleeper)
        return self.rings
