"""Takes configuration over that another process has changed: at once when told, now and then in any case."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.domain.errors import SchedulerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from llm_scheduler.ports.cache import ReadThrough

BACKSTOP_S: Final = 30.0
"""News of a change are best effort; a reload that finds nothing new costs one look into the memory level."""
_AFTER_FAULT_S: Final = 1.0
_log = structlog.get_logger(__name__)


class Reloading:
    """One loop. Only for an installation of several processes: a single one makes every change itself.

    Args:
        load: takes everything over; `Models.load`.
        cache: tells of what others dropped.
        backstop_s: the longest that a missed message goes unnoticed, the cache's own time to live aside.
    """

    def __init__(self, load: Callable[[], Awaitable[None]], cache: ReadThrough, backstop_s: float = BACKSTOP_S) -> None:
        self._load, self._cache, self._backstop_s = load, cache, backstop_s
        self._stale = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._undo: Callable[[], None] | None = None

    def begin(self) -> None:
        """Start listening."""
        self._undo = self._cache.on_drop(self._note)
        self._loop = asyncio.create_task(self._run(), name="reloading")

    async def stop(self) -> None:
        """End the loop."""
        if self._undo is not None:
            self._undo()
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    def _note(self, _keys: Sequence[str] | None) -> None:
        self._stale.set()

    async def _run(self) -> None:
        while True:
            try:
                # Not `wait_for`: it swallows a cancel that comes with the event (Python 3.11).
                async with asyncio.timeout(self._backstop_s):
                    await self._stale.wait()
            except TimeoutError:
                pass
            self._stale.clear()
            try:
                await self._load()
            except SchedulerError as error:
                _log.warning("reload_failed", error=str(error))
            except Exception:  # noqa: BLE001 - the outermost place, logged
                _log.exception("reload_broke")
            else:
                continue
            await asyncio.sleep(_AFTER_FAULT_S)
            self._stale.set()
