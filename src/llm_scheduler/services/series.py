"""Figures over time, each kept for a moment so that many watchers cost one query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.ids import Millis

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from llm_scheduler.domain.series import ErrorGroup, SeriesPoint
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.series import SeriesReads, Span

STEPS_S: Final = (10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400)
MOST_POINTS: Final = 120
MOST_GROUPS: Final = 20
_MOST_KEPT: Final = 256
_LEAST_AGE_S: Final = 1.0
_AGE_PER_COST: Final = 20


def step_for(span_ms: int) -> int:
    """Milliseconds of one step: the finest that makes at most `MOST_POINTS` of the span."""
    for step_s in STEPS_S:
        if span_ms <= step_s * 1000 * MOST_POINTS:
            return step_s * 1000
    return STEPS_S[-1] * 1000


class Series:
    """Reads of what changes with time."""

    def __init__(self, store: SeriesReads, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._kept: dict[object, tuple[float, Any]] = {}

    async def points(self, span: Span) -> tuple[int, Sequence[SeriesPoint]]:
        """The step in milliseconds, and a point for each step with something in it."""
        step_ms = step_for(span.until - span.since)
        # To whole steps, so that who asks a moment later asks for the same.
        first, last = span.since // step_ms * step_ms, -(-span.until // step_ms) * step_ms
        even = span._replace(since=Millis(first), until=Millis(last))
        return step_ms, await self._once(("points", even), lambda: self._store.series(even, step_ms))

    async def errors(self, span: Span) -> Sequence[ErrorGroup]:
        """Failed attempts by cause."""
        second = span._replace(since=Millis(span.since // 1000 * 1000), until=Millis(-(-span.until // 1000) * 1000))
        return await self._once(("errors", second), lambda: self._store.error_groups(second, MOST_GROUPS))

    async def _once(self, key: object, ask: Callable[[], Awaitable[Any]]) -> Any:
        began = self._clock.monotonic_s()
        kept = self._kept.get(key)
        if kept is not None and began < kept[0]:
            return kept[1]
        found = await ask()
        ended = self._clock.monotonic_s()
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[key] = (ended + max(_LEAST_AGE_S, _AGE_PER_COST * (ended - began)), found)
        return found
