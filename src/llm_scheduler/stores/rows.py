"""Rows of the record as values of the domain, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import orjson

from llm_scheduler.domain.figures import DayStats
from llm_scheduler.domain.ids import Millis, ModelId, SessionId, TaskId, TenantId
from llm_scheduler.domain.model import Endpoint, Model, ModelOptions, ModelStatus, model_options
from llm_scheduler.domain.retry import RetryPolicy
from llm_scheduler.domain.session import Session
from llm_scheduler.domain.status import DeadReason, Status
from llm_scheduler.domain.task import (
    NO_OPTIONS,
    Attempt,
    AttemptOutcome,
    CacheUse,
    LogLevel,
    Task,
    TaskError,
    TaskLog,
    TaskOptions,
    Usage,
    WaitingTask,
)
from llm_scheduler.domain.tenant import Tenant, TenantState, tenant_options
from llm_scheduler.ports.promises import ActionProgress
from llm_scheduler.ports.store import Moved

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = list[Any]

TASK_COLUMNS: Final = (
    "id",
    "tenant_id",
    "model_id",
    "type",
    "status",
    "priority",
    "input",
    "attempt",
    "failures",
    "crashes",
    "retry_count",
    "max_retries",
    "est_tokens",
    "generation",
    "cancel",
    "created_at",
    "updated_at",
    "queued_at",
    "eligible_at",
    "started_at",
    "completed_at",
    "run_at",
    "deadline_at",
    "timeout_s",
    "retry",
    "owner",
    "metadata",
    "error_code",
    "error_message",
    "error_retryable",
    "http_status",
    "dead_reason",
    "output",
    "est_output",
    "key_id",
    "options",
)
RESULT_COLUMNS: Final = ("raw", "prompt_tokens", "completion_tokens", "cost_microusd")
"""What a task takes from its row in `results`, after `TASK_COLUMNS`."""
CACHE_COLUMNS: Final = ("ttl_s", "leader_id", "source_id")
"""What a task takes from its row in `task_cache`, after `RESULT_COLUMNS`."""

WAITING_COLUMNS: Final = (
    "id",
    "model_id",
    "tenant_id",
    "type",
    "priority",
    "attempt",
    "est_tokens",
    "queued_at",
    "deadline_at",
    "est_output",
)
MOVED_COLUMNS: Final = ("id", "tenant_id", "model_id", "status", "attempt")
ATTEMPT_COLUMNS: Final = (
    "task_id",
    "attempt",
    "session_id",
    "started_at",
    "ended_at",
    "outcome",
    "error_code",
    "error_message",
    "error_retryable",
    "http_status",
    "prompt_tokens",
    "completion_tokens",
    "cost_microusd",
    "ttft_ms",
    "endpoint",
)
LOG_COLUMNS: Final = ("task_id", "level", "message", "created_at", "data")
MODEL_COLUMNS: Final = (
    "id",
    "tenant_id",
    "name",
    "type",
    "config",
    "status",
    "max_workers",
    "rpm",
    "tpm",
    "strategy",
    "starve_after_s",
    "max_queue_length",
    "retry",
    "current_workers",
    "total_requests",
    "success_requests",
    "created_at",
    "updated_at",
    "version",
    "options",
    "endpoints",
)
TENANT_COLUMNS: Final = (
    "id",
    "name",
    "weight",
    "max_workers",
    "state",
    "options",
    "created_at",
    "updated_at",
)
SESSION_COLUMNS: Final = (
    "id",
    "host",
    "pid",
    "version",
    "started_at",
    "heartbeat_at",
    "alive",
    "running",
    "cpu_percent",
    "rss_bytes",
    "role",
)
ACTION_COLUMNS: Final = (
    "id",
    "action",
    "filter",
    "priority",
    "status",
    "seen",
    "changed",
    "created_at",
    "updated_at",
    "error",
)
DAY_COLUMNS: Final = (
    "stat_date",
    "total_tasks",
    "completed_tasks",
    "failed_tasks",
    "avg_processing_time_ms",
    "queue_length",
    "active_models",
)


def packed_retry(retry: RetryPolicy) -> str:
    """A back-off as JSON text."""
    return orjson.dumps(asdict(retry)).decode()


def unpacked_retry(text: str) -> RetryPolicy:
    """The back-off that `packed_retry` wrote."""
    return RetryPolicy(**orjson.loads(text))


def packed_options(options: TaskOptions) -> str | None:
    """What a task asks for as JSON text, if anything."""
    return None if options == NO_OPTIONS else orjson.dumps(options).decode()


def unpacked_options(text: str | None) -> TaskOptions:
    """What `packed_options` wrote."""
    if text is None:
        return NO_OPTIONS
    fields = orjson.loads(text)
    if fields["fallback_models"] is not None:
        fields["fallback_models"] = tuple(fields["fallback_models"])
    return TaskOptions(**fields)


def task_of(row: Row) -> Task:
    """From `TASK_COLUMNS`, `RESULT_COLUMNS` and `CACHE_COLUMNS`."""
    return Task(
        id=TaskId(row[0]),
        tenant_id=TenantId(row[1]),
        model_id=ModelId(row[2]),
        type=row[3],
        status=Status(row[4]),
        priority=row[5],
        input=row[6],
        attempt=row[7],
        failures=row[8],
        crashes=row[9],
        retry_count=row[10],
        max_retries=row[11],
        est_tokens=row[12],
        generation=row[13],
        is_cancel_requested=bool(row[14]),
        created_at=Millis(row[15]),
        updated_at=Millis(row[16]),
        queued_at=row[17],
        eligible_at=Millis(row[18]),
        started_at=row[19],
        completed_at=row[20],
        run_at=row[21],
        deadline_at=row[22],
        timeout_s=row[23],
        retry=None if row[24] is None else unpacked_retry(row[24]),
        owner=row[25],
        metadata={} if row[26] is None else orjson.loads(row[26]),
        error=_error_of(*row[27:31]),
        dead_reason=None if row[31] is None else DeadReason(row[31]),
        output=row[32],
        est_output=row[33],
        key_id=row[34],
        options=unpacked_options(row[35]),
        raw=row[36],
        usage=Usage(row[37] or 0, row[38] or 0),
        cost_microusd=row[39] or 0,
        cache=None if row[40] is None else CacheUse(*row[40:43]),
    )


def _error_of(
    code: str | None, message: str | None, is_retryable: int | None, http_status: int | None
) -> TaskError | None:
    return None if code is None else TaskError(code, message or "", bool(is_retryable), http_status)


def waiting_of(row: Row) -> WaitingTask:
    """From `WAITING_COLUMNS`."""
    return WaitingTask._make(row)


def moved_of(row: Row) -> Moved:
    """From `MOVED_COLUMNS`."""
    return Moved(row[0], row[1], row[2], Status(row[3]), row[4])


def attempt_of(row: Row) -> Attempt:
    """From `ATTEMPT_COLUMNS`."""
    return Attempt(
        task_id=TaskId(row[0]),
        attempt=row[1],
        session_id=SessionId(row[2]),
        started_at=Millis(row[3]),
        ended_at=row[4],
        outcome=None if row[5] is None else AttemptOutcome(row[5]),
        error=_error_of(*row[6:10]),
        usage=Usage(row[10], row[11]),
        cost_microusd=row[12],
        ttft_ms=row[13],
        endpoint=row[14],
    )


def log_of(row: Row) -> TaskLog:
    """From `LOG_COLUMNS`."""
    data = None if row[4] is None else orjson.loads(row[4])
    return TaskLog(TaskId(row[0]), LogLevel(row[1]), row[2], Millis(row[3]), data)


def model_of(row: Row) -> Model:
    """From `MODEL_COLUMNS`."""
    return Model(
        id=ModelId(row[0]),
        tenant_id=TenantId(row[1]),
        name=row[2],
        type=row[3],
        config=orjson.loads(row[4]),
        status=ModelStatus(row[5]),
        max_workers=row[6],
        rpm=row[7],
        tpm=row[8],
        strategy=row[9],
        starve_after_s=row[10],
        max_queue_length=row[11],
        retry=unpacked_retry(row[12]),
        current_workers=row[13],
        total_requests=row[14],
        success_requests=row[15],
        created_at=Millis(row[16]),
        updated_at=Millis(row[17]),
        version=row[18],
        options=ModelOptions() if row[19] is None else model_options(orjson.loads(row[19])),
        endpoints=() if row[20] is None else tuple(Endpoint(**fields) for fields in orjson.loads(row[20])),
    )


def model_row(model: Model) -> tuple[object, ...]:
    """In the order of `MODEL_COLUMNS`."""
    return (
        model.id,
        model.tenant_id,
        model.name,
        model.type,
        orjson.dumps(dict(model.config)).decode(),
        model.status.value,
        model.max_workers,
        model.rpm,
        model.tpm,
        model.strategy,
        model.starve_after_s,
        model.max_queue_length,
        packed_retry(model.retry),
        model.current_workers,
        model.total_requests,
        model.success_requests,
        model.created_at,
        model.updated_at,
        model.version,
        orjson.dumps(model.options).decode(),
        orjson.dumps(model.endpoints).decode() if model.endpoints else None,
    )


def tenant_of(row: Row) -> Tenant:
    """From `TENANT_COLUMNS`."""
    quotas, kept = tenant_options(orjson.loads(row[5]) if row[5] else {})
    times = Millis(row[6]), Millis(row[7])
    return Tenant(TenantId(row[0]), row[1], row[2], row[3], TenantState(row[4]), quotas, kept, *times)


def tenant_row(tenant: Tenant) -> tuple[object, ...]:
    """For `TENANT_COLUMNS`."""
    options = orjson.dumps({"quotas": asdict(tenant.quotas), "store_payloads": tenant.store_payloads}).decode()
    times = tenant.created_at, tenant.updated_at
    return (tenant.id, tenant.name, tenant.weight, tenant.max_workers, tenant.state.value, options, *times)


def session_of(row: Row) -> Session:
    """From `SESSION_COLUMNS`."""
    return Session(
        id=SessionId(row[0]),
        host=row[1],
        pid=row[2],
        version=row[3],
        started_at=Millis(row[4]),
        heartbeat_at=Millis(row[5]),
        is_alive=bool(row[6]),
        running=row[7],
        cpu_percent=row[8],
        rss_bytes=row[9],
        role=row[10],
    )


def action_of(row: Row) -> ActionProgress:
    """From `ACTION_COLUMNS`."""
    return ActionProgress._make(row)


def day_of(row: Row) -> DayStats:
    """From `DAY_COLUMNS`."""
    return DayStats._make(row)


def named(columns: Sequence[str], table: str = "") -> str:
    """A list of columns for SQL."""
    return ", ".join(f"{table}.{name}" if table else name for name in columns)
