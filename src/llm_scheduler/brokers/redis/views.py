"""What can be seen of the index in Redis; nothing is changed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from llm_scheduler.brokers.redis import scripts, wire
from llm_scheduler.brokers.redis.index import Index
from llm_scheduler.brokers.share import MILLION
from llm_scheduler.domain.ids import Millis, ModelId, TenantId
from llm_scheduler.ports.broker import LaneDepth, LaneState, TenantBacklog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import TaskId
    from llm_scheduler.ports.broker import Entry, Slot

PAGE: Final = 250
"""Tasks in one script call: a few milliseconds in which the server does nothing else."""
POSITIONS: Final = 1000


class Views(Index):
    """The reading half of `ports.broker.Broker`."""

    def waiting(self, lane: ModelId | None = None) -> int:
        """Tasks that wait, as of the last call that looked into the lane."""
        return sum(self._waiting.values()) if lane is None else self._waiting.get(lane, 0)

    async def unknown(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those that neither wait nor hold a slot."""
        by_lane: defaultdict[ModelId, list[Entry]] = defaultdict(list)
        for one in entries:
            by_lane[one.lane].append(one)
        found: list[Entry] = []
        for lane, theirs in by_lane.items():
            shard, tasks = self._shard(lane), [wire.of_id(one.task_id) for one in theirs]
            # In this order: a claim moves a task from the first to the second.
            waiting = await shard.command("HMGET", f"{shard.tag}{lane}:e", *tasks)
            held = await shard.command("HMGET", f"{shard.tag}{lane}:h", *tasks)
            found += [one for one, a, b in zip(theirs, waiting, held, strict=True) if a is None and b is None]
        return found

    async def slots(self, lane: ModelId | None = None) -> Sequence[Slot]:
        """Every claim that is not released, of one lane or of all."""
        found: list[Slot] = []
        for one in [lane] if lane is not None else await self._lanes():
            shard = self._shard(one)
            held: dict[bytes, bytes] = await shard.command("HGETALL", f"{shard.tag}{one}:h")
            found += [wire.to_slot(one, task, data) for task, data in held.items()]
        return found

    async def position(self, lane: ModelId, task_id: TaskId) -> int | None:
        """How many tasks of the same band come before it by order."""
        shard, before, start = self._shard(lane), 0, 0
        while True:
            arguments = (lane, wire.of_id(task_id), start, PAGE, POSITIONS - before)
            count, is_more = self._heard(await shard.look(scripts.POSITION, arguments)).result
            before, start = before + count, start + PAGE
            if count < 0 or before > POSITIONS:
                return None
            if not is_more:
                return before

    async def depths(self) -> Sequence[LaneDepth]:
        """Every lane that has rules or content, by id."""
        depths = [await self._depth(lane) for lane in sorted(await self._lanes())]
        known = [depth for depth in depths if depth is not None]
        self._waiting = {depth.lane: depth.waiting for depth in known}
        return known

    async def _depth(self, lane: ModelId) -> LaneDepth | None:
        heads: list[int] = []
        start = 0
        while True:
            answer = self._heard(await self._shard(lane).look(scripts.DEPTH, (lane, start, PAGE)))
            has_rules, running, flat, oldest, is_more = answer.result
            heads += [oldest] if oldest >= 0 else []
            start += PAGE
            if not is_more:
                break
        by_band = tuple(zip(flat[::3], flat[1::3], strict=True))
        costs = tuple((band, cost / MILLION) for band, cost in zip(flat[::3], flat[2::3], strict=True))
        waiting = sum(count for _, count in by_band)
        if not (has_rules or running or waiting):
            return None
        return LaneDepth(lane, waiting, running, by_band, Millis(min(heads)) if heads else None, costs)

    async def state(self, lane: ModelId) -> LaneState:
        """What stands between the lane's head and its start."""
        told: wire.Told = self._heard(await self._shard(lane).look(scripts.STATE, (lane,))).result
        return wire.to_state(lane, told)

    async def backlog(self, lane: ModelId) -> Sequence[TenantBacklog]:
        """What each tenant has waiting, if the lane's rules say `keeps_backlog`."""
        shard = self._shard(lane)
        sums: dict[bytes, bytes] = await shard.command("HGETALL", f"{shard.tag}{lane}:c")
        tenants = sorted(int(name[1:]) for name in sums if name.startswith(b"n"))
        return [
            TenantBacklog(TenantId(one), int(sums[b"n%d" % one]), int(sums[b"c%d" % one]) / MILLION) for one in tenants
        ]

    async def _lanes(self) -> list[ModelId]:
        answers = await asyncio.gather(*(shard.command("SMEMBERS", f"{shard.tag}lanes") for shard in self._shards))
        return [ModelId(int(lane)) for lanes in answers for lane in lanes]
