"""Keeps the index true to the record: rebuilds what was lost, adds what is missing, drops what is stale.

The record is right and the index follows. Every step is safe from any process at any time, also twice at
once; what is seen only in passing (a task between START and its slot) is acted on when it is seen again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.domain.session import CLAIM_GRACE_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from llm_scheduler.domain.ids import Millis, SessionId, TaskId
    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.broker import Broker, Pulse, Slot
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.meter import Meter
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.catalogue import Catalogue

_log = structlog.get_logger(__name__)
PAGE: Final = 10_000
SLICE: Final = 1_000
"""Entries that are looked at in one go, so that a claim never waits behind a whole page."""
LIMIT_WINDOW_S: Final = 61.0
"""A little more than the minute that RPM and TPM look back."""

Place = tuple["Millis", "TaskId"]
Held = tuple["TaskId", int, "SessionId"]


class Index:
    """The one place that repairs the broker from the store.

    `renew` takes the catalogue over from the record: whatever lost the index may have brought old copies back.
    """

    def __init__(
        self,
        store: Store,
        broker: Broker,
        catalogue: Catalogue,
        clock: Clock,
        meter: Meter,
        renew: Callable[[], Awaitable[None]],
    ) -> None:
        self._store, self._broker, self._catalogue, self._renew = store, broker, catalogue, renew
        self._clock, self._meter = clock, meter
        self._pulses: dict[int, Pulse] = {}
        self._walked_to: Place | None = None
        self._ghosts: frozenset[Held] = frozenset()
        self._bare: frozenset[Held] = frozenset()
        self.is_in_doubt = False
        """Whether a look saw a slot without its run, or the reverse: the next one decides. Never twice in a row:
        on a busy index some call always ends between the two reads."""

    async def watch(self) -> bool:
        """Take every shard's pulse; rebuild what is lost. Whether this process rebuilt something."""
        pulses = await self._broker.pulse()
        went_back = [one for one in pulses if self._went_back(one)]
        self._pulses = {one.shard: one for one in pulses}
        if went_back:
            _log.error("index_went_back_in_time", shards=[one.shard for one in went_back])
        elif all(one.epoch is not None for one in pulses):
            return False
        token = await self._broker.begin_rebuild(is_forced=bool(went_back))
        if token is None:
            return False
        await self._renew()
        return await self.rebuild(token)

    def _went_back(self, pulse: Pulse) -> bool:
        before = self._pulses.get(pulse.shard)
        return before is not None and before.epoch == pulse.epoch and pulse.beat <= before.beat and pulse.beat > 0

    async def rebuild(self, token: str) -> bool:
        """Fill a lost index: slots first, then spent limits, then what waits; only then claims open."""
        began_s = self._clock.monotonic_s()
        running = await self._store.running()
        wanted = set(map(_held, running))
        stale = [slot for slot in await self._broker.slots() if _held(slot) not in wanted]
        for part in _sliced(stale):
            await self._broker.reconcile([], [], [(slot.lane, slot.task_id) for slot in part])
        for part in _sliced(running):
            await self._broker.reconcile([], part, [])
        await self._broker.remember(await self._store.recent_starts(LIMIT_WINDOW_S))
        waiting = await self._fill()
        is_done = await self._broker.finish_rebuild(token)
        seconds = round(self._clock.monotonic_s() - began_s, 3)
        if is_done:
            _log.info("index_built", waiting=waiting, running=len(running), seconds=seconds)
            self._meter.repaired("rebuild", 1)
        else:
            _log.warning("index_rebuild_overtaken", seconds=seconds)
        return is_done

    async def _fill(self) -> int:
        after: Place | None = None
        total = 0
        while page := await self._store.waiting_page(after, PAGE):
            for part in _sliced(page):
                await self._broker.reconcile(await self._catalogue.placed(part), [], [])
            total += len(page)
            after = (page[-1].queued_at, page[-1].task_id)
        return total

    async def audit(self) -> int:
        """Look at the next page of what waits by the record, and at every slot; how many repairs."""
        dropped, adopted = await self._compare_slots()
        if dropped:
            # Their tasks may wait: those of a claim that nobody started do.
            return self._told(dropped + adopted) + await self.walk()
        repairs = adopted
        page = await self._store.waiting_page(self._walked_to, PAGE)
        repairs += await self._add_missing(page)
        self._walked_to = (page[-1].queued_at, page[-1].task_id) if len(page) == PAGE else None
        return self._told(repairs)

    async def walk(self) -> int:
        """Add everything that waits by the record and is not in the index; how many."""
        after: Place | None = None
        repairs = 0
        while page := await self._store.waiting_page(after, PAGE):
            repairs += await self._add_missing(page)
            after = (page[-1].queued_at, page[-1].task_id)
        return self._told(repairs)

    async def _add_missing(self, page: Sequence[WaitingTask]) -> int:
        """What the page says may be over by now: the record is asked again about those that are missing."""
        repairs = 0
        for part in _sliced(page):
            missing = await self._broker.unknown(self._catalogue.entries(part))
            if missing:
                waiting = await self._store.still_waiting([entry.task_id for entry in missing])
                repairs += await self._broker.reconcile(await self._catalogue.placed(waiting), [], [])
            await asyncio.sleep(0)
        return repairs

    async def _compare_slots(self) -> tuple[int, int]:
        """Drop slots of what does not run, adopt what runs without one, if two looks in a row saw it.

        How many of each.
        """
        slots, rows = await self._broker.slots(), await self._store.running()
        running, held = {_held(row): row for row in rows}, {_held(slot): slot for slot in slots}
        old = self._clock.now() - CLAIM_GRACE_S * 1000
        ghosts = {key: slot for key, slot in held.items() if key not in running and slot.claimed_at < old}
        bare = {key: row for key, row in running.items() if key not in held}
        absent = [(slot.lane, slot.task_id) for key, slot in ghosts.items() if key in self._ghosts]
        adopted = [row for key, row in bare.items() if key in self._bare]
        self._ghosts, self._bare = frozenset(ghosts), frozenset(bare)
        self.is_in_doubt = not self.is_in_doubt and bool(ghosts or bare)
        if absent or adopted:
            await self._broker.reconcile([], adopted, absent)
        return len(absent), len(adopted)

    async def free(self, alive: Iterable[SessionId]) -> int:
        """Drop the slots of sessions that are not alive: their rows are rescued, START refuses their claims."""
        living = set(alive)
        dead = [slot for slot in await self._broker.slots() if slot.session not in living]
        for part in _sliced(dead):
            await self._broker.reconcile([], [], [(slot.lane, slot.task_id) for slot in part])
        return len(dead)

    def _told(self, repairs: int) -> int:
        if repairs:
            _log.warning("index_mended", repairs=repairs)
            self._meter.repaired("index", repairs)
        return repairs


def _held(slot: Slot) -> Held:
    return slot.task_id, slot.attempt, slot.session


def _sliced(whole: Sequence) -> Iterable[Sequence]:
    return (whole[first : first + SLICE] for first in range(0, len(whole), SLICE))
