"""What an attempt's end means for its task: done, again, later, or a dead letter."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Final

import orjson

from llm_scheduler.domain.budget import PRICE_UNKNOWN
from llm_scheduler.domain.ids import Millis
from llm_scheduler.domain.outcome import Ended
from llm_scheduler.domain.retry import RetryPolicy
from llm_scheduler.domain.status import DeadReason, Status
from llm_scheduler.domain.task import AttemptOutcome, TaskError, Usage
from llm_scheduler.ports.provider import Fault, ProviderError
from llm_scheduler.services.running import Why

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_scheduler.domain.ids import SessionId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.ports.provider import Answer
    from llm_scheduler.ports.store import StartedTask

RATE_LIMITED: Final = "rate_limited"
EXPIRED: Final = TaskError("deadline_passed", "The deadline passed while the call ran.", is_retryable=False)
CANCELLED: Final = TaskError("cancelled", "Cancelled while it ran; the call was aborted.", is_retryable=False)
_ABORTED: Final[Mapping[Why, tuple[Status, AttemptOutcome, TaskError | None]]] = {
    Why.CANCEL: (Status.CANCELLED, AttemptOutcome.CANCELLED, CANCELLED),
    Why.DRAIN: (Status.QUEUED, AttemptOutcome.RETURNED, None),
}


def task_error(error: ProviderError) -> TaskError:
    """The provider's error as the task keeps it."""
    return TaskError(error.code, error.message, error.is_retryable, error.http_status)


def completed(
    started: StartedTask,
    session_id: SessionId,
    ended_at: Millis,
    answer: Answer,
    config_digest: str | None = None,
) -> Ended:
    """The call gave an answer; `config_digest` is that of the model as it was called."""
    return Ended(
        started.task_id,
        started.tenant_id,
        started.model_id,
        session_id,
        started.attempt,
        started.generation,
        started.started_at,
        ended_at,
        AttemptOutcome.COMPLETED,
        Status.COMPLETED,
        answer.usage,
        ttft_ms=answer.ttft_ms,
        output=answer.text,
        raw=orjson.dumps(answer.raw).decode(),
        finish_reason=answer.finish_reason,
        config_digest=config_digest,
        endpoint=started.endpoint,
    )


def failed(
    started: StartedTask,
    session_id: SessionId,
    ended_at: Millis,
    error: ProviderError,
    model: Model,
    rng: Random,
) -> Ended:
    """The call gave an error: put back (rate limit), try later, or give up."""
    end = _Ending(started, session_id, ended_at, task_error(error), error)
    if error.fault in (Fault.LIMIT, Fault.QUOTA):  # time or money must pass; the task is not at fault
        return end.ended(Status.QUEUED, AttemptOutcome.RATE_LIMITED)
    if started.deadline_at is not None and ended_at >= started.deadline_at:
        return end.ended(Status.EXPIRED, AttemptOutcome.FAILED, counts_failure=True)
    if not error.is_retryable:
        return end.ended(
            Status.FAILED, AttemptOutcome.FAILED, counts_failure=True, dead_reason=DeadReason.NOT_RETRYABLE
        )
    failures = started.failures + 1
    if failures > started.max_retries:
        return end.ended(
            Status.FAILED, AttemptOutcome.FAILED, counts_failure=True, dead_reason=DeadReason.RETRIES_EXHAUSTED
        )
    wait_s = retry_policy(started, model).delay_s(failures, rng, error.retry_after_s)
    return end.ended(
        Status.SCHEDULED,
        AttemptOutcome.FAILED,
        counts_failure=True,
        counts_retry=True,
        eligible_at=Millis(ended_at + int(wait_s * 1000)),
    )


def put_off(ended: Ended, started: StartedTask, model: Model) -> Ended:
    """A retry for which the model's budget has no room: later by the longest wait, or, the last one, not at all."""
    said = "the model's retries are used up for now"
    if ended.eligible_at is None or started.failures + 1 >= started.max_retries:
        return replace(
            ended,
            status=Status.FAILED,
            dead_reason=DeadReason.RETRY_BUDGET,
            counts_retry=False,
            eligible_at=None,
            note=f"{said}, and this was its last one",
        )
    later_ms = int(retry_policy(started, model).max_delay_s * 1000)
    return replace(ended, eligible_at=Millis(ended.eligible_at + later_ms), note=f"put off: {said}")


