"""The record: the only truth about tasks. Every move is one conditional UPDATE, batched by group commit.

A call that returns has committed to disk. A call that raises `StoreUnavailableError` acknowledged
nothing (a commit whose outcome is unknown is resolved by the store itself before it answers).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from llm_scheduler.domain.task import NO_OPTIONS
from llm_scheduler.ports.access import AccessRecord
from llm_scheduler.ports.answers import Answers, Followers
from llm_scheduler.ports.diverting import Diverting
from llm_scheduler.ports.learned import LearnedMoves
from llm_scheduler.ports.money import HeldTask, MoneyMoves
from llm_scheduler.ports.promises import Actions, Replies
from llm_scheduler.ports.retention import RetentionMoves
from llm_scheduler.ports.sealed import SealedPlaces
from llm_scheduler.ports.states import States
from llm_scheduler.ports.stats import StatsReads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.budget import Tariff, Told
    from llm_scheduler.domain.ids import Millis, ModelId, SessionId, TaskId, TenantId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.outcome import Ended
    from llm_scheduler.domain.session import BeatAnswer, Session, Vitals
    from llm_scheduler.domain.status import Status
    from llm_scheduler.domain.task import Attempt, NewTask, Task, TaskLog, TaskOptions, WaitingTask
    from llm_scheduler.domain.tenant import Tenant
    from llm_scheduler.ports.broker import PastStart, Slot


class Submitted(NamedTuple):
    """A task is on disk. `is_new` False: the idempotency key had been used, this is that task."""

    task_id: TaskId
    is_new: bool
    status: Status
    """COMPLETED: answered from the cache. BLOCKED: it follows an equal task in flight."""
    queued_at: Millis
    """When it was (or, if scheduled, will be) eligible: the FIFO order."""


class StartOrder(NamedTuple):
    """A claim that wants to run; with a model only if the task still waits for that one."""

    task_id: TaskId
    expected_attempt: int
    endpoint: str | None = None
    model_id: ModelId | None = None
    tariff: Tariff | None = None
    """For a tenant that has budgets; None: nothing is reserved."""


class StartedTask(NamedTuple):
    """START won: what the worker needs for the call. `attempt` is the new one."""

    task_id: TaskId
    tenant_id: TenantId
    model_id: ModelId
    type: str
    priority: int
    attempt: int
    generation: int
    failures: int
    max_retries: int
    est_tokens: int
    queued_at: Millis
    started_at: Millis
    deadline_at: Millis | None
    timeout_s: float | None
    retry: str | None
    """The task's own back-off as JSON text, if it has one."""
    input: str
    est_output: int = 0
    key_id: int | None = None
    options: TaskOptions = NO_OPTIONS
    endpoint: str | None = None
    reserved_microusd: int = 0
    """What every budget that covers it has put aside for this attempt."""
    denied_by: str | None = None
    """A budget that covers it while its price is unknown: the call is not to be made."""
    wired: tuple[str, str] | None = None
    """Under a budget, of a plugin's type: the wire type and the body (JSON text) that were reserved for, to be sent."""


class Moved(NamedTuple):
    """A task was moved by someone else's hand (cancel, retry, sweep): what the index must learn."""

    task_id: TaskId
    tenant_id: TenantId
    model_id: ModelId
    status: Status
    attempt: int


