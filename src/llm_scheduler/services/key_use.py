"""When API keys were last used: noted in memory, written now and then, never on a request's way."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.domain.errors import SchedulerError

if TYPE_CHECKING:
    from llm_scheduler.ports.api_keys import KeysMoves
    from llm_scheduler.services.door import Door

WRITE_EVERY_S: Final = 60.0
_log = structlog.get_logger(__name__)


class KeyUse:
    """One loop of a process. A key that is used all the time costs one written row a minute."""

    def __init__(self, store: KeysMoves, door: Door, every_s: float = WRITE_EVERY_S) -> None:
        self._store, self._door, self._every_s = store, door, every_s

    async def run(self) -> None:
        """Until it is cancelled; what is noted by then is written, if the record can be."""
        try:
            while True:
                await asyncio.sleep(self._every_s)
                try:
                    await self.write()
                except SchedulerError as error:
                    # A look at last_used_at is not worth a second attempt.
                    _log.warning("key_use_lost", error=str(error))
        finally:
            with contextlib.suppress(SchedulerError):
                await self.write()

    async def write(self) -> None:
        """All that is noted, with the time of the latest.

        Raises:
            StoreUnavailableError: it is lost.
        """
        used = self._door.take_used()
        if used:
            await self._store.note_keys_used(list(used), max(used.values()))
