"""One way from a lane to a provider: its limits and paces, its pause, its circuit, what went through it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.brokers.bucket import UNITS, Paces
from llm_scheduler.brokers.circuit import Circuit
from llm_scheduler.brokers.limits import RateLimits
from llm_scheduler.brokers.throttle import Throttle
from llm_scheduler.brokers.window import SLICE_US, SLICES
from llm_scheduler.ports.broker import GateRules, GateState, Hold, Spent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_scheduler.brokers.limits import Amounts
    from llm_scheduler.domain.ids import TaskId
    from llm_scheduler.ports.broker import LaneRules

KEPT_US: Final = SLICE_US * SLICES
"""A gate that is in no rules any more is remembered for so long: as long as what was spent matters."""


def per_minute(rules: GateRules | LaneRules) -> tuple[int | None, int | None, int | None, int | None]:
    """The limits, in the order of `UNITS`."""
    return rules.rpm, rules.tpm, rules.input_tpm, rules.output_tpm


def holds_of(limits: RateLimits, now_us: int, amounts: Amounts, paces: Paces | None, name: str | None) -> list[Hold]:
    """The limits that do not let such a call through now."""
    waits = limits.waits_us(now_us, amounts, paces)
    return [Hold(UNITS[unit].value, in_ms(wait_us), name) for unit, wait_us in waits if wait_us > 0]


def in_ms(wait_us: int) -> int:
    """Whole milliseconds, rounded up."""
    return -(-wait_us // 1000)


class Gate:
    """An endpoint, or the one nameless way of a lane without any: that one's limits are the lane's own."""

    __slots__ = (
        "_capacity",
        "circuit",
        "limits",
        "name",
        "paces",
        "rules",
        "running",
        "spent",
        "throttle",
        "touched_us",
    )

    def __init__(self, name: str | None, limits: RateLimits) -> None:
        self.name = name
        self.limits = limits
        self.paces = Paces()
        self.throttle = Throttle()
        self.circuit = Circuit()
        self.running = 0
        self.spent = Spent()
        self.touched_us = 0
        """When anything last happened here that must be remembered for a while."""
        self.rules = GateRules(name or "")
        self._capacity: int | None = None

    def set_rules(self, rules: GateRules) -> None:
        """In force from the next claim on; what was spent stays spent."""
        self.rules = rules
        limits = per_minute(rules)
        self._capacity = 0 if rules.is_drained or 0 in limits else rules.max_workers
        self.limits.change(limits)

    @property
    def is_held(self) -> bool:
        """Something beside its limits may stand in the way: the wait must be asked for."""
        return self.paces.is_on or self.throttle.is_on or self.circuit.is_on

    @property
    def load(self) -> float:
        """How much of its share would run, with one call more."""
        return (self.running + 1) / self.rules.weight

    def wait_us(self, now_us: int, amounts: Amounts) -> int | None:
        """How long until such a call may go through; 0 or less = now, None = only an event helps."""
        if self._capacity is not None and self.running >= self._capacity:
            return None
        return max(
            self.limits.wait_us(now_us, amounts, self.paces),
            self.throttle.wait_us(now_us),
            self.circuit.wait_us(now_us),
        )

    def started(self, now_us: int, task_id: TaskId, amounts: Amounts) -> None:
        """A call goes through, which `wait_us` allowed and `limits` are charged with."""
        self.running += 1
        self.touched_us = now_us
        _, tokens, into, out = amounts
        spent = self.spent
        self.spent = Spent(spent[0] + 1, spent[1] + tokens, spent[2] + into, spent[3] + out)
        if self.throttle.is_on:
            self.throttle.started(now_us, task_id)
        if self.circuit.is_on:
            self.circuit.started(now_us, task_id)

    def ended(self, now_us: int, task_id: TaskId, *, is_success: bool, is_failure: bool) -> None:
        """A slot was freed."""
        self.running -= 1
        if self.throttle.is_on:
            self.throttle.ended(task_id, is_success=is_success)
        self.circuit.ended(now_us, task_id, is_success=is_success, is_failure=is_failure)

    def corrected(self, reserved: Amounts, used: Amounts) -> None:
        """A call that started here is settled."""
        added = (0, *(new - old for new, old in zip(used[1:], reserved[1:], strict=True)))
        self.spent = Spent(*(spent + more for spent, more in zip(self.spent, added, strict=True)))

    def state(self, now_us: int, amounts: Amounts) -> GateState:
        """How it is, for a head of these amounts."""
        calls, failures = self.circuit.counts(now_us)
        return GateState(self.name, self.running, calls, failures, tuple(self._holds(now_us, amounts)))

    def _holds(self, now_us: int, amounts: Amounts) -> Iterator[Hold]:
        rules, name = self.rules, self.name
        if rules.is_drained:
            yield Hold("drained", None, name)
        if rules.max_workers is not None and self.running >= rules.max_workers:
            yield Hold("concurrency", None, name)
        if name is not None:
            yield from (Hold(UNITS[unit].value, None, name) for unit, most in enumerate(per_minute(rules)) if most == 0)
            yield from holds_of(self.limits, now_us, amounts, self.paces, name)
        if self.throttle.wait_us(now_us) > 0:
            yield Hold("throttled", in_ms(self.throttle.wait_us(now_us)), name)
        if self.circuit.wait_us(now_us) > 0:
            yield Hold("circuit", in_ms(self.circuit.wait_us(now_us)), name)

    def is_forgettable(self, now_us: int) -> bool:
        """Nothing of it matters any more, if it is in no rules."""
        return not self.running and now_us - self.touched_us > KEPT_US
