"""The broker of one process: everything in memory, filled from the record at start.

No call awaits anything inside (but `wait`), so each is atomic for the whole event loop.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from llm_scheduler.brokers.bell import Bell
from llm_scheduler.brokers.bucket import terms_of
from llm_scheduler.brokers.lane import Instant, Lane
from llm_scheduler.ports.broker import Claim, ClaimAnswer, LaneState, Pulse, Witness

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llm_scheduler.domain.ids import ModelId, SessionId, TaskId, TenantId
    from llm_scheduler.ports.broker import (
        Entry,
        LaneDepth,
        LaneRules,
        Pace,
        PastStart,
        Release,
        Slot,
        TenantBacklog,
    )
    from llm_scheduler.ports.clock import Clock


class MemoryBroker:
    """Implements `ports.broker.Broker`. A task is known by its lane and its id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lanes: dict[ModelId, Lane] = {}
        self._tenant_limits: dict[TenantId, int] = {}
        self._lane_limits: dict[ModelId, dict[TenantId, int]] = {}
        self._bell = Bell()
        self._turn = 0

    async def set_rules(self, rules: Sequence[LaneRules]) -> None:
        """Replace the rules of these lanes."""
        now = self._now()
        for one in rules:
            self._lane(one.lane).set_rules(one, now)
        self._bell.ring()

    async def drop_lane(self, lane: ModelId) -> None:
        """Forget the lane, what waits in it, its slots and its rules."""
        self._lanes.pop(lane, None)
        self._lane_limits.pop(lane, None)

    async def set_tenant_limit(self, tenant_id: TenantId, max_workers: int | None) -> None:
        """At most so many slots of each lane at once for this tenant; None = no limit."""
        if max_workers is None:
            self._tenant_limits.pop(tenant_id, None)
        else:
            self._tenant_limits[tenant_id] = max_workers
        for lane in self._lanes.values():
            lane.limit_tenant(tenant_id, self._limit(lane.id, tenant_id))
        self._bell.ring()

    async def set_lane_limit(self, lane: ModelId, tenant_id: TenantId, max_workers: int | None) -> None:
        """At most so many slots of this lane, beside the tenant's limit for each."""
        limits = self._lane_limits.setdefault(lane, {})
        if max_workers is None:
            limits.pop(tenant_id, None)
        else:
            limits[tenant_id] = max_workers
        if not limits:
            del self._lane_limits[lane]
        if lane in self._lanes:
            self._lanes[lane].limit_tenant(tenant_id, self._limit(lane, tenant_id))
        self._bell.ring()

    async def set_limits(self, limits: Mapping[tuple[TenantId, ModelId | None], int]) -> None:
        """Replace all limits of tenants."""
        self._tenant_limits.clear()
        self._lane_limits.clear()
        for (tenant_id, lane), most in limits.items():
            if lane is None:
                self._tenant_limits[tenant_id] = most
            else:
                self._lane_limits.setdefault(lane, {})[tenant_id] = most
        for lane in self._lanes.values():
            for tenant_id in lane.tenants:
                lane.limit_tenant(tenant_id, self._limit(lane.id, tenant_id))
        self._bell.ring()

    async def enqueue(self, entries: Sequence[Entry]) -> None:
        """Add waiting tasks; one that waits or holds a slot already is left as it is."""
        lanes = self._lanes
        is_news = False
        for entry in entries:
            lane = lanes.get(entry.lane) or self._lane(entry.lane)
            if lane.add(entry, self._limit(entry.lane, entry.tenant_id)):
                is_news = True
        if is_news:
            self._bell.ring()

    async def claim(self, session: SessionId, lanes: Sequence[ModelId], want: int) -> ClaimAnswer:
        """Give slots to the next tasks of these lanes, one by one from the lane served least recently."""
        now = self._now()
        claims: list[Claim] = []
        waits_us: list[int] = []
        asked = deque(sorted(self._known(lanes), key=lambda lane: lane.turn))
        while asked and len(claims) < want:
            lane = asked[0]
            answer = lane.claim(session, now)
            if isinstance(answer, Claim):
                claims.append(answer)
                self._turn += 1
                lane.turn = self._turn
                asked.rotate(-1)
                continue
            asked.popleft()
            if answer is not None:
                waits_us.append(answer)
        is_short = len(claims) < want and bool(waits_us)
        return ClaimAnswer(tuple(claims), -(-min(waits_us) // 1000) if is_short else None, self._bell.rings)

    async def release(self, releases: Sequence[Release]) -> None:
        """Free slots, settle tokens, put tasks back."""
        now = self._now()
        is_news = False
        for one in releases:
            lane = self._lanes.get(one.claim.lane)
            if lane is not None and lane.release(one, now):
                is_news = True
                if one.back is not None:
                    back = one.back
                    self._lane(back.lane).add(back, self._limit(back.lane, back.tenant_id))
        if is_news:
            self._bell.ring()

    async def throttle(self, lane: ModelId, for_ms: int, endpoint: str | None = None) -> None:
        """Nothing goes through this gate for so long; afterwards one probe at a time until one succeeds."""
        self._lane(lane).throttle(for_ms, endpoint, self._now())

    async def end_pause(self, lane: ModelId, endpoint: str | None = None) -> None:
        """The pause of this gate is over now, as if its time had passed."""
        self._lane(lane).end_pause(endpoint, self._now())
        self._bell.ring()

    async def set_pace(self, lane: ModelId, endpoint: str | None, paces: Sequence[Pace]) -> None:
        """Replace the paces of these units of a gate."""
        self._lane(lane).set_paces(endpoint, [terms_of(one) for one in paces], self._now())
        self._bell.ring()

    async def remove(self, lane: ModelId, task_ids: Sequence[TaskId]) -> None:
        """Take waiting tasks out."""
        known = self._lanes.get(lane)
        # A list, not a generator: every one is to be removed. Another head may fit its limits at once.
        if known is not None and any([known.remove(task_id) for task_id in task_ids]):
            self._bell.ring()

    async def reconcile(
        self,
        waiting: Sequence[Entry],
        running: Sequence[Slot],
        absent: Sequence[tuple[ModelId, TaskId]],
    ) -> int:
        """Mend towards the record: first drop what is absent, then adopt what runs, then add what waits."""
        now, limit = self._now(), self._limit
        mended: list[ModelId] = []
        mended += [lane for lane, task_id in absent if lane in self._lanes and self._lanes[lane].forget(task_id, now)]
        mended += [one.lane for one in running if self._lane(one.lane).adopt(one, limit(one.lane, one.tenant_id), now)]
        mended += [one.lane for one in waiting if self._lane(one.lane).mend(one, limit(one.lane, one.tenant_id))]
        if mended:
            self._bell.ring()
        return len(mended)

    async def slots(self, lane: ModelId | None = None) -> Sequence[Slot]:
        """Every claim that is not released, of one lane or of all."""
        lanes = self._lanes.values() if lane is None else self._known((lane,))
        return [slot for one in lanes for slot in one.held()]

    async def position(self, lane: ModelId, task_id: TaskId) -> int | None:
        """How many tasks of the same band come before it by order."""
        known = self._lanes.get(lane)
        return None if known is None else known.position(task_id)

    async def depths(self) -> Sequence[LaneDepth]:
        """Every lane that has rules or content, by id."""
        return [lane.depth() for _, lane in sorted(self._lanes.items()) if lane.is_known]

    async def state(self, lane: ModelId) -> LaneState:
        """What stands between the lane's head and its start."""
        known = self._lanes.get(lane)
        return LaneState(lane, (), ()) if known is None else known.state(self._now())

    async def backlog(self, lane: ModelId) -> Sequence[TenantBacklog]:
        """What each tenant has waiting, if the lane's rules say `keeps_backlog`."""
        known = self._lanes.get(lane)
        return [] if known is None else known.backlog()

    def waiting(self, lane: ModelId | None = None) -> int:
        """Tasks that wait, in one lane or in all."""
        lanes = self._lanes.values() if lane is None else self._known((lane,))
        return sum(one.waiting for one in lanes)

    async def wait(self, seen: int, timeout_ms: int) -> int:
        """Return when something has happened since `seen` that may let a claim succeed, or after the timeout."""
        return await self._bell.wait(seen, timeout_ms)

    async def pulse(self) -> Sequence[Pulse]:
        """One shard that is never lost: the process would be gone with it."""
        return (Pulse(0, "memory", 0),)

    async def begin_rebuild(self, *, is_forced: bool = False) -> str | None:
        """Whoever asks may fill it."""
        return "memory"

    async def remember(self, starts: Sequence[PastStart]) -> None:
        """Count these against the limits, in place of what was counted."""
        now = self._now()
        by_lane: dict[ModelId, list[PastStart]] = {}
        for one in starts:
            by_lane.setdefault(one.lane, []).append(one)
        for lane, theirs in by_lane.items():
            self._lane(lane).remember(theirs, now)

    async def finish_rebuild(self, token: str) -> bool:
        """Nothing was closed."""
        return True

    async def lead(self, who: SessionId, ttl_s: float) -> bool:
        """There is nobody else."""
        return True

    async def unknown(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those that neither wait nor hold a slot."""
        return [one for one in entries if one.lane not in self._lanes or not self._lanes[one.lane].knows(one.task_id)]

    async def witness(self, *, has_reached: bool | None) -> Witness:
        """There is nobody else to ask."""
        return Witness(is_doubted=False, reached_ago_s=None)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _now(self) -> Instant:
        return Instant(self._clock.now(), round(self._clock.monotonic_s() * 1_000_000))

    def _limit(self, lane: ModelId, tenant_id: TenantId) -> int | None:
        """Slots of the lane that the tenant may hold: the lower of its two limits."""
        wide, own = self._tenant_limits.get(tenant_id), None
        if self._lane_limits:
            own = self._lane_limits.get(lane, {}).get(tenant_id)
        return wide if own is None or (wide is not None and wide < own) else own

    def _lane(self, lane: ModelId) -> Lane:
        known = self._lanes.get(lane)
        if known is None:
            known = self._lanes[lane] = Lane(lane)
        return known

    def _known(self, lanes: Iterable[ModelId]) -> list[Lane]:
        return [self._lanes[lane] for lane in dict.fromkeys(lanes) if lane in self._lanes]
