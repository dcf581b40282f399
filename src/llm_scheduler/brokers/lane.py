"""One lane: rules, what waits, who holds a slot, what its limits allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.brokers.limits import RateLimits
from llm_scheduler.brokers.queue import LaneQueue
from llm_scheduler.brokers.throttle import Throttle
from llm_scheduler.domain.ids import Millis
from llm_scheduler.ports.broker import Claim, LaneDepth, Slot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import ModelId, SessionId, TaskId, TenantId
    from llm_scheduler.ports.broker import Entry, LaneRules, PastStart, Release

RESERVE_EVERY: Final = 10
"""Every so-manieth claim of a lane may go to a lower band whose head has waited too long."""


class Instant(NamedTuple):
    """Now, read once for each call: `at` for records, `us` (monotonic) for limits."""

    at: Millis
    us: int


class Held(NamedTuple):
    """A slot that is not released. `charged_in` is what the limits need to settle it."""

    tenant_id: TenantId
    session: SessionId
    attempt: int
    claimed_at: Millis
    tokens: int
    charged_in: int | None


class Lane:
    """What is known of one model's queue."""

    __slots__ = ("_capacity", "_claims", "_limits", "_queue", "_rules", "_throttle", "id", "slots", "turn")

    def __init__(self, lane_id: ModelId) -> None:
        self.id = lane_id
        self.slots: dict[TaskId, Held] = {}
        self.turn = 0
        """When it was served last, counted in claims of all lanes."""
        self._rules: LaneRules | None = None
        self._capacity = 0
        self._queue = LaneQueue()
        self._limits = RateLimits()
        self._throttle = Throttle()
        self._claims = 0

    @property
    def is_known(self) -> bool:
        """Whether it has rules or content."""
        return self._rules is not None or bool(self.slots) or bool(self._queue.waiting)

    @property
    def waiting(self) -> int:
        """How many tasks wait."""
        return len(self._queue.waiting)

    def set_rules(self, rules: LaneRules) -> None:
        """In force from the next claim on, unless newer ones are."""
        if self._rules is not None and rules.version < self._rules.version:
            return
        self._rules = rules
        is_closed = rules.is_paused or rules.rpm == 0 or rules.tpm == 0
        self._capacity = 0 if is_closed else rules.max_workers
        self._limits.change(rules.rpm, rules.tpm)
        self._queue.set_rule(rules.share_rule)

    def limit_tenant(self, tenant_id: TenantId, max_workers: int | None) -> None:
        """Another limit for this tenant, if it has anything here."""
        load = self._queue.tenants.get(tenant_id)
        if load is not None:
            load.limit(max_workers)

    def add(self, entry: Entry, tenant_limit: int | None) -> bool:
        """Let a task wait; False = it waits or holds a slot already."""
        if entry.task_id in self._queue.waiting or entry.task_id in self.slots:
            return False
        self._queue.add(entry, tenant_limit)
        return True

    def knows(self, task_id: TaskId) -> bool:
        """Whether it waits or holds a slot."""
        return task_id in self._queue.waiting or task_id in self.slots

    def remove(self, task_id: TaskId) -> bool:
        """Take a waiting task out; False = it does not wait."""
        return self._queue.remove(task_id)

    def claim(self, session: SessionId, now: Instant) -> Claim | int | None:
        """Start the next task; else microseconds until one may start, or None if only an event helps."""
        rules = self._rules
        if rules is None or len(self.slots) >= self._capacity:
            return None
        if rules.starve_after_ms is not None and self._claims % RESERVE_EVERY == RESERVE_EVERY - 1:
            turn = self._queue.reserve_turn(Millis(now.at - rules.starve_after_ms))
        else:
            turn = self._queue.turn()
        if turn is None:
            return None
        share, head = turn
        _, task_id, attempt, tokens, _, _, _ = head
        if self._limits.is_on or self._throttle.is_on:
            wait_us = self._wait_us(now, tokens)
            if wait_us > 0:
                return wait_us
        self._queue.pop(share, head)
        tenant_id = share.tenant.tenant_id
        charged_in = self._limits.charge(now.us, tokens) if self._limits.is_on else None
        if self._throttle.is_on:
            self._throttle.started(now.us, task_id)
        self.slots[task_id] = Held(tenant_id, session, attempt, now.at, tokens, charged_in)
        self._claims += 1
        return Claim(task_id, self.id, tenant_id, attempt, tokens)

    def release(self, release: Release, now: Instant) -> bool:
        """Free the slot and settle; False = this claim does not hold it."""
        task_id = release.claim.task_id
        held = self.slots.get(task_id)
        if held is None or held.attempt != release.claim.attempt:
            return False
        self._free(task_id, held, is_success=release.is_success)
        if release.used_tokens is not None and self._limits.is_on:
            self._limits.settle(now.us, held.charged_in, held.tokens, release.used_tokens)
        return True

    def throttle(self, for_ms: int, now: Instant) -> None:
        """Nothing starts for so long, then one at a time."""
        self._throttle.pause(now.us, for_ms * 1000)

    def remember(self, starts: Sequence[PastStart], now: Instant) -> None:
        """Charge the limits with what the record says of the last minute, and with nothing else."""
        self._limits.forget()
        if self._limits.is_on:
            for one in starts:
                self._limits.charge(now.us - (now.at - one.started_at) * 1000, one.tokens)

    def forget(self, task_id: TaskId) -> bool:
        """The record does not know it as waiting or running: drop entry and slot. Was there any?"""
        held = self.slots.get(task_id)
        if held is not None:
            self._free(task_id, held, is_success=False)
        return self._queue.remove(task_id) or held is not None

    def adopt(self, slot: Slot, tenant_limit: int | None) -> bool:
        """The record says that it runs. Was that news? Older than what is known here, it is not."""
        held = self.slots.get(slot.task_id)
        if held is not None:
            is_same = held.attempt == slot.attempt and held.session == slot.session
            if is_same or held.attempt > slot.attempt:
                return False
            self._free(slot.task_id, held, is_success=False)
        else:
            place = self._queue.waiting.get(slot.task_id)
            if place is not None and place[2] > slot.attempt:
                return False
            self._queue.remove(slot.task_id)
        self._queue.tenant(slot.tenant_id, tenant_limit).started()
        self.slots[slot.task_id] = Held(slot.tenant_id, slot.session, slot.attempt, slot.claimed_at, 0, None)
        return True

    def mend(self, entry: Entry, tenant_limit: int | None) -> bool:
        """The record says that it waits. Was that news? A slot is left alone, a newer entry too."""
        if entry.task_id in self.slots:
            return False
        place = self._queue.waiting.get(entry.task_id)
        if place is not None:
            if place[2] > entry.attempt or place == self._queue.place_of(entry):
                return False
            self._queue.remove(entry.task_id)
        self._queue.add(entry, tenant_limit)
        return True

    def held(self) -> list[Slot]:
        """The slots."""
        return [
            Slot(task_id, self.id, one.tenant_id, one.session, one.attempt, one.claimed_at)
            for task_id, one in self.slots.items()
        ]

    def position(self, task_id: TaskId) -> int | None:
        """How many of its band come before it."""
        return self._queue.position(task_id)

    def depth(self) -> LaneDepth:
        """How much waits and runs."""
        queue = self._queue
        return LaneDepth(self.id, len(queue.waiting), len(self.slots), queue.by_band(), queue.oldest_queued_at())

    def _wait_us(self, now: Instant, tokens: int) -> int:
        return max(self._limits.wait_us(now.us, tokens), self._throttle.wait_us(now.us))

    def _free(self, task_id: TaskId, held: Held, *, is_success: bool) -> None:
        del self.slots[task_id]
        self._queue.slot_ended(held.tenant_id)
        if self._throttle.is_on:
            self._throttle.ended(task_id, is_success=is_success)
