"""One lane: rules, what waits, who holds a slot, what its limits allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.brokers.gate import Gate, holds_of, per_minute
from llm_scheduler.brokers.gates import Gates
from llm_scheduler.brokers.limits import RateLimits
from llm_scheduler.brokers.queue import LaneQueue
from llm_scheduler.brokers.share import amounts_of, attempt_of
from llm_scheduler.brokers.window import SLICE_US
from llm_scheduler.domain.ids import Millis
from llm_scheduler.ports.broker import Claim, Hold, LaneDepth, LaneState, Slot, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_scheduler.brokers.bucket import Terms
    from llm_scheduler.brokers.limits import Amounts
    from llm_scheduler.brokers.share import Turn
    from llm_scheduler.domain.ids import ModelId, SessionId, TaskId, TenantId
    from llm_scheduler.ports.broker import Entry, LaneRules, PastStart, Release, TenantBacklog

RESERVE_EVERY: Final = 10
"""Every so-manieth claim of a lane may go to a lower band whose head has waited too long."""


class Instant(NamedTuple):
    """Now, read once for each call: `at` for records, `us` (monotonic) for limits."""

    at: Millis
    us: int


class Charged(NamedTuple):
    """What the limits need to settle a start: its slice, and where it was counted (bits of units)."""

    slice_: int
    lane: int
    gate: int
    paced: int


class Held(NamedTuple):
    """A slot that is not released. `charged` None: it was adopted from the record."""

    tenant_id: TenantId
    session: SessionId
    attempt: int
    claimed_at: Millis
    gate: Gate
    reserved: Amounts
    charged: Charged | None


class Lane:
    """What is known of one model's queue."""

    __slots__ = ("_capacity", "_claims", "_gates", "_limits", "_queue", "_rules", "id", "slots", "turn")

    def __init__(self, lane_id: ModelId) -> None:
        self.id = lane_id
        self.slots: dict[TaskId, Held] = {}
        self.turn = 0
        """When it was served last, counted in claims of all lanes."""
        self._rules: LaneRules | None = None
        self._capacity = 0
        self._queue = LaneQueue()
        self._limits = RateLimits()
        """Over all gates."""
        self._gates = Gates(self._limits)
        self._claims = 0

    @property
    def is_known(self) -> bool:
        """Whether it has rules or content."""
        return self._rules is not None or bool(self.slots) or bool(self._queue.waiting)

    @property
    def waiting(self) -> int:
        """How many tasks wait."""
        return len(self._queue.waiting)

    def set_rules(self, rules: LaneRules, now: Instant) -> None:
        """In force from the next claim on, unless newer ones are."""
        if self._rules is not None and rules.version < self._rules.version:
            return
        self._rules = rules
        limits = per_minute(rules)
        self._capacity = 0 if rules.is_paused or 0 in limits else rules.max_workers
        self._limits.change(limits)
        self._gates.set_rules(rules.gates, now.us)
        self._queue.set_rule(rules.share_rule)

    @property
    def tenants(self) -> list[TenantId]:
        """Those that have anything here."""
        return list(self._queue.tenants)

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
        turn = self._turn(rules, now)
        if turn is None:
            return None
        share, head = turn
        amounts = amounts_of(head[2])
        gate = self._gates.only
        if gate is None or gate.is_held or self._limits.is_on:
            admitted = self._admitted(now, amounts)
            if not isinstance(admitted, Gate):
                return admitted
            gate = admitted
        self._queue.pop(share, head)
        task_id, attempt, tenant_id = head[1], attempt_of(head[2]), share.tenant.tenant_id
        charged = self._charge(gate, now.us, amounts)
        gate.started(now.us, task_id, amounts)
        self.slots[task_id] = Held(tenant_id, session, attempt, now.at, gate, amounts, charged)
        self._claims += 1
        return Claim(task_id, self.id, tenant_id, attempt, amounts[1], amounts[3], gate.name, gate.spent)

    def release(self, release: Release, now: Instant) -> bool:
        """Free the slot and settle; False = this claim does not hold it."""
        task_id = release.claim.task_id
        held = self.slots.get(task_id)
        if held is None or held.attempt != release.claim.attempt:
            return False
        self._free(task_id, held, now, is_success=release.is_success, is_failure=release.is_failure)
        if release.used_tokens is not None or release.used_output is not None:
            self._settle(held, now, used_amounts(held.reserved, release.used_tokens, release.used_output))
        return True

    def throttle(self, for_ms: int, endpoint: str | None, now: Instant) -> None:
        """Nothing goes through this gate for so long, then one at a time."""
        gate = self._gates.named(endpoint)
        gate.throttle.pause(now.us, for_ms * 1000)
        gate.touched_us = now.us

    def end_pause(self, endpoint: str | None, now: Instant) -> None:
        """A pause of this gate is over now."""
        self._gates.named(endpoint).throttle.end(now.us)

    def set_paces(self, endpoint: str | None, paces: Sequence[Terms], now: Instant) -> None:
        """Paces of one gate, in force from now on."""
        gate = self._gates.named(endpoint)
        for terms in paces:
            gate.paces.set(terms, now.us, gate.spent)
        gate.touched_us = now.us

    def remember(self, starts: Sequence[PastStart], now: Instant) -> None:
        """Charge the limits with what the record says of the last minute, and with nothing else."""
        self._limits.forget()
        self._gates.forget_spending()
        for one in starts:
            at_us = now.us - (now.at - one.started_at) * 1000
            amounts = (1, one.tokens, max(0, one.tokens - one.output_tokens), one.output_tokens)
            self._limits.charge(at_us, amounts, None)
            if one.endpoint is not None:
                gate = self._gates.named(one.endpoint)
                gate.limits.charge(at_us, amounts, None)
                gate.touched_us = at_us

    def forget(self, task_id: TaskId, now: Instant) -> bool:
        """The record does not know it as waiting or running: drop entry and slot. Was there any?"""
        held = self.slots.get(task_id)
        if held is not None:
            self._free(task_id, held, now)
        return self._queue.remove(task_id) or held is not None

    def adopt(self, slot: Slot, tenant_limit: int | None, now: Instant) -> bool:
        """The record says that it runs. Was that news? Older than what is known here, it is not."""
        held = self.slots.get(slot.task_id)
        if held is not None:
            is_same = held.attempt == slot.attempt and held.session == slot.session
            if is_same or held.attempt > slot.attempt:
                return False
            self._free(slot.task_id, held, now)
        else:
            place = self._queue.waiting.get(slot.task_id)
            if place is not None and attempt_of(place[2]) > slot.attempt:
                return False
            self._queue.remove(slot.task_id)
        self._queue.tenant(slot.tenant_id, tenant_limit).started()
        gate = self._gates.named(slot.endpoint)
        gate.running += 1
        self.slots[slot.task_id] = Held(
            slot.tenant_id, slot.session, slot.attempt, slot.claimed_at, gate, (1, 0, 0, 0), None
        )
        return True

    def mend(self, entry: Entry, tenant_limit: int | None) -> bool:
        """The record says that it waits. Was that news? A slot is left alone, a newer entry too."""
        if entry.task_id in self.slots:
            return False
        place = self._queue.waiting.get(entry.task_id)
        if place is not None:
            if attempt_of(place[2]) > entry.attempt or place == self._queue.place_of(entry):
                return False
            self._queue.remove(entry.task_id)
        self._queue.add(entry, tenant_limit)
        return True

    def held(self) -> list[Slot]:
        """The slots."""
        return [
            Slot(task_id, self.id, one.tenant_id, one.session, one.attempt, one.claimed_at, one.gate.name)
            for task_id, one in self.slots.items()
        ]

    def position(self, task_id: TaskId) -> int | None:
        """How many of its band come before it."""
        return self._queue.position(task_id)

    def depth(self) -> LaneDepth:
        """How much waits and runs."""
        queue = self._queue
        return LaneDepth(
            self.id,
            len(queue.waiting),
            len(self.slots),
            queue.by_band(),
            queue.oldest_queued_at(),
            queue.cost_by_band(),
        )

    def backlog(self) -> list[TenantBacklog]:
        """What each tenant has waiting, if the rules ask for it."""
        return self._queue.backlog() if self._rules is not None and self._rules.keeps_backlog else []

    def state(self, now: Instant) -> LaneState:
        """What stands between the head and its start."""
        rules = self._rules
        if rules is None:
            return LaneState(self.id, (), ())
        turn = self._turn(rules, now)
        amounts = (1, 0, 0, 0) if turn is None else amounts_of(turn[1][2])
        gates = tuple(gate.state(now.us, amounts) for gate in self._gates.in_force)
        return LaneState(self.id, tuple(self._holds(rules, now.us, amounts)), gates)

    def _holds(self, rules: LaneRules, now_us: int, amounts: Amounts) -> Iterator[Hold]:
        if rules.is_paused:
            yield Hold("paused")
        if len(self.slots) >= rules.max_workers:
            yield Hold("concurrency")
        yield from (Hold(unit.value) for unit, most in zip(Unit, per_minute(rules), strict=True) if most == 0)
        only = self._gates.only
        yield from holds_of(self._limits, now_us, amounts, None if only is None else only.paces, None)

    def _turn(self, rules: LaneRules, now: Instant) -> Turn | None:
        if rules.starve_after_ms is not None and self._claims % RESERVE_EVERY == RESERVE_EVERY - 1:
            return self._queue.reserve_turn(Millis(now.at - rules.starve_after_ms))
        return self._queue.turn()

    def _admitted(self, now: Instant, amounts: Amounts) -> Gate | int | None:
        """The gate that the head goes through now; else microseconds to wait, None = only an event helps."""
        chosen = self._gates.choose(now.us, amounts)
        if self._gates.only is not None or chosen is None:
            return chosen
        wait_us = self._limits.wait_us(now.us, amounts, None)
        if isinstance(chosen, Gate):
            return chosen if wait_us <= 0 else wait_us
        return max(chosen, wait_us)

    def _charge(self, gate: Gate, now_us: int, amounts: Amounts) -> Charged:
        slice_ = now_us // SLICE_US
        if gate.name is None:
            if not (self._limits.is_on or gate.paces.is_on):
                return Charged(slice_, 0, 0, 0)
            counted, paced = self._limits.charge(now_us, amounts, gate.paces)
            return Charged(slice_, counted, 0, paced)
        counted, _ = self._limits.charge(now_us, amounts, None)
        return Charged(slice_, counted, *gate.limits.charge(now_us, amounts, gate.paces))

    def _settle(self, held: Held, now: Instant, used: Amounts) -> None:
        gate, reserved = held.gate, held.reserved
        slice_, lane, counted, paced = held.charged or (0, 0, 0, 0)
        if held.charged is not None:
            gate.corrected(reserved, used)
        if gate.name is None:
            if self._limits.is_on or gate.paces.is_on:
                self._limits.settle(now.us, (slice_, lane, paced), reserved, used, gate.paces)
        else:
            self._limits.settle(now.us, (slice_, lane, 0), reserved, used, None)
            gate.limits.settle(now.us, (slice_, counted, paced), reserved, used, gate.paces)

    def _free(
        self, task_id: TaskId, held: Held, now: Instant, *, is_success: bool = False, is_failure: bool = False
    ) -> None:
        del self.slots[task_id]
        self._queue.slot_ended(held.tenant_id)
        held.gate.ended(now.us, task_id, is_success=is_success, is_failure=is_failure)


def used_amounts(reserved: Amounts, tokens: int | None, output: int | None) -> Amounts:
    """What a call used, where None keeps the reservation. What came out is never more than all tokens."""
    _, reserved_tokens, reserved_input, reserved_output = reserved
    used_output = reserved_output if output is None else output
    if tokens is None:
        return 1, reserved_tokens, reserved_input, used_output
    used_output = min(used_output, tokens)
    return 1, tokens, tokens - used_output, used_output