def passed_on(
    started: StartedTask, session_id: SessionId, ended_at: Millis, error: ProviderError, note: str | None = None
) -> Ended:
    """This endpoint cannot take the call, others can: back in its place, with no retry burnt."""
    end = _Ending(started, session_id, ended_at, task_error(error), error)
    return replace(end.ended(Status.QUEUED, AttemptOutcome.RETURNED), note=note)


def aborted(started: StartedTask, session_id: SessionId, ended_at: Millis, why: Why) -> Ended:
    """The call was stopped by us."""
    status, outcome, error = _ABORTED[why]
    return _Ending(started, session_id, ended_at, error, None).ended(status, outcome)


def retry_policy(started: StartedTask, model: Model) -> RetryPolicy:
    """The task's own back-off, else its model's."""
    if started.retry is None:
        return model.retry
    return RetryPolicy(**orjson.loads(started.retry))


def broken(started: StartedTask, session_id: SessionId, ended_at: Millis, model: Model, rng: Random) -> Ended:
    """Something that nobody expected went wrong around the call; it may go well another time."""
    error = ProviderError(
        "internal_error",
        "The worker failed around this call; its log has the traceback.",
        is_retryable=True,
        fault=Fault.PROVIDER,
    )
    return failed(started, session_id, ended_at, error, model, rng)


def price_unknown(model: Model, budget: str) -> ProviderError:
    """A budget covers the call, and nobody knows what it costs: it is not made."""
    return ProviderError(
        PRICE_UNKNOWN,
        f"Budget '{budget}' covers this call, and the price of model '{model.name}' is not known. Give it one "
        "(PUT /api/v1/prices), or set the model's unknown_price to 'free' or 'assume'; then queue the task again.",
        is_retryable=False,
        # Nobody was called: no endpoint is to blame, and no circuit is to count it.
        fault=Fault.CALLER,
    )


def unstorable(started: StartedTask, session_id: SessionId, ended_at: Millis, reason: str, model: Model) -> Ended:
    """The answer came, but the record refuses it for what it holds."""
    error = ProviderError(
        "unstorable_answer", f"The answer cannot be recorded: {reason}", is_retryable=False, fault=Fault.PROVIDER
    )
    return failed(started, session_id, ended_at, error, model, Random())  # noqa: S311 - no draw without a retry


def discreet(ended: Ended, *, drops_payload: bool, redact: Callable[[str], str]) -> Ended:
    """The end without secrets in its words; of a task whose payload is not kept without the provider's words at all.

    They like to quote what they refuse.
    """
    error, note = ended.error, ended.note
    if error is None and note is None and not drops_payload:
        return ended
    if error is not None:
        where = "" if error.http_status is None else f" (HTTP {error.http_status})"
        message = f"{error.code}{where}; its words are not kept" if drops_payload else redact(error.message)
        error = replace(error, message=message)
    return replace(ended, error=error, note=None if note is None else redact(note), drops_payload=drops_payload)


class _Ending:
    """The parts that every unhappy end shares."""

    def __init__(
        self,
        started: StartedTask,
        session_id: SessionId,
        ended_at: Millis,
        error: TaskError | None,
        cause: ProviderError | None,
    ) -> None:
        self._started, self._session_id, self._ended_at = started, session_id, ended_at
        self._error, self._cause = error, cause

    def ended(
        self,
        status: Status,
        outcome: AttemptOutcome,
        *,
        counts_failure: bool = False,
        counts_retry: bool = False,
        dead_reason: DeadReason | None = None,
        eligible_at: Millis | None = None,
    ) -> Ended:
        started = self._started
        return Ended(
            task_id=started.task_id,
            tenant_id=started.tenant_id,
            model_id=started.model_id,
            session_id=self._session_id,
            attempt=started.attempt,
            generation=started.generation,
            started_at=started.started_at,
            ended_at=self._ended_at,
            outcome=outcome,
            status=status,
            error=self._error,
            dead_reason=dead_reason,
            counts_failure=counts_failure,
            counts_retry=counts_retry,
            eligible_at=eligible_at,
            endpoint=started.endpoint,
            usage=Usage() if self._cause is None else self._cause.usage,
        )
