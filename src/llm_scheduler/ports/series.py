"""Figures over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import Millis, ModelId, TenantId
    from llm_scheduler.domain.series import ErrorGroup, SeriesPoint


class Span(NamedTuple):
    """Attempts that ended from `since` on and before `until`; of one tenant, of one model, if they are given."""

    since: Millis
    until: Millis
    tenant_id: TenantId | None = None
    model_id: ModelId | None = None


class SeriesReads(Protocol):
    """What changes with time."""

    async def series(self, span: Span, step_ms: int) -> Sequence[SeriesPoint]:
        """A point for each step in which something ended, oldest first.

        Counts and sums are exact; percentiles are of an even sample of at most some ten thousand attempts.
        """
        ...

    async def call_times(self, since: Millis, limit: int) -> Sequence[tuple[ModelId, int]]:
        """Milliseconds of each call that completed since then, the latest of all models first."""
        ...

    async def error_groups(self, span: Span, limit: int) -> Sequence[ErrorGroup]:
        """The commonest causes of failed attempts, most frequent first."""
        ...
