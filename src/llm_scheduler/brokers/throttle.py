"""The shared pause after a provider's 429, and the careful start after it.

While the pause lasts nothing goes through the gate. Then it is half open: one call, the probe, goes out and
the others wait for it. The gate is open again when the probe succeeds, or when it has run for
PROBE_TRUSTED_US without being refused (a refusal is the first thing a provider says; a long answer
should not hold up the others). A probe that ends otherwise makes room for the next one. A new 429 starts
over: the pause is extended, never shortened, and whatever runs by then is no probe any more. Callers
report a 429 before they release its slot, so that no second probe slips out in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import TaskId

PROBE_TRUSTED_US: Final = 10_000_000


class Throttle:
    """One gate's pause and probe."""

    __slots__ = ("_open_at_us", "_probe", "_trusted_at_us", "is_on")

    def __init__(self) -> None:
        self.is_on = False
        """Paused or half open: the other calls matter only then."""
        self._open_at_us = 0
        self._probe: TaskId | None = None
        self._trusted_at_us = 0

    def pause(self, now_us: int, for_us: int) -> None:
        """The provider said 429."""
        self._open_at_us = max(self._open_at_us, now_us + for_us)
        self.is_on = True
        self._probe = None

    def end(self, now_us: int) -> None:
        """A person says that it is over."""
        self._open_at_us = min(self._open_at_us, now_us)

    def is_probe(self, task_id: TaskId) -> bool:
        """Whether this call is the one that the others wait for."""
        return self._probe == task_id

    def wait_us(self, now_us: int) -> int:
        """How long until the next call may start; 0 or less = now. The probe's end may come sooner."""
        if self._probe is None:
            return self._open_at_us - now_us
        return max(self._open_at_us, self._trusted_at_us) - now_us

    def started(self, now_us: int, task_id: TaskId) -> None:
        """A call started, which `wait_us` allowed."""
        if not self.is_on:
            return
        if self._probe is None:
            self._probe, self._trusted_at_us = task_id, now_us + PROBE_TRUSTED_US
        else:  # the probe has been out for long enough
            self.is_on, self._probe = False, None

    def ended(self, task_id: TaskId, *, is_success: bool) -> None:
        """A slot was freed."""
        if task_id == self._probe:
            self._probe = None
            self.is_on = not is_success
