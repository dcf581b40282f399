"""Keeps a process's directory of users and keys as the record is: at once when told, within a second in any case.

Messages are hints and may be lost (decision 12), so the processes that let callers in also ask the record for its
version, one small statement each time. A revoked key, a disabled user and an ended sign-in are out everywhere within a
second, whether or not Redis is there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.domain.errors import SchedulerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.ports.channel import Channel
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.services.directory import Directory

TOPIC: Final = "access"
POLL_S: Final = 0.7
_PATIENCE_S: Final = 5.0
"""A look at the version that takes longer counts as not answered."""
_log = structlog.get_logger(__name__)


class FollowingAccess:
    """One loop. Only in an installation of several processes: a single one makes every change itself.

    Args:
        directory: what is kept fresh.
        channel: how others are told, and tell.
        clock: how old the last answer is.
        trusted_s: so long the directory counts although the record does not answer; then `Directory.is_stale`.
        poll_s: seconds between two looks; None: only listen, for a process that lets nobody in but to its metrics.
    """

    def __init__(
        self,
        directory: Directory,
        channel: Channel,
        clock: Clock,
        trusted_s: float,
        poll_s: float | None = POLL_S,
    ) -> None:
        self._directory, self._channel, self._clock = directory, channel, clock
        self._trusted_s, self._poll_s = trusted_s, poll_s
        self._told = asyncio.Event()
        self._undo: list[Callable[[], None]] = []
        self._confirmed_at_s = clock.monotonic_s()
        directory.tell = self._tell

    async def run(self) -> None:
        """Until it is cancelled."""
        self._undo = [self._channel.listen(TOPIC, self._hear), self._channel.on_gap(self._told.set)]
        self._confirmed_at_s = self._clock.monotonic_s()
        try:
            while True:
                await self._wait()
                await self.look()
        finally:
            for undo in self._undo:
                undo()

    async def look(self) -> None:
        """Take over what has changed, if the record answers."""
        asked_at_s = self._clock.monotonic_s()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._directory.refresh()
        except (SchedulerError, TimeoutError) as error:
            self._missed(str(error) or "no answer")
        except Exception:  # noqa: BLE001 - the outermost place, logged
            _log.exception("access_look_broke")
            self._missed("it broke")
        else:
            self._confirmed_at_s = asked_at_s
            if self._directory.is_stale:
                self._directory.is_stale = False
                _log.warning("access_trusted_again")

    async def _wait(self) -> None:
        # Not `wait_for`: it swallows a cancel that comes with the event (Python 3.11).
        try:
            async with asyncio.timeout(self._poll_s):
                await self._told.wait()
        except TimeoutError:
            pass
        self._told.clear()

    def _missed(self, why: str) -> None:
        silent_s = self._clock.monotonic_s() - self._confirmed_at_s
        # Who only listens cannot know how old its directory is, and lets nobody in by it but to its metrics.
        if self._poll_s is not None and silent_s > self._trusted_s and not self._directory.is_stale:
            self._directory.is_stale = True
            _log.error("access_not_trusted", error=why, silent_s=round(silent_s))

    def _tell(self) -> None:
        self._channel.publish(TOPIC, b"")

    def _hear(self, _payload: bytes) -> None:
        self._told.set()
