"""Payloads that are not to be kept: outputs, and inputs of tasks that failed, go a while after the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.ids import Millis

if TYPE_CHECKING:
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.retention import RetentionMoves

PAGE: Final = 500
LONGEST_REST_S: Final = 60.0


class Fading:
    """One sweep after another; the relay calls `step` on the process that leads.

    Args:
        store: the record.
        clock: of the record.
        grace_s: how long what is left of a payload is kept after the end, so that whoever waits for it gets it.
    """

    def __init__(self, store: RetentionMoves, clock: Clock, grace_s: float) -> None:
        self._store, self._clock, self._grace_ms = store, clock, round(grace_s * 1000)
        self.every_s = min(LONGEST_REST_S, grace_s)
        """How often to call `step`: a payload is there for its grace, and at most so much longer."""

    async def step(self) -> None:
        """Blank all that is due, in slices that hold up nobody for long."""
        while await self._store.blank_payloads(Millis(self._clock.now() - self._grace_ms), PAGE) == PAGE:
            pass
