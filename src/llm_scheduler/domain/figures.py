"""Figures that are computed from the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import Millis, ModelId, TaskId, TenantId
    from llm_scheduler.domain.task import Usage


class UsageRow(NamedTuple):
    """Sums over attempts of one group."""

    group: str
    attempts: int
    completed: int
    failed: int
    usage: Usage
    cost_microusd: int


class DayStats(NamedTuple):
    """One row of `system_stats`."""

    stat_date: str
    total_tasks: int
    completed_tasks: int
    failed_tasks: int
    avg_processing_time_ms: int
    queue_length: int
    active_models: int


class Recent(NamedTuple):
    """The last minutes, for the overview. Latencies in milliseconds, None without data."""

    completed: int
    failed: int
    window_s: int
    p50_ms: int | None
    p95_ms: int | None
    p99_ms: int | None
    wait_p50_ms: int | None
    wait_p95_ms: int | None
    wait_p99_ms: int | None
    cost_microusd: int
    usage: Usage


class PastCall(NamedTuple):
    """One attempt that ended with an answer or a failure: what came, when, how large. No contents.

    `queued_at`: since when it could have started.
    """

    ended_at: Millis
    task_id: TaskId
    attempt: int
    model_id: ModelId
    tenant_id: TenantId
    type: str
    priority: int
    queued_at: Millis
    started_at: Millis
    prompt_tokens: int
    completion_tokens: int
    cost_microusd: int
    deadline_at: Millis | None
