"""A broker for callers who must not fail because the index is away: the record goes on without it.

What the index must hear although it did not answer is kept, in order, and sent again when it is back: releases,
and the last word on rules, limits, pauses, paces and dropped lanes. What it need not hear is let go: the reconciler
adds what was not enqueued and takes out what was not removed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import ceil
from typing import TYPE_CHECKING, Final, TypeVar

from llm_scheduler.domain.errors import BrokerUnavailableError
from llm_scheduler.ports.broker import ClaimAnswer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from llm_scheduler.domain.ids import ModelId, SessionId, TaskId, TenantId
    from llm_scheduler.ports.broker import (
        Broker,
        Entry,
        LaneDepth,
        LaneRules,
        LaneState,
        Pace,
        PastStart,
        Pulse,
        Release,
        Slot,
        TenantBacklog,
        Unit,
        Witness,
    )
    from llm_scheduler.ports.clock import Clock

RELEASES_KEPT: Final = 10_000
"""Beyond that the oldest go: the reconciler takes slots away whose tasks do not run."""
AWAY_WAIT_MS: Final = 250
_RELEASES_AT_ONCE: Final = 500

T = TypeVar("T")


class GuardedBroker:
    """Implements `ports.broker.Broker` around another one.

    `on_lost` is called for every enqueue or remove that the index did not hear; `on_state(is_available)` when that
    has changed. Reads still raise BrokerUnavailableError. Any call that succeeds shows that the index is back; what
    was kept is sent then, before the next claim.
    """

    def __init__(
        self, inner: Broker, clock: Clock, on_lost: Callable[[], None], on_state: Callable[[bool], None]
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._on_lost = on_lost
        self._on_state = on_state
        self._is_available = True
        self._sending = asyncio.Lock()
        self._enqueueing = asyncio.Lock()
        self._entering: list[Entry] = []
        self._releases: deque[Release] = deque(maxlen=RELEASES_KEPT)
        self._rules: dict[ModelId, LaneRules] = {}
        self._all_limits: Mapping[tuple[TenantId, ModelId | None], int] | None = None
        self._limits: dict[tuple[TenantId, ModelId | None], int | None] = {}
        self._throttles: dict[tuple[ModelId, str | None], float] = {}
        self._paces: dict[tuple[ModelId, str | None], dict[Unit, tuple[Pace, float]]] = {}
        self._ended: dict[tuple[ModelId, str | None], None] = {}
        self._dropped: dict[ModelId, None] = {}

    @property
    def is_available(self) -> bool:
        """Whether the last call was answered."""
        return self._is_available

    # What is kept while the index is away

    async def set_rules(self, rules: Sequence[LaneRules]) -> None:
        """Replace the rules of these lanes, now or when the index is back."""
        for one in rules:
            kept = self._rules.get(one.lane)
            if kept is None or one.version >= kept.version:
                self._rules[one.lane] = one
        await self._resend()

    async def set_tenant_limit(self, tenant_id: TenantId, max_workers: int | None) -> None:
        """Limit a tenant, now or when the index is back."""
        self._limits[tenant_id, None] = max_workers
        await self._resend()

    async def set_lane_limit(self, lane: ModelId, tenant_id: TenantId, max_workers: int | None) -> None:
        """Limit a tenant in one lane, now or when the index is back."""
        self._limits[tenant_id, lane] = max_workers
        await self._resend()

    async def set_limits(self, limits: Mapping[tuple[TenantId, ModelId | None], int]) -> None:
        """Replace all limits of tenants, now or when the index is back."""
        self._all_limits = limits
        self._limits.clear()
        await self._resend()

    async def drop_lane(self, lane: ModelId) -> None:
        """Forget the lane, now or when the index is back."""
        self._rules.pop(lane, None)
        for limit in [limit for limit in self._limits if limit[1] == lane]:
            del self._limits[limit]
        for kept in (self._throttles, self._ended, self._paces):
            for key in [key for key in kept if key[0] == lane]:
                del kept[key]
        self._dropped[lane] = None
        await self._resend()

    async def throttle(self, lane: ModelId, for_ms: int, endpoint: str | None = None) -> None:
        """Pause the gate; what is left of the pause when the index is back."""
        until_s = self._clock.monotonic_s() + for_ms / 1000
        key = lane, endpoint
        self._throttles[key] = max(until_s, self._throttles.get(key, until_s))
        await self._resend()

    async def end_pause(self, lane: ModelId, endpoint: str | None = None) -> None:
        """End the gate's pause, now or when the index is back; one that begins meanwhile stays."""
        self._throttles.pop((lane, endpoint), None)
        self._ended[lane, endpoint] = None
        await self._resend()

    async def set_pace(self, lane: ModelId, endpoint: str | None, paces: Sequence[Pace]) -> None:
        """Pace the gate; when the index is back, by the last word on each unit, as long as it would still be valid."""
        now_s = self._clock.monotonic_s()
        self._keep_paces((lane, endpoint), {one.unit: (one, now_s + one.valid_ms / 1000) for one in paces})
        await self._resend()

    async def release(self, releases: Sequence[Release]) -> None:
        """Free slots, now or when the index is back, in the order in which they were released."""
        self._releases.extend(releases)
        await self._resend()

    # What is let go while the index is away

    async def enqueue(self, entries: Sequence[Entry]) -> None:
        """Add waiting tasks, those of all who came meanwhile at once; the reconciler adds what was not heard."""
        self._entering += entries
        async with self._enqueueing:
            if self._entering:
                page, self._entering = self._entering, []
                await self._try(self._inner.enqueue(page))

    async def remove(self, lane: ModelId, task_ids: Sequence[TaskId]) -> None:
        """Take waiting tasks out; START refuses them if the index is away."""
        await self._try(self._inner.remove(lane, task_ids))

    async def claim(self, session: SessionId, lanes: Sequence[ModelId], want: int) -> ClaimAnswer:
        """Claim; nothing while the index is away."""
        seen = await self._inner.wait(-1, 0)  # no count was ever negative: it only tells where things stand
        if await self._resend():
            try:
                return await self._watched(self._inner.claim(session, lanes, want))
            except BrokerUnavailableError:
                pass  # on_state has told it
        return ClaimAnswer((), AWAY_WAIT_MS, seen)

    # What raises while the index is away

    async def reconcile(
        self, waiting: Sequence[Entry], running: Sequence[Slot], absent: Sequence[tuple[ModelId, TaskId]]
    ) -> int:
        """Mend towards the record."""
        return await self._watched(self._inner.reconcile(waiting, running, absent))

    async def slots(self, lane: ModelId | None = None) -> Sequence[Slot]:
        """Every claim that is not released."""
        return await self._watched(self._inner.slots(lane))

    async def position(self, lane: ModelId, task_id: TaskId) -> int | None:
        """How many tasks of the same band come before it."""
        return await self._watched(self._inner.position(lane, task_id))

    async def depths(self) -> Sequence[LaneDepth]:
        """Every lane that has rules or content."""
        return await self._watched(self._inner.depths())

    async def state(self, lane: ModelId) -> LaneState:
        """What stands between the lane's head and its start."""
        return await self._watched(self._inner.state(lane))

    async def backlog(self, lane: ModelId) -> Sequence[TenantBacklog]:
        """What each tenant has waiting."""
        return await self._watched(self._inner.backlog(lane))

    async def pulse(self) -> Sequence[Pulse]:
        """How every shard is; a sign of life is followed by what was kept."""
        pulses = await self._watched(self._inner.pulse())
        await self._resend()
        return pulses

    async def begin_rebuild(self, *, is_forced: bool = False) -> str | None:
        """Ask to be the one who rebuilds."""
        return await self._watched(self._inner.begin_rebuild(is_forced=is_forced))

    async def remember(self, starts: Sequence[PastStart]) -> None:
        """Count these against the limits."""
        await self._watched(self._inner.remember(starts))

    async def finish_rebuild(self, token: str) -> bool:
        """Open for claims again."""
        return await self._watched(self._inner.finish_rebuild(token))

    async def lead(self, who: SessionId, ttl_s: float) -> bool:
        """Whether this session leads."""
        return await self._watched(self._inner.lead(who, ttl_s))

    async def unknown(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those that neither wait nor hold a slot."""
        return await self._watched(self._inner.unknown(entries))

    async def witness(self, *, has_reached: bool | None) -> Witness:
        """Tell and learn who reaches the record."""
        return await self._watched(self._inner.witness(has_reached=has_reached))

    # What needs no index

    def waiting(self, lane: ModelId | None = None) -> int:
        """As of the last call that was answered."""
        return self._inner.waiting(lane)

    async def wait(self, seen: int, timeout_ms: int) -> int:
        """Wait for something that may let a claim succeed."""
        return await self._inner.wait(seen, timeout_ms)

    async def close(self) -> None:
        """Let go of connections."""
        await self._inner.close()

    # Parts

    async def _try(self, call: Awaitable[None]) -> None:
        try:
            await self._watched(call)
        except BrokerUnavailableError:
            self._on_lost()
        else:
            await self._resend()

    async def _watched(self, call: Awaitable[T]) -> T:
        """Note whether the index answers."""
        try:
            answer = await call
        except BrokerUnavailableError:
            self._note(is_available=False)
            raise
        self._note(is_available=True)
        return answer

    def _note(self, *, is_available: bool) -> None:
        if is_available != self._is_available:
            self._is_available = is_available
            self._on_state(is_available)

    def _has_kept(self) -> bool:
        has_limits = self._all_limits is not None or bool(self._limits)
        kept = self._releases or self._rules or self._throttles or self._paces or self._dropped
        return has_limits or bool(kept)

    async def _resend(self) -> bool:
        """Send what is kept, one caller for all who came meanwhile; False = it is still kept.

        Settings go first: a pause must be known before the slot of the call that met it is free.
        """
        if not self._has_kept():
            return True
        async with self._sending:
            try:
                await self._send_settings()
                while self._releases:
                    await self._send_releases()
            except BrokerUnavailableError:
                return False  # on_state has told it
        return True

    async def _send_settings(self) -> None:
        for lane in tuple(self._dropped):
            await self._watched(self._inner.drop_lane(lane))
            self._dropped.pop(lane, None)
        await self._send_limits()
        rules = tuple(self._rules.values())
        if rules:
            await self._watched(self._inner.set_rules(rules))
            for one in rules:
                if self._rules.get(one.lane) is one:
                    del self._rules[one.lane]
        await self._send_pauses()
        for gate in tuple(self._paces):
            await self._send_paces(gate)

    async def _send_pauses(self) -> None:
        for lane, endpoint in tuple(self._ended):
            await self._watched(self._inner.end_pause(lane, endpoint))
            self._ended.pop((lane, endpoint), None)
        for gate, until_s in tuple(self._throttles.items()):
            lane, endpoint = gate
            await self._watched(self._inner.throttle(lane, max(0, self._left_ms(until_s)), endpoint))
            if self._throttles.get(gate) == until_s:
                del self._throttles[gate]

    async def _send_limits(self) -> None:
        if (limits := self._all_limits) is not None:
            await self._watched(self._inner.set_limits(limits))
            if self._all_limits is limits:
                self._all_limits = None
        for limit, most in tuple(self._limits.items()):
            tenant_id, lane = limit
            if lane is None:
                await self._watched(self._inner.set_tenant_limit(tenant_id, most))
            else:
                await self._watched(self._inner.set_lane_limit(lane, tenant_id, most))
            if self._limits.get(limit, most) == most:
                self._limits.pop(limit, None)

    async def _send_paces(self, gate: tuple[ModelId, str | None]) -> None:
        kept = self._paces.pop(gate)
        left_ms = {unit: self._left_ms(until_s) for unit, (_, until_s) in kept.items()}
        paces = [one._replace(valid_ms=left_ms[unit]) for unit, (one, _) in kept.items() if left_ms[unit] > 0]
        try:
            if paces:
                await self._watched(self._inner.set_pace(*gate, paces))
        except BaseException:
            newer = self._paces.pop(gate, {})
            self._keep_paces(gate, kept)
            self._keep_paces(gate, newer)
            raise

    def _keep_paces(self, gate: tuple[ModelId, str | None], paces: dict[Unit, tuple[Pace, float]]) -> None:
        """The later word counts; what either gives once is given."""
        kept = self._paces.setdefault(gate, {})
        for unit, (pace, until_s) in paces.items():
            bonus = pace.bonus + (kept[unit][0].bonus if unit in kept else 0.0)
            kept[unit] = pace._replace(bonus=bonus), until_s

    def _left_ms(self, until_s: float) -> int:
        return ceil((until_s - self._clock.monotonic_s()) * 1000 - 1e-6)

    async def _send_releases(self) -> None:
        page = [self._releases.popleft() for _ in range(min(_RELEASES_AT_ONCE, len(self._releases)))]
        try:
            await self._watched(self._inner.release(page))
        except BaseException:  # also when this caller was cancelled: others' releases may be among them
            self._releases = deque((*page, *self._releases), maxlen=RELEASES_KEPT)
            raise
