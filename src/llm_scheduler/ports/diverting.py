"""Moving tasks that wait from one model to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import Millis, ModelId, TaskId, TenantId
    from llm_scheduler.domain.task import TaskOptions, WaitingTask


class Divertible(NamedTuple):
    """A QUEUED task, as far as it must be known to find it another model."""

    task_id: TaskId
    tenant_id: TenantId
    model_id: ModelId
    type: str
    created_at: Millis
    options: TaskOptions


class Diversion(NamedTuple):
    """Where such a task is to go, with what options, and what its log says about it."""

    task: Divertible
    next_model_id: ModelId
    options: TaskOptions
    note: str


class Diverting(Protocol):
    """Safe from any process at any time."""

    async def divertible(
        self, model_id: ModelId, tenant_id: TenantId, after: tuple[Millis, TaskId] | None, limit: int
    ) -> Sequence[Divertible]:
        """One page of a tenant's QUEUED tasks of a model by (created_at, id)."""
        ...

    async def divert(self, diversions: Sequence[Diversion]) -> Sequence[WaitingTask]:
        """Queue these in other lanes: they keep their places, their retries begin anew.

        Those that do not wait for that model any more are left as they are, and so are all whose next model is
        gone. A wish for the cache is dropped; the answer has the tasks that were freed by that, too.
        """
        ...
