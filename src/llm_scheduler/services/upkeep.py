"""What time brings: burying, rescuing, promoting, expiring, rolling up.

Every step is safe from any process at any time, also twice at once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.domain.session import MAX_CRASHES, TTL_S
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.broker import Claim, Release
from llm_scheduler.ports.feed import TaskChanged
from llm_scheduler.services.following import Following

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import ModelId, TaskId
    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.broker import Broker
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.feed import Feed
    from llm_scheduler.ports.meter import Meter
    from llm_scheduler.ports.store import Moved, Store
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.index import Index

_log = structlog.get_logger(__name__)
SWEEP: Final = 1_000


class Upkeep:
    """One tick each; the relay decides when."""

    def __init__(  # noqa: PLR0913 - the ports that upkeep touches
        self,
        store: Store,
        broker: Broker,
        catalogue: Catalogue,
        index: Index,
        clock: Clock,
        feed: Feed,
        meter: Meter,
    ) -> None:
        self._store, self._broker, self._catalogue, self._index = store, broker, catalogue, index
        self._clock, self._feed, self._meter = clock, feed, meter
        self._following = Following(store, broker, catalogue, feed, clock)

    async def rescue(self, ttl_s: float = TTL_S, *, is_thorough: bool = True) -> int:
        """Bury silent sessions and take their tasks back; how many tasks.

        `is_thorough` False: only if a session was buried, for hours in which nothing runs.
        """
        buried = await self._store.bury(ttl_s)
        if not (buried or is_thorough):
            return 0
        total = 0
        while True:
            back, ended = await self._store.rescue(MAX_CRASHES, SWEEP)
            if back or ended:
                await self._free([task.task_id for task in (*back, *ended)])
                await self._queue(back)
            await self._tell_ended(ended)
            total += len(back) + len(ended)
            if len(back) + len(ended) < SWEEP:
                break
        if total:
            await self.regroup()
        if buried:
            freed = await self._index.free([session.id for session in await self._store.sessions()])
            # A process that died between its commit and its enqueue left tasks that nobody indexed.
            missing = await self._index.walk()
            _log.warning("sessions_buried", sessions=buried, tasks_rescued=total, slots_freed=freed, missing=missing)
        if total:
            self._meter.repaired("rescue", total)
        return total

    async def promote(self) -> int:
        """Queue what is due; how many."""
        total = 0
        while due := await self._store.promote(SWEEP):
            await self._queue(due)
            total += len(due)
        return total

    async def expire(self) -> int:
        """End what waited past its deadline; how many."""
        total = 0
        while gone := await self._store.expire(SWEEP):
            lanes: dict[ModelId, list[TaskId]] = {}
            for moved in gone:
                lanes.setdefault(moved.model_id, []).append(moved.task_id)
            for lane, ids in lanes.items():
                await self._broker.remove(lane, ids)
            await self._tell_ended(gone)
            total += len(gone)
        return total

    async def regroup(self) -> int:
        """See to those that wait for the answer of a task that is over; how many."""
        return await self._following.regroup()

    async def drop_answers(self) -> int:
        """Forget stored answers whose time is over; how many."""
        total = 0
        while dropped := await self._store.drop_answers(SWEEP):
            total += dropped
        return total

    async def next_due_in_s(self, most_s: float) -> float:
        """Seconds until the three above find something, at most `most_s`."""
        due_at = await self._store.next_due_at()
        if due_at is None:
            return most_s
        return min(most_s, max(0.0, (due_at - self._clock.now()) / 1000))

    async def roll_up(self) -> None:
        """Bring today's and yesterday's row of `system_stats` up to date."""
        today = datetime.fromtimestamp(self._clock.now() / 1000, UTC).date()
        await self._store.roll_up((today - timedelta(days=1)).isoformat())
        await self._store.roll_up(today.isoformat())

    async def _free(self, task_ids: Sequence[TaskId]) -> None:
        """Take away the slots of calls that nobody will release, so that the tasks can be queued again."""
        wanted = set(task_ids)
        held = [slot for slot in await self._broker.slots() if slot.task_id in wanted]
        await self._broker.release(
            [Release(Claim(slot.task_id, slot.lane, slot.tenant_id, slot.attempt, 0)) for slot in held]
        )

    async def _queue(self, tasks: Sequence[WaitingTask]) -> None:
        await self._broker.enqueue(await self._catalogue.placed(tasks))
        if self._feed.is_watched:
            now = self._clock.now()
            for task in tasks:
                self._feed.publish(
                    TaskChanged(task.task_id, task.tenant_id, task.model_id, Status.QUEUED, task.attempt, now)
                )

    async def _tell_ended(self, ended: Sequence[Moved]) -> None:
        now = self._clock.now()
        for moved in ended:
            if moved.status is Status.FAILED:
                self._meter.task_ended(self._catalogue.name_of(moved.model_id), is_success=False)
            self._feed.publish(
                TaskChanged(moved.task_id, moved.tenant_id, moved.model_id, moved.status, moved.attempt, now)
            )
