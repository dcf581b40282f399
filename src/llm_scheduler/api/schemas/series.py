"""Figures over time and grouped errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StringConstraints

from llm_scheduler.api.answers import stamp
from llm_scheduler.api.fields import Body, Instant, Shown
from llm_scheduler.api.schemas.tasks import UsageShown
from llm_scheduler.api.showing import usage_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.domain.series import ErrorGroup, SeriesPoint


class SpanQuery(Body):
    """Which attempts."""

    first: Instant | None = Field(None, alias="from")
    """Attempts that ended from this moment on; the last hour without."""
    last: Instant | None = Field(None, alias="to")
    """Attempts that ended before this moment; now without."""
    model: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    """Only those of this model."""


class MedianShown(Shown):
    """Milliseconds; null without data."""

    p50: int | None
    p95: int | None


class PointShown(Shown):
    """Attempts that ended within one step, from `at` on."""

    at: str
    completed: int
    failed: int
    usage: UsageShown
    cost_microusd: int
    latency_ms: MedianShown
    wait_ms: MedianShown


class SeriesShown(Shown):
    """Steps in which something ended, oldest first; those without anything are left out."""

    since: str
    until: str
    step_s: int
    items: list[PointShown]


class ErrorGroupShown(Shown):
    """Failed attempts of one cause, with the last one's task and words."""

    model: str
    code: str
    http_status: int | None
    count: int
    last_at: str
    task_id: int
    message: str


class ErrorGroupList(Shown):
    """Causes, most frequent first; at most 20."""

    items: list[ErrorGroupShown]


def point_json(point: SeriesPoint) -> dict[str, Any]:
    """A point for an answer."""
    return {
        "at": stamp(point.at),
        "completed": point.completed,
        "failed": point.failed,
        "usage": usage_json(point.usage),
        "cost_microusd": point.cost_microusd,
        "latency_ms": {"p50": point.latency_p50_ms, "p95": point.latency_p95_ms},
        "wait_ms": {"p50": point.wait_p50_ms, "p95": point.wait_p95_ms},
    }


def error_group_json(
    group: ErrorGroup, name_of: Callable[[ModelId], str], *, hidden_words: str | None = None
) -> dict[str, Any]:
    """A cause for an answer; with `hidden_words` in place of those of the error."""
    return {
        "model": name_of(group.model_id),
        "code": group.code,
        "http_status": group.http_status,
        "count": group.number,
        "last_at": stamp(group.last_at),
        "task_id": group.task_id,
        "message": hidden_words or group.message[:500],
    }
