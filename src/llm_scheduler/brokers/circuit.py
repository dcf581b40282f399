"""The circuit of one gate: after too many failures nothing goes through for a while, then one call tries.

Source of the numbers: SCHEDULING.md, section 5 (retries, breaker, hedging).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.brokers.throttle import Throttle

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import TaskId

BUCKET_US: Final = 10_000_000
BUCKETS: Final = 3
"""Calls are counted in ten-second buckets; the present one and the two before it are the last 30 s."""
FEWEST_CALLS: Final = 10
"""Fewer calls tell too little."""
FAILED_SHARE: Final = 2
"""It opens when one in so many failed."""
FIRST_PAUSE_US: Final = 15_000_000
LONGEST_PAUSE_US: Final = 300_000_000


class Circuit:
    """Closed, open (a pause) or half open (a probe is out, as after a throttle's pause).

    Each opening doubles the next pause, until a call succeeds while the circuit is closed or half open.
    """

    __slots__ = ("_calls", "_failures", "_next_us", "_pause", "_ten")

    def __init__(self) -> None:
        self._pause = Throttle()
        self._next_us = FIRST_PAUSE_US
        self._ten = 0
        self._calls = [0] * BUCKETS
        self._failures = [0] * BUCKETS

    @property
    def is_on(self) -> bool:
        """Open or half open: `wait_us` and `started` matter only then."""
        return self._pause.is_on

    def wait_us(self, now_us: int) -> int:
        """How long until the next call may start; 0 or less = now."""
        return self._pause.wait_us(now_us)

    def started(self, now_us: int, task_id: TaskId) -> None:
        """A call started, which `wait_us` allowed."""
        if self._pause.is_on:
            self._pause.started(now_us, task_id)
            if not self._pause.is_on:  # the probe has been out for long enough: counts begin anew
                self._forget()

    def ended(self, now_us: int, task_id: TaskId, *, is_success: bool, is_failure: bool) -> None:
        """A call ended; one that is neither says nothing about the gate."""
        is_probe, was_on = self._pause.is_probe(task_id), self._pause.is_on
        if is_probe:
            self._pause.ended(task_id, is_success=is_success)
        if not (is_success or is_failure):
            return
        self._count(now_us, is_failure=is_failure)
        if is_success and (is_probe or not was_on):
            self._next_us = FIRST_PAUSE_US
            if is_probe:
                self._forget()
        elif is_failure and (is_probe or (not was_on and self._has_failed())):
            self._pause.pause(now_us, self._next_us)
            self._next_us = min(2 * self._next_us, LONGEST_PAUSE_US)

    def counts(self, now_us: int) -> tuple[int, int]:
        """Calls that ended within the last 30 s, and how many of them failed."""
        self._advance(now_us)
        return sum(self._calls), sum(self._failures)

    def _has_failed(self) -> bool:
        calls = sum(self._calls)
        return calls >= FEWEST_CALLS and sum(self._failures) * FAILED_SHARE >= calls

    def _count(self, now_us: int, *, is_failure: bool) -> None:
        self._advance(now_us)
        self._calls[0] += 1
        self._failures[0] += is_failure

    def _advance(self, now_us: int) -> None:
        passed = min(now_us // BUCKET_US - self._ten, BUCKETS)
        if passed > 0:
            self._ten = now_us // BUCKET_US
            kept = BUCKETS - passed
            self._calls = [0] * passed + self._calls[:kept]
            self._failures = [0] * passed + self._failures[:kept]

    def _forget(self) -> None:
        self._calls, self._failures = [0] * BUCKETS, [0] * BUCKETS
