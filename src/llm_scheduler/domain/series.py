"""Figures over time, and errors that are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import Millis, ModelId, TaskId
    from llm_scheduler.domain.task import Usage


class SeriesPoint(NamedTuple):
    """Attempts that ended within one step; percentiles in milliseconds, None without data."""

    at: Millis
    completed: int
    failed: int
    usage: Usage
    cost_microusd: int
    latency_p50_ms: int | None
    latency_p95_ms: int | None
    wait_p50_ms: int | None
    wait_p95_ms: int | None


class ErrorGroup(NamedTuple):
    """Failed attempts of one cause. The message is that of the last."""

    model_id: ModelId
    code: str
    http_status: int | None
    number: int
    last_at: Millis
    task_id: TaskId
    message: str
