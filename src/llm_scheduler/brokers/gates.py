"""The ways through one lane, and which of them the head takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.brokers.gate import Gate
from llm_scheduler.brokers.limits import RateLimits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.brokers.limits import Amounts
    from llm_scheduler.ports.broker import GateRules


class Gates:
    """Gates by name; those of the rules are in force, others are remembered while calls of theirs run or count."""

    __slots__ = ("_by_name", "_lane_limits", "in_force", "only")

    def __init__(self, lane_limits: RateLimits) -> None:
        self._lane_limits = lane_limits
        self._by_name: dict[str | None, Gate] = {}
        self.only: Gate | None = self.named(None)
        """The nameless one, if the rules name none."""
        self.in_force: tuple[Gate, ...] = (self.only,)

    def named(self, name: str | None) -> Gate:
        """The gate of this name, in force or not."""
        gate = self._by_name.get(name)
        if gate is None:
            gate = self._by_name[name] = Gate(name, self._lane_limits if name is None else RateLimits())
        return gate

    def set_rules(self, rules: Sequence[GateRules], now_us: int) -> None:
        """These are in force from the next claim on; without any, the nameless one."""
        self.only = None if rules else self.named(None)
        self.in_force = tuple(self.named(one.name) for one in rules) or (self.named(None),)
        for gate, one in zip(self.in_force, rules, strict=False):
            gate.set_rules(one)
        self._by_name = {
            name: gate
            for name, gate in self._by_name.items()
            if gate in self.in_force or not gate.is_forgettable(now_us)
        }

    def choose(self, now_us: int, amounts: Amounts) -> Gate | int | None:
        """The gate that has room for such a call; else microseconds until one has, None = only an event helps."""
        best: Gate | None = None
        least_us: int | None = None
        for gate in self.in_force:
            wait_us = gate.wait_us(now_us, amounts)
            if wait_us is None:
                continue
            if wait_us > 0:
                least_us = wait_us if least_us is None else min(least_us, wait_us)
            elif best is None or gate.load < best.load:
                best = gate
        return least_us if best is None else best

    def forget_spending(self) -> None:
        """As if nothing had started yet through any."""
        for gate in self._by_name.values():
            gate.limits.forget()