class Recorded(NamedTuple):
    """What became of an `Ended`. `is_accepted` False: the fence did not hold, only the attempt's own row changed.

    QUEUED for an end that was to be FAILED: the task has moved to its next model.
    """

    is_accepted: bool
    status: Status
    """The task's, now."""
    followers: Followers = Followers()
    told: tuple[Told, ...] = ()
    """Budgets that came to a mark by this end."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """The one filter grammar of lists, counts, bulk actions and exports. Empty = everything.

    `q` is a task id, or text sought in error messages and, among the newest 20 000 tasks, in
    inputs. `created_after` is inclusive, `created_before` exclusive.
    """

    tenant_id: TenantId | None = None
    statuses: tuple[Status, ...] = ()
    model_id: ModelId | None = None
    type: str | None = None
    priority: int | None = None
    created_after: Millis | None = None
    created_before: Millis | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    q: str | None = None
    ids: tuple[TaskId, ...] = ()


class Page(NamedTuple):
    """One page of tasks, newest first unless asked otherwise; `next_cursor` None = the last one."""

    items: tuple[Task, ...]
    next_cursor: str | None


class TaskMoves(Diverting, Protocol):
    """The life of tasks."""

    async def submit(self, tasks: Sequence[NewTask], *, is_atomic: bool = True) -> Sequence[Submitted]:
        """Record new tasks, in this order (ids ascend). All or nothing.

        Raises:
            IdempotencyConflictError: a key was used with another fingerprint.
        """
        ...

    async def start(
        self, session_id: SessionId, orders: Sequence[StartOrder]
    ) -> Sequence[StartedTask | HeldTask | None]:
        """Record START for each; None where it lost (cancelled, other attempt, session not alive).

        With a tariff, the most that the call may cost is put aside in every budget that covers it, or in none: then
        the task is HELD.
        """
        ...

    async def record(self, ended: Ended) -> Recorded:
        """Record the end of an attempt, fenced.

        COMPLETED is accepted from the running attempt's owner, and from an older attempt of the
        same generation while the task is not terminal (salvage), unless it was cancelled. Any other
        end only from the running attempt's owner; if a cancel was asked meanwhile the task becomes
        CANCELLED instead of being put back or failed. Idempotent.
        """
        ...

    async def cancel(self, task_ids: Sequence[TaskId]) -> Sequence[Moved]:
        """Waiting tasks are CANCELLED at once; running ones get the mark.

        Those stay RUNNING in the answer. Terminal or unknown ones are not in the answer.
        """
        ...

    async def requeue(
        self,
        task_ids: Sequence[TaskId],
        *,
        statuses: Sequence[Status],
        input: str | None = None,
        est_tokens: int | None = None,
        est_output: int = 0,
    ) -> Sequence[WaitingTask]:
        """FAILED or CANCELLED tasks among `statuses` become QUEUED, failures, crashes and error reset.

        `input` replaces the request, the estimates are its own; `generation` grows, a wish for the cache is dropped.
        """
        ...

    async def set_priority(self, task_ids: Sequence[TaskId], priority: int) -> Sequence[WaitingTask]:
        """Change waiting tasks; the QUEUED ones are in the answer, to be placed anew."""
        ...

    async def delete(self, task_ids: Sequence[TaskId]) -> int:
        """Remove terminal tasks with their attempts, results and logs."""
        ...

    async def promote(self, limit: int) -> Sequence[WaitingTask]:
        """SCHEDULED tasks whose time has come become QUEUED, or followers."""
        ...

    async def expire(self, limit: int) -> Sequence[Moved]:
        """Waiting tasks past their deadline become EXPIRED; running ones are for their worker."""
        ...

    async def next_due_at(self) -> Millis | None:
        """The earliest moment at which `promote`, `expire` or `regroup` will find something; 0 if at once."""
        ...

    async def log(self, lines: Sequence[TaskLog]) -> None:
        """Append task log lines (moves write their own)."""
        ...


class SessionMoves(Protocol):
    """Liveness of worker processes."""

    async def open_session(self, host: str, pid: int, version: str, role: str = "all") -> SessionId:
        """Register this process start. `role`: `api`, `worker` or `all`."""
        ...

    async def beat(self, session_id: SessionId, vitals: Vitals) -> BeatAnswer:
        """Renew; learn what to stop. One statement when `vitals.running` is 0."""
        ...

    async def close_session(self, session_id: SessionId) -> None:
        """Leave in good order; whatever it still ran is rescued by the next tick."""
        ...

    async def bury(self, ttl_s: float) -> int:
        """Mark sessions dead that missed their ttl. How many. Rows of long dead ones are removed."""
        ...

    async def rescue(self, max_crashes: int, limit: int) -> tuple[Sequence[WaitingTask], Sequence[Moved]]:
        """Take back running tasks of sessions that are not alive.

        Requeued, or moved to an end (too many crashes: FAILED; cancel asked: CANCELLED). An
        anti-join; safe from anyone at any time.
        """
        ...

    async def sessions(self, *, alive_only: bool = True) -> Sequence[Session]:
        """Processes of every role, newest first."""
        ...


class ModelMoves(Protocol):
    """Models and tenants."""

    async def add_model(self, model: Model) -> Model:
        """Insert; the answer has id and times.

        Raises:
            NameTakenError: the tenant has a model of that name.
        """
        ...

    async def save_model(self, model: Model) -> Model:
        """Write every changeable column; version grows.

        Raises:
            ModelChangedError: the record has another version than the one given.
            ModelNotFoundError, NameTakenError: as their names say.
        """
        ...

    async def remove_model(self, model_id: ModelId) -> None:
        """Delete a model with its finished tasks.

        Raises:
            ModelInUseError: tasks of it are not finished.
        """
        ...

    async def models(self) -> Sequence[Model]:
        """All models, by name."""
        ...

    async def tenants(self) -> Sequence[Tenant]:
        """All tenants, by id."""
        ...

    async def save_tenant(self, tenant: Tenant) -> None:
        """Insert or update by id."""
        ...

    async def set_current_workers(self, counts: Mapping[ModelId, int]) -> None:
        """The seed's `models.current_workers`: attempts that run now."""
        ...


