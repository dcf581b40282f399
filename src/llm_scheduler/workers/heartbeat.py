"""The session's heartbeat: renew, learn what to stop, and fence oneself when it does not get through."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import psutil
import structlog

from llm_scheduler.domain.errors import SchedulerError
from llm_scheduler.domain.session import BEAT_EVERY_S, FENCE_AFTER_S, Vitals
from llm_scheduler.services.running import Why

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import SessionId
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.running import RunningCalls

_log = structlog.get_logger(__name__)


class Heartbeat:
    """Keeps one session alive. `session_id` is None while fenced: then nothing may be claimed."""

    def __init__(self, store: Store, running: RunningCalls, clock: Clock, version: str) -> None:
        self._store, self._running, self._clock, self._version = store, running, clock, version
        self._process = psutil.Process()
        self._renewed_s = 0.0
        self.session_id: SessionId | None = None

    async def open(self) -> None:
        """Register this process start."""
        self._process.cpu_percent()
        self.session_id = await self._store.open_session(socket.gethostname(), os.getpid(), self._version)
        self._renewed_s = self._clock.monotonic_s()

    async def beat(self) -> None:
        """Renew once; fenced sessions stop their calls and register anew."""
        asked_s = self._clock.monotonic_s()
        if self.session_id is None:
            await self.open()
            _log.warning("session_opened_anew", session_id=self.session_id)
            return
        answer = await self._store.beat(self.session_id, self.vitals())
        if not answer.is_alive:
            self.fence("the session was buried by another process")
            return
        # Counted from before the request: the others count from when it arrived.
        self._renewed_s = asked_s
        for task_id in answer.stop:
            self._running.abort(task_id, Why.CANCEL)

    async def run(self, every_s: float = BEAT_EVERY_S) -> None:
        """Beat every two seconds, for ever; a beat may take two periods."""
        while True:
            await asyncio.sleep(every_s)
            try:
                async with asyncio.timeout(max(1.0, every_s * 2)):
                    await self.beat()
            except (SchedulerError, TimeoutError) as error:
                _log.warning("heartbeat_failed", error=str(error) or "timeout")
            silent_s = self._clock.monotonic_s() - self._renewed_s
            if self.session_id is not None and silent_s > FENCE_AFTER_S:
                self.fence(f"no heartbeat got through for {silent_s:.1f} s")

    def fence(self, why: str) -> None:
        """Stop every call without recording anything: the others will take, or have taken, the tasks."""
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
