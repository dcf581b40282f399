"""When upkeep happens: exact timers where the next moment is known, slow ticks as backstop.

Of several processes one leads: it does the sweeps that need only one. All of them are safe from two at
once, so when nobody can tell who leads (the index is away) everybody does them. A process promotes what it
itself scheduled at the exact moment, whoever leads.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final

import structlog

from llm_scheduler.domain.errors import BrokerUnavailableError, SchedulerError
from llm_scheduler.domain.session import TTL_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from llm_scheduler.domain.ids import Millis, SessionId
    from llm_scheduler.ports.broker import Broker
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.services.index import Index
    from llm_scheduler.services.upkeep import Upkeep

_log = structlog.get_logger(__name__)
LEASE_S: Final = 6.0
_LEAD_EVERY_S: Final = 2.0
_AFTER_FAULT_S: Final = 1.0
_MOST_NOTED: Final = 10_000
"""Moments that a process remembers; later ones are found by the leader's look at the record."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two ticks of each kind. The idle ones hold while nothing waits or runs."""

    watch_s: float = 1.0
    rescue_s: float = 2.0
    idle_rescue_s: float = 2.0
    audit_s: float = 15.0
    idle_audit_s: float = 15.0
    roll_up_s: float = 60.0
    idle_roll_up_s: float = 60.0
    look_for_due_s: float = 5.0
    forget_s: float = 60.0


ALONE: Final = Pace()
AMONG_OTHERS: Final = Pace(
    idle_rescue_s=15.0, audit_s=20.0, idle_audit_s=60.0, idle_roll_up_s=600.0, look_for_due_s=30.0, forget_s=300.0
)
"""Statements cost others something here: an idle process sends at most 20 a minute."""


# `asyncio.timeout` and not `wait_for`: the latter swallows a cancel that comes with the event (Python 3.11).