class TaskReads(Protocol):
    """Reading what happened. Never used for a decision about a move."""

    async def task(self, task_id: TaskId, tenant_id: TenantId | None = None) -> Task | None:
        """One task with its result."""
        ...

    async def tasks(
        self, where: TaskFilter, *, limit: int, cursor: str | None = None, is_ascending: bool = False
    ) -> Page:
        """One page by (created_at, id); keyset, never OFFSET.

        Raises:
            InvalidInputError: the cursor is not one of ours.
        """
        ...

    async def counts(self, where: TaskFilter) -> Mapping[Status, int]:
        """How many of each status."""
        ...

    async def attempts(self, task_id: TaskId) -> Sequence[Attempt]:
        """Starts, oldest first."""
        ...

    async def logs(self, task_id: TaskId, *, limit: int = 500) -> Sequence[TaskLog]:
        """Log lines, oldest first; the first says when it was submitted."""
        ...

    async def waiting_page(self, after: tuple[Millis, TaskId] | None, limit: int) -> Sequence[WaitingTask]:
        """QUEUED tasks by (queued_at, id), for building the index."""
        ...

    async def running(self) -> Sequence[Slot]:
        """Every running task as a slot of its owner."""
        ...

    async def queued_count(self) -> int:
        """How many tasks are QUEUED, by the record."""
        ...

    async def still_waiting(self, task_ids: Sequence[TaskId]) -> Sequence[WaitingTask]:
        """Those of them that are QUEUED at this moment."""
        ...

    async def recent_starts(self, window_s: float) -> Sequence[PastStart]:
        """Attempts that started within the window, oldest first.

        Tokens are those used, or the estimate while it runs.
        """
        ...


class Store(
    AccessRecord,
    TaskMoves,
    Answers,
    SessionMoves,
    ModelMoves,
    MoneyMoves,
    TaskReads,
    StatsReads,
    Actions,
    Replies,
    RetentionMoves,
    LearnedMoves,
    States,
    SealedPlaces,
    Protocol,
):
    """Everything of one installation's record."""

    async def open(self) -> None:
        """Check or make the schema, start writing.

        Raises:
            StoreUnusableError: corrupt, of a newer program, or not ours.
        """
        ...

    async def close(self) -> None:
        """Write what waits, then let go."""
        ...

    async def ping(self) -> None:
        """Prove that a write transaction commits.

        Raises:
            StoreUnavailableError: it does not.
        """
        ...

    def connections(self) -> int:
        """Open connections (`database_connections`)."""
        ...
