"""What one attempt did, decided and ready to be recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llm_scheduler.domain.task import Usage

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import Millis, ModelId, SessionId, TaskId, TenantId
    from llm_scheduler.domain.status import DeadReason, Status
    from llm_scheduler.domain.task import AttemptOutcome, TaskError, TaskOptions


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one attempt, as the worker saw it.

    `status` is where the task goes if the fence holds: COMPLETED, FAILED, CANCELLED, EXPIRED, QUEUED (put back,
    keeps its place) or SCHEDULED (retry, due at `eligible_at`). `counts_failure` and `counts_retry`
    say which counters grow. COMPLETED carries `output` and `raw`. FAILED may name a next model: if that exists,
    the task is QUEUED there instead, in its place, with its retries anew and `next_options` as its options.
    `note` is added to what the task's log says.
    """

    task_id: TaskId
    tenant_id: TenantId
    model_id: ModelId
    session_id: SessionId
    attempt: int
    generation: int
    started_at: Millis
    ended_at: Millis
    outcome: AttemptOutcome
    status: Status
    usage: Usage = field(default_factory=Usage)
    cost_microusd: int = 0
    ttft_ms: int | None = None
    error: TaskError | None = None
    dead_reason: DeadReason | None = None
    counts_failure: bool = False
    counts_retry: bool = False
    eligible_at: Millis | None = None
    output: str | None = None
    raw: str | None = None
    finish_reason: str | None = None
    config_digest: str | None = None
    """Of the model's config that was used. If the task was submitted under another one, its answer is not
    stored for later tasks; None = not known to differ."""
    endpoint: str | None = None
    next_model_id: ModelId | None = None
    next_options: TaskOptions | None = None
    note: str | None = None
    drops_payload: bool = False
    """Its input goes with this end if it is COMPLETED, its output a while later (`domain.tenant.StorePayloads`)."""
    is_reserved: bool = False
    """Budgets put money aside for this attempt; it is given back, but for the charge."""
    charge_microusd: int | None = 0
    """What the budgets pay. None: all that was put aside, since nobody knows what the call cost."""
