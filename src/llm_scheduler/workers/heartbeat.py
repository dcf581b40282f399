"""The session's heartbeat: renew, learn what to stop, and fence oneself when it does not get through.

A worker that cannot reach the record must stop its calls before the others take its tasks over, or a model
would run above its limit. But when nobody reaches the record, nobody can take anything over: then the calls
go on and their ends are held. So a session that fails to beat asks the others, through the index, whether
they reach it (`Broker.witness`). Whoever reaches it again buries nobody before it has watched for a whole ttl,
so the fence may wait for as long as the record is away for all.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Final

import psutil
import structlog

from llm_scheduler.domain.errors import BrokerUnavailableError, SchedulerError
from llm_scheduler.domain.session import BEAT_EVERY_S, FENCE_AFTER_S, IDLE_BEAT_EVERY_S, Vitals
from llm_scheduler.services.running import Why

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llm_scheduler.domain.ids import SessionId
    from llm_scheduler.ports.broker import Witness
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.running import RunningCalls

_log = structlog.get_logger(__name__)
BEAT_TIMEOUT_S: Final = 3.0
CONFER_EVERY_S: Final = 1.0
_AGAIN_S: Final = 0.5
_LEAST_PAUSE_S: Final = 0.05
_SLOW_S: Final = 1.5
"""A beat that is on its way for so long counts as a failing one."""
_ALL_SILENT_S: Final = 3.0
"""Who reaches the record answers a doubt within a second: after so long, nobody does."""


class Heartbeat:
    """Keeps one session alive. `session_id` is None while fenced: then nothing may be claimed."""

    def __init__(
        self,
        store: Store,
        running: RunningCalls,
        clock: Clock,
        version: str,
        confer: Callable[[bool | None], Awaitable[Witness]],
        role: str = "all",
    ) -> None:
        self._store, self._running, self._clock, self._version = store, running, clock, version
        self._confer, self._role = confer, role
        self._process = psutil.Process()
        self._fence_at_s = float("inf")
        self._began_s: float | None = None
        self._has_reached: bool | None = None
        self._was_away = False
        self._poked = asyncio.Event()
        self.reached_since_s: float | None = None
        """Since when every beat got through; None while they fail."""
        self.session_id: SessionId | None = None

    @property
    def claimant(self) -> SessionId | None:
        """The session that may claim: none while it is fenced or the record is away."""
        return None if self.reached_since_s is None else self.session_id

    def has_watched(self, for_s: float) -> bool:
        """Whether the record answered for so long without a break: only then is another's silence a sign."""
        return self.reached_since_s is not None and self._clock.monotonic_s() - self.reached_since_s >= for_s

    async def open(self) -> None:
        """Register this process start."""
        self._process.cpu_percent()
        asked_s = self._clock.monotonic_s()
        opened = await self._store.open_session(socket.gethostname(), os.getpid(), self._version, self._role)
        self.session_id = opened
        self._reached(asked_s)

    async def beat(self) -> None:
        """Renew once; a fenced session registers anew."""
        asked_s = self._clock.monotonic_s()
        session_id = self.session_id
        if session_id is None:
            await self.open()
            _log.warning("session_opened_anew", session_id=self.session_id)
            return
        calls = list(self._running)
        answer = await self._store.beat(session_id, self.vitals())
        if self.session_id != session_id:  # fenced while the answer was on its way
            return
        # Counted from before the request: the others count from when it arrived.
        self._reached(asked_s)
        if not answer.is_alive:
            self.fence("the session was buried by another process")
            return
        for task_id in answer.stop:
            call = self._running.get(task_id)
            # One that began while the record was asked is not what the answer is about.
            if call is not None and call in calls:
                call.abort(Why.CANCEL)

    def hurry(self) -> None:
        """Beat soon: something that runs here may have been cancelled."""
        self._poked.set()

    async def run(self, every_s: float = BEAT_EVERY_S, idle_every_s: float = IDLE_BEAT_EVERY_S) -> None:
        """Beat for ever: every two seconds while calls run, less often while none does, soon after a failure."""
        while True:
            pause_s = every_s if self._running else idle_every_s
            await self._pause(_AGAIN_S if self.reached_since_s is None else pause_s)
            try:
                self._began_s = self._clock.monotonic_s()
                async with asyncio.timeout(BEAT_TIMEOUT_S):
                    await self.beat()
            except (SchedulerError, TimeoutError) as error:
                self._failed(str(error) or "timeout")
            finally:
                self._began_s = None

    async def _pause(self, pause_s: float) -> None:
        """Until the next beat is due, or one is wanted sooner; however often that is, some time lies between."""
        await asyncio.sleep(min(_LEAST_PAUSE_S, pause_s))
        try:
            async with asyncio.timeout(max(0.0, pause_s - _LEAST_PAUSE_S)):
                await self._poked.wait()
        except TimeoutError:
            pass
        self._poked.clear()

    async def confer_forever(self, every_s: float = CONFER_EVERY_S) -> None:
        """Tell the others whether the record answers, answer their doubts, fence when it is time."""
        while True:
            await asyncio.sleep(every_s)
            await self.confer()

    async def confer(self) -> None:
        """Do so once."""
        is_failing = self.reached_since_s is None or self._is_slow()
        has_reached, self._has_reached = (False if is_failing else self._has_reached), None
        try:
            told = await self._confer(has_reached)
        except BrokerUnavailableError:
            told = None
        now_s = self._clock.monotonic_s()
        if is_failing and told is not None and (told.reached_ago_s is None or told.reached_ago_s > _ALL_SILENT_S):
            self._fence_at_s = max(self._fence_at_s, now_s + FENCE_AFTER_S)
        elif told is not None and told.is_doubted and not is_failing:
            self._poked.set()
        if self.session_id is not None and now_s > self._fence_at_s:
            self.fence(f"no heartbeat got through for {FENCE_AFTER_S:.0f} s; the others may reach the record")

    def _is_slow(self) -> bool:
        return self._began_s is not None and self._clock.monotonic_s() - self._began_s > _SLOW_S

    def _reached(self, asked_s: float) -> None:
        self._fence_at_s = asked_s + FENCE_AFTER_S
        self._has_reached = True
        if self.reached_since_s is None:
            if self._was_away:
                _log.info("record_reached_again", session_id=self.session_id)
            self.reached_since_s, self._was_away = asked_s, False

    def _failed(self, why: str) -> None:
        if self.reached_since_s is not None:
            self._was_away = True
            _log.warning("record_not_reached", session_id=self.session_id, error=why, calls=len(self._running))
        self.reached_since_s = None

    def fence(self, why: str) -> None:
        """Stop every call: the others will take, or have taken, the tasks. Answers that are there stay recordable."""
        _log.error("session_fenced", session_id=self.session_id, reason=why, calls=len(self._running))
        self.session_id = None
        self._running.abort_all(Why.FENCED)

    async def close(self) -> None:
        """Leave in good order."""
        if self.session_id is not None:
            await self._store.close_session(self.session_id)
            self.session_id = None

    def vitals(self) -> Vitals:
        """Load of this process: calls, CPU in percent of one core, resident bytes."""
        with self._process.oneshot():
            return Vitals(len(self._running), self._process.cpu_percent(), self._process.memory_info().rss)
