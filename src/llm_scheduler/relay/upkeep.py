"""When upkeep happens: exact timers where the next moment is known, a slow tick as backstop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.domain.errors import SchedulerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llm_scheduler.domain.ids import Millis
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.services.upkeep import Upkeep

_log = structlog.get_logger(__name__)
RESCUE_EVERY_S: Final = 2.0
RECONCILE_EVERY_S: Final = 15.0
ROLL_UP_EVERY_S: Final = 60.0
_LONGEST_SLEEP_S: Final = 5.0
_AFTER_FAULT_S: Final = 1.0


# `asyncio.timeout` and not `wait_for`: the latter swallows a cancel that comes with the event (Python 3.11).


class UpkeepLoops:
    """Background loops of one process. A failing tick is logged and tried again; a loop never ends."""

    def __init__(self, upkeep: Upkeep, clock: Clock) -> None:
        self._upkeep, self._clock = upkeep, clock
        self._due = asyncio.Event()
        self._due_at: Millis | None = None
        self._doubt = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    def note_due(self, due_at: Millis) -> None:
        """Something will be due then: wake the promoter no later."""
        if self._due_at is None or due_at < self._due_at:
            self._due_at = due_at
            self._due.set()

    def note_lost(self) -> None:
        """The index may lack tasks: reconcile now."""
        self._doubt.set()

    def begin(self) -> None:
        """Start the loops."""
        self._loops = [
            asyncio.create_task(self._promote(), name="promoter"),
            asyncio.create_task(self._every(RESCUE_EVERY_S, self._upkeep.rescue), name="rescuer"),
            asyncio.create_task(self._reconcile(), name="reconciler"),
            asyncio.create_task(self._every(ROLL_UP_EVERY_S, self._upkeep.roll_up), name="statistician"),
        ]

    async def stop(self) -> None:
        """End the loops."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def _promote(self) -> None:
        while True:
            self._due.clear()
            self._due_at = None
            await _tick(self._upkeep.promote)
            await _tick(self._upkeep.expire)
            sleep_s = _LONGEST_SLEEP_S
            try:
                sleep_s = await self._upkeep.next_due_in_s(_LONGEST_SLEEP_S)
            except SchedulerError as error:
                _log.warning("upkeep_failed", step="next_due", error=str(error))
            await self._sleep_until_due(sleep_s)

    async def _sleep_until_due(self, sleep_s: float) -> None:
        """Sleep; a nearer moment that is noted meanwhile shortens it."""
        until_s = self._clock.monotonic_s() + sleep_s
        while (left_s := until_s - self._clock.monotonic_s()) > 0:
            if self._due_at is not None:
                left_s = min(left_s, max(0.0, (self._due_at - self._clock.now()) / 1000))
            self._due.clear()
            try:
                # One millisecond more: due times are whole milliseconds, and waking early finds nothing.
                async with asyncio.timeout(left_s + 0.001):
                    await self._due.wait()
            except TimeoutError:
                return

    async def _reconcile(self) -> None:
        while True:
            try:
                async with asyncio.timeout(RECONCILE_EVERY_S):
                    await self._doubt.wait()
            except TimeoutError:
                await _tick(self._upkeep.reconcile)
                continue
            self._doubt.clear()
            if not await _tick(self._upkeep.walk):
                await asyncio.sleep(_AFTER_FAULT_S)
                self._doubt.set()

    async def _every(self, period_s: float, step: Callable[[], Awaitable[object]]) -> None:
        while True:
            await asyncio.sleep(period_s)
            await _tick(step)


async def _tick(step: Callable[[], Awaitable[object]]) -> bool:
    """Do it; whether it went well. The outermost place: nothing may end a loop."""
    try:
        await step()
    except SchedulerError as error:
        _log.warning("upkeep_failed", step=getattr(step, "__name__", "step"), error=str(error))
        return False
    except Exception:  # noqa: BLE001 - the outermost place, logged
        _log.exception("upkeep_broke", step=getattr(step, "__name__", "step"))
        return False
    return True
