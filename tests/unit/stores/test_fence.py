"""The fence as a table: who may end an attempt."""

import pytest

from llm_scheduler.domain.ids import Millis, ModelId, SessionId, TaskId, TenantId
from llm_scheduler.domain.outcome import Ended
from llm_scheduler.domain.status import TERMINAL, WAITING, Status
from llm_scheduler.domain.task import AttemptOutcome
from llm_scheduler.stores.fence import FenceRow, OldAttempt, Verdict, is_salvage, judge

RUNNING = FenceRow(1, "running", 2, 7, 1, 0, 0, 3, 0, 0, None)
OLD = OldAttempt(1, 1, 7, 0, None)


def end(status: Status = Status.COMPLETED, attempt: int = 2, session: int = 7, generation: int = 1) -> Ended:
    return Ended(
        task_id=TaskId(1),
        tenant_id=TenantId(1),
        model_id=ModelId(1),
        session_id=SessionId(session),
        attempt=attempt,
        generation=generation,
        started_at=Millis(0),
        ended_at=Millis(1),
        outcome=AttemptOutcome.COMPLETED,
        status=status,
    )


@pytest.mark.parametrize(
    ("row", "ended", "verdict"),
    [
        (RUNNING, end(), Verdict.ACCEPT),
        (RUNNING._replace(cancel=1), end(), Verdict.ACCEPT_AS_CANCELLED),
        (RUNNING, end(attempt=1), Verdict.ASK),
        (RUNNING, end(session=8), Verdict.ASK),
        (RUNNING._replace(status="queued", owner=None), end(), Verdict.ASK),
        (RUNNING._replace(owner=None), end(), Verdict.ASK),
    ],
)
def test_only_the_owner_of_the_running_attempt_is_accepted_at_once(
    row: FenceRow, ended: Ended, verdict: Verdict
) -> None:
    assert judge(row, ended) is verdict


@pytest.mark.parametrize("status", sorted({*WAITING, Status.RUNNING}))
def test_a_paid_answer_is_salvaged_while_the_task_is_not_finished(status: Status) -> None:
    assert is_salvage(RUNNING._replace(status=status), end(attempt=1), OLD)


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_nothing_is_salvaged_for_a_finished_task(status: Status) -> None:
    assert not is_salvage(RUNNING._replace(status=status), end(attempt=1), OLD)


@pytest.mark.parametrize(
    ("row", "ended", "old"),
    [
        (RUNNING._replace(cancel=1), end(attempt=1), OLD),
        (RUNNING._replace(generation=2), end(attempt=1), OLD),
        (RUNNING, end(attempt=3), OLD),
        (RUNNING, end(attempt=1, session=8), OLD),
        (RUNNING, end(Status.FAILED, attempt=1), OLD),
    ],
)
def test_a_late_end_is_refused_if_anything_else_differs(row: FenceRow, ended: Ended, old: OldAttempt) -> None:
    assert not is_salvage(row, ended, old)
