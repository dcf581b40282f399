"""Keeping the record small: finished tasks that are old enough are archived, then removed.

A walk goes through the record by id, a group at a time: read, archive, seal (on disk for good), remove.
Where the engine keeps tasks in ranges of ids, one that is over as a whole is archived and dropped.
After a crash the walk begins anew: what was removed is gone, what was only archived is archived again.
Two walks at once do each other no harm for the same reason.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.ids import Millis
from llm_scheduler.ports.retention import Cut

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from llm_scheduler.domain.ids import TaskId
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.meter import RetentionMeter
    from llm_scheduler.ports.retention import Archive, Candidate, IdRange, RetentionMoves, WholeTask

_log = structlog.get_logger(__name__)
DAY_MS: Final = 86_400_000
PAGE: Final = 500
MOST_READ: Final = 100
"""Tasks that are read and packed at once: the event loop serves others between."""
BITE_CHARS: Final = 4 * 2**20
"""About as much of inputs and answers is in memory at once; a task that is larger alone."""
MOST_REMOVED: Final = 500
FEWEST_REMOVED: Final = 25
LONGEST_REMOVAL_S: Final = 0.03
"""A removal holds up other writers: when one takes longer than this, the next is half as large."""
SHORT_REMOVAL_S: Final = 0.01
SHORTEST_PAUSE_S: Final = 0.01
YOUNG_PAGES: Final = 40
"""After so many pages without an old task the walk is over: a process may hold a block of 10 000 ids for long."""
LONGEST_REST_S: Final = 3_600.0
WAIT_SHARE: Final = 0.1
"""A range that will be over within this share of the time to keep is left to be dropped as one."""


class Retention:
    """One walk after another; the relay calls `step` every few seconds on the process that leads."""

    def __init__(
        self,
        store: RetentionMoves,
        archive: Archive,
        shown: Callable[[WholeTask], bytes],
        clock: Clock,
        meter: RetentionMeter,
        keep_days: float,
    ) -> None:
        self._store, self._archive, self._shown = store, archive, shown
        self._clock, self._meter = clock, meter
        # Statistics are computed anew for yesterday, and an idempotency key holds for a day.
        self._keep_ms = round(max(keep_days, 1.0) * DAY_MS)
        self._rest_s = min(LONGEST_REST_S, self._keep_ms / 1000 / 24)
        self._removal = MOST_REMOVED // 2
        self._next_at_s = 0.0
        self._refused: set[int] = set()
        """Ends of ranges that could not be dropped."""

    def cut(self) -> Cut:
        """What is old now."""
        now = self._clock.now()
        yesterday = datetime.fromtimestamp(now / 1000, UTC).date() - timedelta(days=1)
        begin = datetime.combine(yesterday, datetime.min.time(), UTC)
        before = Millis(min(now - self._keep_ms, round(begin.timestamp() * 1000)))
        return Cut(tasks=before, replies=before)

    async def step(self) -> None:
        """Walk if a walk is due; returns when it is through.

        Raises:
            SchedulerError: record or archive failed; the next call begins again.
        """
        if self._clock.monotonic_s() < self._next_at_s:
            return
        begun_s = self._clock.monotonic_s()
        # Also after a failure: a full disk is not hammered.
        self._next_at_s = begun_s + min(60.0, self._rest_s)
        try:
            removed = await self.walk()
        except Exception:
            self._meter.retention_ran(None)
            raise
        finally:
            await self._archive.discard()
        self._next_at_s = self._clock.monotonic_s() + self._rest_s
        self._meter.retention_ran(self._clock.now() / 1000)
        _log.info("retention_ran", removed=removed, seconds=round(self._clock.monotonic_s() - begun_s, 1))

    async def walk(self) -> int:
        """Once through everything; how many tasks left the record."""
        cut = self.cut()
        await self._store.make_ranges()
        removed = 0
        for within in await self._store.id_ranges():
            removed += await self._range(within, cut.tasks)
        after: tuple[int, str] | None = (0, "")
        while after is not None:
            _, after = await self._store.forget(cut, after, PAGE)
            await asyncio.sleep(SHORTEST_PAUSE_S)
        return removed

    async def _range(self, within: IdRange, before: Millis) -> int:
        if within.is_droppable and within.past not in self._refused:
            if within.newest_at < before and (gone := await self._drop(within, before)) is not None:
                return gone
            if before <= within.newest_at < before + self._keep_ms * WAIT_SHARE:
                return 0
        removed = 0
        async for group in self._groups(within, before):
            removed += await self._remove(group, before)
        return removed

    async def _drop(self, within: IdRange, before: Millis) -> int | None:
        """Archive a range and drop it; None if it cannot be dropped, say because one task waits for a person."""
        over = await self._store.over(within, before)
        if over is None:
            return None
        if self._archive.keeps:
            async for _ in self._groups(within, before):
                await asyncio.sleep(SHORTEST_PAUSE_S)
        try:
            is_gone = await self._store.drop_range(within, over.seen_at)
        except StoreUnavailableError as error:
            # Not tried again: each try would archive the range once more. Its rows go one by one.
            self._refused.add(within.past)
            _log.warning("range_not_dropped", first=within.first, past=within.past, error=str(error))
            return None
        if not is_gone:
            _log.info("range_kept", first=within.first, past=within.past)
            return None
        self._meter.retired(0, over.tasks)
        _log.info("range_dropped", first=within.first, past=within.past, tasks=over.tasks)
        return over.tasks

    async def _groups(self, within: IdRange, before: Millis) -> AsyncIterator[list[TaskId]]:
        """Old tasks of a range, archived for good, in lists of as many as the archive takes at once."""
        group: list[TaskId] = []
        after: int | None = within.first - 1
        young = 0
        while after is not None and young < YOUNG_PAGES:
            page = await self._store.candidates(within, before, after, PAGE)
            young = young + 1 if page.is_young else 0
            for bite in _bites(page.found) if self._archive.keeps else [[one.task_id for one in page.found]]:
                begun_s = self._clock.monotonic_s()
                group += await self._kept(bite)
                await asyncio.sleep((self._clock.monotonic_s() - begun_s) / 2)
                if self._archive.is_full:
                    yield await self._sealed(group)
                    group = []
            after = page.last_id
            if not self._archive.keeps and group:
                yield group
                group = []
        if group:
            yield await self._sealed(group)

    async def _kept(self, task_ids: Sequence[TaskId]) -> Sequence[TaskId]:
        """Hand tasks to the archive; those that it has."""
        if not self._archive.keeps:
            return task_ids
        by_day: dict[str, list[tuple[TaskId, bytes]]] = {}
        for whole in await self._store.whole(task_ids):
            day = _day(whole.task.completed_at or whole.task.updated_at)
            by_day.setdefault(day, []).append((whole.task.id, self._shown(whole)))
        for day, lines in by_day.items():
            await self._archive.add(day, lines)
        return [task_id for lines in by_day.values() for task_id, _ in lines]

    async def _sealed(self, group: list[TaskId]) -> list[TaskId]:
        archived = await self._archive.seal()
        self._meter.retired(archived, 0)
        return group

    async def _remove(self, task_ids: Sequence[TaskId], before: Millis) -> int:
        """In pieces that hold up nobody for long, with longer pauses between."""
        removed, first = 0, 0
        while first < len(task_ids):
            part = task_ids[first : first + self._removal]
            first += len(part)
            begun_s = self._clock.monotonic_s()
            gone = await self._store.retire(part, before)
            took_s = self._clock.monotonic_s() - begun_s
            removed += gone
            self._meter.retired(0, gone)
            if took_s > LONGEST_REMOVAL_S:
                self._removal = max(FEWEST_REMOVED, self._removal // 2)
            elif took_s < SHORT_REMOVAL_S:
                self._removal = min(MOST_REMOVED, self._removal + self._removal // 4)
            await asyncio.sleep(max(SHORTEST_PAUSE_S, took_s))
        return removed


def _bites(found: Sequence[Candidate]) -> Iterator[list[TaskId]]:
    """As many tasks at once as memory should hold."""
    bite: list[TaskId] = []
    chars = 0
    for task_id, size in found:
        if bite and (chars + size > BITE_CHARS or len(bite) == MOST_READ):
            yield bite
            bite, chars = [], 0
        bite.append(task_id)
        chars += size
    if bite:
        yield bite


def _day(at: Millis) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).date().isoformat()