class UpkeepLoops:
    """Background loops of one process. A failing tick is logged and tried again; a loop never ends."""

    def __init__(  # noqa: PLR0913 - what the ticks act on
        self,
        upkeep: Upkeep,
        index: Index,
        broker: Broker,
        clock: Clock,
        pace: Pace,
        session: Callable[[], SessionId | None],
        has_watched: Callable[[float], bool],
    ) -> None:
        self._upkeep, self._index, self._broker, self._clock = upkeep, index, broker, clock
        self._pace, self._session, self._has_watched = pace, session, has_watched
        self.is_leading = False
        self._is_idle = False
        self._further: list[tuple[float, Callable[[], Awaitable[object]]]] = []
        self._due = asyncio.Event()
        self._noted: list[Millis] = []
        self._doubt = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    def also(self, every_s: float, step: Callable[[], Awaitable[object]]) -> None:
        """A further sweep of the leader; told before `begin`."""
        self._further.append((every_s, step))

    def note_due(self, due_at: Millis) -> None:
        """Something will be due then: wake the promoter no later."""
        noted = self._noted
        if len(noted) >= _MOST_NOTED or due_at in noted[:1]:
            return
        heappush(noted, due_at)
        if noted[0] == due_at:
            self._due.set()

    def note_lost(self) -> None:
        """The index may lack tasks: look through all of them now."""
        self._doubt.set()

    def begin(self) -> None:
        """Start the loops."""
        pace = self._pace
        steps: Sequence[tuple[str, Coroutine[Any, Any, None]]] = [
            ("leader", self._lead()),
            ("promoter", self._promote()),
            ("watcher", self._every(lambda: pace.watch_s, self._index.watch)),
            ("mender", self._mend()),
            ("rescuer", self._led(lambda: self._idle_or(pace.idle_rescue_s, pace.rescue_s), self._rescue)),
            ("auditor", self._led(self._until_audit_s, self._index.audit)),
            (
                "statistician",
                self._led(lambda: self._idle_or(pace.idle_roll_up_s, pace.roll_up_s), self._upkeep.roll_up),
            ),
            ("forgetter", self._led(_always(pace.forget_s), self._upkeep.drop_answers)),
            *((f"sweep-{number}", self._led(_always(one[0]), one[1])) for number, one in enumerate(self._further)),
        ]
        self._loops = [asyncio.create_task(loop, name=name) for name, loop in steps]

    async def stop(self) -> None:
        """End the loops."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    def _idle_or(self, idle_s: float, busy_s: float) -> float:
        return idle_s if self._is_idle else busy_s

    def _until_audit_s(self) -> float:
        # A slot that nobody holds is capacity that nobody has: the second look, which frees it, comes at once.
        if self._index.is_in_doubt:
            return _LEAD_EVERY_S
        return self._idle_or(self._pace.idle_audit_s, self._pace.audit_s)

    async def _lead(self) -> None:
        while True:
            session = self._session()
            try:
                leads = session is not None and await self._broker.lead(session, LEASE_S)
                depths = await self._broker.depths() if leads else ()
                self._is_idle = leads and not any(one.waiting or one.running for one in depths)
            except BrokerUnavailableError:
                # Nobody can tell who leads: twice is safe, never is not.
                leads, self._is_idle = session is not None, False
            if leads != self.is_leading:
                self.is_leading = leads
                _log.info("leads" if leads else "follows", session_id=session)
            await asyncio.sleep(_LEAD_EVERY_S)

    async def _promote(self) -> None:
        is_due = True
        while True:
            # Regroup comes last: the two leave followers of tasks that are over, and those that a stored answer serves.
            steps = (self._upkeep.promote, self._upkeep.expire, self._upkeep.regroup) if is_due else ()
            is_well = all([await tick(step) for step in steps])
            most_s = sleep_s = self._pace.look_for_due_s
            if self.is_leading:
                try:
                    sleep_s = await self._upkeep.next_due_in_s(most_s)
                except SchedulerError as error:
                    _log.warning("upkeep_failed", step="next_due", error=str(error))
            is_noted = await self._sleep_until_due(sleep_s if is_well else _AFTER_FAULT_S)
            is_due = is_noted or sleep_s < most_s or not is_well

    async def _sleep_until_due(self, sleep_s: float) -> bool:
        """Sleep; a nearer moment that is noted meanwhile shortens it. Whether something noted is due, now forgotten."""
        until_s = self._clock.monotonic_s() + sleep_s
        while (left_s := until_s - self._clock.monotonic_s()) > 0:
            if self._noted:
                left_s = min(left_s, max(0.0, (self._noted[0] - self._clock.now()) / 1000))
            self._due.clear()
            try:
                # One millisecond more: due times are whole milliseconds, and waking early finds nothing.
                async with asyncio.timeout(left_s + 0.001):
                    await self._due.wait()
            except TimeoutError:
                break
        now, noted = self._clock.now(), len(self._noted)
        while self._noted and self._noted[0] <= now:
            heappop(self._noted)
        return len(self._noted) < noted

    async def _mend(self) -> None:
        while True:
            await self._doubt.wait()
            self._doubt.clear()
            if not await tick(self._index.walk):
                await asyncio.sleep(_AFTER_FAULT_S)
                self._doubt.set()

    async def _rescue(self) -> None:
        # Who has not reached the record for a while cannot tell whether the others were silent.
        if self._has_watched(TTL_S):
            await self._upkeep.rescue(is_thorough=not self._is_idle)

    async def _led(self, period_s: Callable[[], float], step: Callable[[], Awaitable[object]]) -> None:
        """A sweep of the leader's. A change from idle to busy is noticed within two seconds."""
        last_s = self._clock.monotonic_s()
        while True:
            await asyncio.sleep(min(period_s(), _LEAD_EVERY_S))
            if self.is_leading and self._clock.monotonic_s() - last_s >= period_s() - 0.001:
                last_s = self._clock.monotonic_s()
                await tick(step)

    async def _every(self, period_s: Callable[[], float], step: Callable[[], Awaitable[object]]) -> None:
        while True:
            await tick(step)
            await asyncio.sleep(period_s())


def _always(period_s: float) -> Callable[[], float]:
    return lambda: period_s


async def tick(step: Callable[[], Awaitable[object]]) -> bool:
    """Do it; whether it went well. The outermost place: nothing may end a loop."""
    name = getattr(step, "__name__", "step")
    try:
        await step()
    except BrokerUnavailableError as error:
        _log.debug("upkeep_waits", step=name, error=str(error))
        return False
    except SchedulerError as error:
        _log.warning("upkeep_failed", step=name, error=str(error))
        return False
    except Exception:  # noqa: BLE001 - the outermost place, logged
        _log.exception("upkeep_broke", step=name)
        return False
    return True
