"""Figures: the overview, days, usage, workers."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from llm_scheduler.api.answers import maybe_stamp, stamp
from llm_scheduler.api.fields import Body, Instant, Shown
from llm_scheduler.api.filters import StatusName
from llm_scheduler.api.schemas.tasks import UsageShown
from llm_scheduler.api.showing import usage_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.domain.figures import DayStats, UsageRow
    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.domain.session import Session
    from llm_scheduler.services.stats import Overview


def _day(value: object) -> date:
    if isinstance(value, str) and len(value) == len("2030-01-31"):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError("Use a date such as 2030-01-31.")


Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]


class DaysQuery(Body):
    """Which days."""

    first: Day | None = Field(None, alias="from")
    """The first day; 30 days before the last without."""
    last: Day | None = Field(None, alias="to")
    """The last day, included; today without."""


class UsageQuery(Body):
    """What to sum up."""

    group_by: Literal["model", "tenant", "day", "key"] = "model"
    first: Instant | None = Field(None, alias="from")
    """Attempts that ended from this moment on."""
    last: Instant | None = Field(None, alias="to")
    """Attempts that ended before this moment."""


class HistoryQuery(Body):
    """Which span of time."""

    since: Instant | None = None
    """Calls that ended from this moment on; without, the last 24 hours."""
    until: Instant | None = None
    """Calls that ended before this moment; without, now."""


class PercentilesShown(Shown):
    """Milliseconds; null without data."""

    p50: int | None
    p95: int | None
    p99: int | None


class QueueShown(Shown):
    """What waits for one model."""

    model: str
    waiting: int
    running: int
    by_priority: dict[str, int]
    oldest_queued_at: str | None


class WorkerShown(Shown):
    """A process; one whose role is `api` runs no tasks. Only administrators see where it runs (`host`, `pid`)."""

    id: int
    host: str | None
    pid: int | None
    role: Literal["all", "api", "worker"]
    version: str
    is_alive: bool
    running: int
    cpu_percent: float
    rss_bytes: int
    started_at: str
    heartbeat_at: str


class WorkerList(Shown):
    """Processes that are alive: those that run tasks, then those of the API; newest first among each."""

    items: list[WorkerShown]
    next_cursor: str | None


class OverviewShown(Shown):
    """Everything at a glance; rates and latencies are of the last `window_s` seconds."""

    at: str
    counts: dict[StatusName, int]
    queue_length: int
    running: int
    window_s: int
    completed: int
    failed: int
    throughput_per_minute: float
    latency_ms: PercentilesShown
    wait_ms: PercentilesShown
    usage: UsageShown
    cost_microusd: int
    queues: list[QueueShown]
    workers: list[WorkerShown]


class DayShown(Shown):
    """One day."""

    stat_date: str
    total_tasks: int
    completed_tasks: int
    failed_tasks: int
    avg_processing_time_ms: int
    queue_length: int
    active_models: int


class DayList(Shown):
    """Days, oldest first."""

    items: list[DayShown]


class UsageRowShown(Shown):
    """Sums of one group."""

    group: str
    attempts: int
    completed: int
    failed: int
    usage: UsageShown
    cost_microusd: int


class UsageList(Shown):
    """A row for each group."""

    group_by: str
    items: list[UsageRowShown]


def worker_json(session: Session, *, shows_place: bool) -> dict[str, object]:
    """A worker for an answer; `shows_place`: with its machine and process id."""
    return {
        "id": session.id,
        "host": session.host if shows_place else None,
        "pid": session.pid if shows_place else None,
        "role": session.role,
        "version": session.version,
        "is_alive": session.is_alive,
        "running": session.running,
        "cpu_percent": session.cpu_percent,
        "rss_bytes": session.rss_bytes,
        "started_at": stamp(session.started_at),
        "heartbeat_at": stamp(session.heartbeat_at),
    }


def overview_json(overview: Overview, name_of: Callable[[ModelId], str], *, shows_place: bool) -> dict[str, Any]:
    """The overview for an answer; `shows_place` as in `worker_json`."""
    recent, counts = overview.recent, overview.counts
    return {
        "at": stamp(overview.at),
        "counts": {status.value: count for status, count in counts.items()},
        "queue_length": sum(depth.waiting for depth in overview.depths),
        "running": overview.running,
        "window_s": recent.window_s,
        "completed": recent.completed,
        "failed": recent.failed,
        "throughput_per_minute": round((recent.completed + recent.failed) * 60 / recent.window_s, 2),
        "latency_ms": {"p50": recent.p50_ms, "p95": recent.p95_ms, "p99": recent.p99_ms},
        "wait_ms": {"p50": recent.wait_p50_ms, "p95": recent.wait_p95_ms, "p99": recent.wait_p99_ms},
        "usage": usage_json(recent.usage),
        "cost_microusd": recent.cost_microusd,
        "queues": [
            {
                "model": name_of(depth.lane),
                "waiting": depth.waiting,
                "running": depth.running,
                "by_priority": {str(band): count for band, count in depth.by_band},
                "oldest_queued_at": maybe_stamp(depth.oldest_queued_at),
            }
            for depth in overview.depths
        ],
        "workers": [worker_json(session, shows_place=shows_place) for session in overview.workers],
    }


def day_json(day: DayStats) -> dict[str, object]:
    """A day for an answer."""
    return day._asdict()


def usage_row_json(row: UsageRow) -> dict[str, Any]:
    """A group's sums for an answer."""
    return row._asdict() | {"usage": usage_json(row.usage)}
