"""What an attempt's end means."""

from __future__ import annotations

from random import Random

import pytest

from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, SessionId, TaskId
from llm_scheduler.domain.model import Model
from llm_scheduler.domain.retry import RetryPolicy
from llm_scheduler.domain.status import DeadReason, Status
from llm_scheduler.domain.task import AttemptOutcome, Usage
from llm_scheduler.ports.provider import Answer, Fault, ProviderError
from llm_scheduler.ports.store import StartedTask
from llm_scheduler.services import outcomes
from llm_scheduler.services.running import Why

SESSION = SessionId(9)
MODEL = Model(ModelId(3), DEFAULT_TENANT, "m", "scripted", {}, retry=RetryPolicy(3, 1.0, 60.0, 2.0))


def started(*, failures: int = 0, max_retries: int = 3, deadline_at: int | None = None, retry: str | None = None):
    return StartedTask(
        task_id=TaskId(7),
        tenant_id=DEFAULT_TENANT,
        model_id=ModelId(3),
        type="chat",
        priority=5,
        attempt=failures + 1,
        generation=0,
        failures=failures,
        max_retries=max_retries,
        est_tokens=10,
        queued_at=Millis(1_000),
        started_at=Millis(2_000),
        deadline_at=None if deadline_at is None else Millis(deadline_at),
        timeout_s=None,
        retry=retry,
        input="{}",
    )


def error(*, is_retryable: bool = True, fault: Fault = Fault.PROVIDER, retry_after_s: float | None = None):
    return ProviderError(
        "server_error",
        "It broke.",
        is_retryable=is_retryable,
        fault=fault,
        http_status=500,
        retry_after_s=retry_after_s,
    )


def end(task: StartedTask, problem: ProviderError):
    return outcomes.failed(task, SESSION, Millis(5_000), problem, MODEL, Random(1))


def test_an_answer_completes_the_task_with_its_usage() -> None:
    """Text, raw answer and usage reach the record."""
    ended = outcomes.completed(started(), SESSION, Millis(5_000), Answer("hi", {"a": 1}, Usage(3, 4)))

    assert (ended.status, ended.output, ended.raw) == (Status.COMPLETED, "hi", '{"a":1}')
    assert ended.usage.total_tokens == 7


def test_a_rate_limit_costs_no_retry_and_keeps_the_place() -> None:
    """429: back into the queue with untouched counters."""
    ended = end(started(failures=3), error(fault=Fault.LIMIT, retry_after_s=5))

    assert (ended.status, ended.outcome) == (Status.QUEUED, AttemptOutcome.RATE_LIMITED)
    assert not ended.counts_failure
    assert not ended.counts_retry


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_retryable_error_waits_within_the_policy(failures: int) -> None:
    """The retry is due between now and the policy's bound."""
    ended = end(started(failures=failures), error())

    assert ended.status is Status.SCHEDULED
    assert ended.eligible_at is not None
    assert 5_000 <= ended.eligible_at <= 5_000 + 1_000 * 2**failures


def test_a_retry_never_comes_before_the_providers_retry_after() -> None:
    """Retry-After is a lower bound."""
    ended = end(started(), error(retry_after_s=30))

    assert ended.eligible_at is not None
    assert ended.eligible_at >= 35_000


def test_the_last_failure_makes_a_dead_letter() -> None:
    """After max_retries retries there is no further one."""
    ended = end(started(failures=3, max_retries=3), error())

    assert (ended.status, ended.dead_reason) == (Status.FAILED, DeadReason.RETRIES_EXHAUSTED)


def test_an_error_that_no_retry_can_mend_is_dead_at_once() -> None:
    """A bad request is not sent again."""
    ended = end(started(), error(is_retryable=False, fault=Fault.CALLER))

    assert (ended.status, ended.dead_reason) == (Status.FAILED, DeadReason.NOT_RETRYABLE)


def test_a_failure_past_the_deadline_expires_the_task() -> None:
    """A retry after the deadline would be for nothing."""
    assert end(started(deadline_at=4_000), error()).status is Status.EXPIRED


def test_a_task_may_have_its_own_back_off() -> None:
    """The task's policy wins over its model's."""
    text = '{"max_retries": 1, "initial_delay_s": 0, "max_delay_s": 0, "backoff_factor": 1}'

    assert end(started(retry=text), error()).eligible_at == 5_000


@pytest.mark.parametrize(
    ("why", "status", "outcome"),
    [
        (Why.CANCEL, Status.CANCELLED, AttemptOutcome.CANCELLED),
        (Why.DRAIN, Status.QUEUED, AttemptOutcome.RETURNED),
    ],
)
def test_an_aborted_call_ends_by_its_reason(why: Why, status: Status, outcome: AttemptOutcome) -> None:
    """A cancel ends the task, a drain puts it back with no retry burnt."""
    ended = outcomes.aborted(started(), SESSION, Millis(5_000), why)

    assert (ended.status, ended.outcome, ended.counts_failure) == (status, outcome, False)


def test_a_retry_without_room_comes_later_by_the_longest_wait() -> None:
    """It is not dropped: the task says why it waits longer."""
    task = started(failures=1)
    ended = end(task, error())

    later = outcomes.put_off(ended, task, MODEL)

    assert ended.eligible_at is not None
    assert (later.status, later.counts_retry) == (Status.SCHEDULED, True)
    assert later.eligible_at == ended.eligible_at + 60_000
    assert later.note == "put off: the model's retries are used up for now"


def test_the_last_retry_without_room_is_not_made() -> None:
    task = started(failures=2)

    dead = outcomes.put_off(end(task, error()), task, MODEL)

    assert (dead.status, dead.dead_reason, dead.counts_retry) == (Status.FAILED, DeadReason.RETRY_BUDGET, False)
    assert dead.eligible_at is None


def test_a_call_that_others_can_take_goes_back_in_its_place_with_no_retry_burnt() -> None:
    ended = outcomes.passed_on(started(), SESSION, Millis(5_000), error(fault=Fault.SETUP), "why")

    assert (ended.status, ended.outcome, ended.note) == (Status.QUEUED, AttemptOutcome.RETURNED, "why")
    assert not ended.counts_failure
    assert not ended.counts_retry
