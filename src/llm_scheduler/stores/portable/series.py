"""`ports.series.SeriesReads`, for both engines."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from llm_scheduler.domain.ids import Millis, ModelId, TaskId
from llm_scheduler.domain.series import ErrorGroup, SeriesPoint
from llm_scheduler.domain.task import Usage
from llm_scheduler.stores.portable.access import Access
from llm_scheduler.stores.portable.stats import percentile, sums
from llm_scheduler.stores.tables import ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement

    from llm_scheduler.ports.series import Span
    from llm_scheduler.stores.portable.access import Reader

SAMPLE: Final = 20_000
_FAILED: Final = ("failed", "crashed")


def _within(span: Span) -> list[ColumnElement[bool]]:
    attempt = ATTEMPTS.c
    found: list[Any] = [attempt.ended_at >= span.since, attempt.ended_at < span.until]
    if span.tenant_id is not None:
        found.append(attempt.tenant_id == span.tenant_id)
    if span.model_id is not None:
        found.append(attempt.model_id == span.model_id)
    return found


def points(reader: Reader, span: Span, step_ms: int) -> list[SeriesPoint]:
    """Sums by step, percentiles of an even sample."""
    attempt = ATTEMPTS.c
    step = (attempt.ended_at // step_ms).label("step")
    columns = ("step", "completed", "failed", "cost", "prompt", "completion")
    rows = reader.select(columns, select(step, *sums()).where(*_within(span)).group_by(step).order_by(step))
    every = max(1, -(-sum(row[1] for row in rows) // SAMPLE))
    ran: defaultdict[int, list[int]] = defaultdict(list)
    waited: defaultdict[int, list[int]] = defaultdict(list)
    sample = select(
        step,
        (attempt.ended_at - attempt.started_at).label("ran"),
        (attempt.started_at - attempt.queued_at).label("waited"),
    ).where(*_within(span), attempt.outcome == "completed")
    if every > 1:
        sample = sample.where(attempt.task_id % every == 0)
    for number, ran_ms, waited_ms in reader.select(("step", "ran", "waited"), sample):
        ran[number].append(ran_ms)
        waited[number].append(waited_ms)
    for values in (*ran.values(), *waited.values()):
        values.sort()
    return [
        SeriesPoint(
            at=Millis(number * step_ms),
            completed=completed,
            failed=failed,
            usage=Usage(prompt, completion),
            cost_microusd=cost,
            latency_p50_ms=percentile(ran[number], 50),
            latency_p95_ms=percentile(ran[number], 95),
            wait_p50_ms=percentile(waited[number], 50),
            wait_p95_ms=percentile(waited[number], 95),
        )
        for number, completed, failed, cost, prompt, completion in rows
    ]


def groups(reader: Reader, span: Span, limit: int) -> list[ErrorGroup]:
    """Counts by cause, each with its last attempt."""
    attempt = ATTEMPTS.c
    failed = [*_within(span), attempt.outcome.in_(_FAILED), attempt.error_code.is_not(None)]
    cause = (attempt.model_id, attempt.error_code, attempt.http_status)
    count, last_at = func.count().label("number"), func.max(attempt.ended_at).label("last_at")
    query = select(*cause, count, last_at).where(*failed).group_by(*cause).order_by(count.desc(), last_at.desc())
    found: list[ErrorGroup] = []
    for row in reader.select(("model_id", "error_code", "http_status", "number", "last_at"), query.limit(limit)):
        model_id, code, http_status, number, at = row
        last = (
            select(attempt.task_id, attempt.error_message)
            .where(attempt.ended_at == at, attempt.model_id == model_id, attempt.error_code == code, *failed)
            .order_by(attempt.task_id.desc())
            .limit(1)
        )
        task_id, message = reader.select(("task_id", "error_message"), last)[0]
        found.append(
            ErrorGroup(ModelId(model_id), code, http_status, number, Millis(at), TaskId(task_id), message or "")
        )
    return found


def latest_times(reader: Reader, since: Millis, limit: int) -> list[tuple[ModelId, int]]:
    """Of attempts that completed since then, the latest first."""
    attempt = ATTEMPTS.c
    took_ms = (attempt.ended_at - attempt.started_at).label("took_ms")
    completed = (attempt.ended_at >= since, attempt.outcome == "completed")
    query = select(attempt.model_id, took_ms).where(*completed).order_by(attempt.ended_at.desc()).limit(limit)
    return [(ModelId(model_id), took) for model_id, took in reader.select(("model_id", "took_ms"), query)]


class SeriesCalls(Access):
    """See the port for what each call promises."""

    async def series(self, span: Span, step_ms: int) -> Sequence[SeriesPoint]:
        """A point for each step in which something ended."""
        return await self._read(lambda reader: points(reader, span, step_ms), is_snapshot=True, may_lag=True)

    async def call_times(self, since: Millis, limit: int) -> Sequence[tuple[ModelId, int]]:
        """How long the latest calls took."""
        return await self._read(lambda reader: latest_times(reader, since, limit), may_lag=True)

    async def error_groups(self, span: Span, limit: int) -> Sequence[ErrorGroup]:
        """The commonest causes of failed attempts."""
        return await self._read(lambda reader: groups(reader, span, limit), is_snapshot=True, may_lag=True)
