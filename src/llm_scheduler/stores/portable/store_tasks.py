"""`ports.store.TaskMoves`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.ports.answers import Followers
from llm_scheduler.stores.portable import answers, fallback, moves, reads
from llm_scheduler.stores.portable.access import Access

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import Millis, ModelId, SessionId, TaskId, TenantId
    from llm_scheduler.domain.outcome import Ended
    from llm_scheduler.domain.status import Status
    from llm_scheduler.domain.task import NewTask, TaskLog, WaitingTask
    from llm_scheduler.ports.diverting import Diversion, Divertible
    from llm_scheduler.ports.money import HeldTask
    from llm_scheduler.ports.store import Moved, Recorded, StartedTask, StartOrder, Submitted

SLICE: Final = 2_000
"""A submit that need not be atomic is cut, so that starts and outcomes get their turn between."""


class TaskCalls(Access):
    """The life of tasks; see the port for what each call promises."""

    async def submit(self, tasks: Sequence[NewTask], *, is_atomic: bool = True) -> Sequence[Submitted]:
        """Record new tasks; not atomic means in slices, each on disk before the next."""
        if is_atomic or len(tasks) <= SLICE:
            return await self._merge("submit", tasks) if tasks else ()
        done: list[Submitted] = []
        for first in range(0, len(tasks), SLICE):
            done += await self._merge("submit", tasks[first : first + SLICE])
        return done

    async def start(
        self, session_id: SessionId, orders: Sequence[StartOrder]
    ) -> Sequence[StartedTask | HeldTask | None]:
        """Record START for each, or HELD; None where it lost."""
        return await self._merge("start", (session_id, orders)) if orders else ()

    async def record(self, ended: Ended) -> Recorded:
        """Record the end of an attempt, fenced."""
        return await self._merge("record", ended)

    async def cancel(self, task_ids: Sequence[TaskId]) -> Sequence[Moved]:
        """End waiting tasks, mark running ones."""
        return await self._write(lambda transaction: moves.cancel(transaction, task_ids))

    async def requeue(
        self,
        task_ids: Sequence[TaskId],
        *,
        statuses: Sequence[Status],
        input: str | None = None,
        est_tokens: int | None = None,
        est_output: int = 0,
    ) -> Sequence[WaitingTask]:
        """Revive dead letters and cancelled tasks; a deadline that has passed is dropped."""
        estimate = None if est_tokens is None else (est_tokens, est_output)
        return await self._write(lambda transaction: moves.requeue(transaction, task_ids, statuses, input, estimate))

    async def set_priority(self, task_ids: Sequence[TaskId], priority: int) -> Sequence[WaitingTask]:
        """Change waiting tasks."""
        return await self._write(lambda transaction: moves.set_priority(transaction, task_ids, priority))

    async def delete(self, task_ids: Sequence[TaskId]) -> int:
        """Remove terminal tasks."""
        return await self._write(lambda transaction: moves.delete(transaction, task_ids))

    async def promote(self, limit: int) -> Sequence[WaitingTask]:
        """Queue what is due."""
        return await self._write(lambda transaction: moves.promote(transaction, limit))

    async def expire(self, limit: int) -> Sequence[Moved]:
        """End what waited past its deadline."""
        return await self._write(lambda transaction: moves.expire(transaction, limit))

    async def divertible(
        self, model_id: ModelId, tenant_id: TenantId, after: tuple[Millis, TaskId] | None, limit: int
    ) -> Sequence[Divertible]:
        """One page of what waits for a model."""
        return await self._read(lambda reader: fallback.divertible(reader, model_id, tenant_id, after, limit))

    async def divert(self, diversions: Sequence[Diversion]) -> Sequence[WaitingTask]:
        """Queue these in other lanes."""
        return await self._write(lambda transaction: fallback.divert(transaction, diversions)) if diversions else ()

    async def next_due_at(self) -> Millis | None:
        """When `promote`, `expire` or `regroup` will next find something."""
        return await self._read(reads.next_due_at)

    async def log(self, lines: Sequence[TaskLog]) -> None:
        """Append log lines."""
        await self._write(lambda transaction: moves.log(transaction, lines))

    async def rescue(self, max_crashes: int, limit: int) -> tuple[Sequence[WaitingTask], Sequence[Moved]]:
        """Take running tasks from sessions that are not alive."""
        return await self._write(lambda transaction: moves.rescue(transaction, max_crashes, limit))

    async def regroup(self, limit: int) -> Followers:
        """See to followers of tasks that are over; a look first, for there are seldom any."""
        if not await self._read(answers.has_lost):
            return Followers()
        return await self._write(lambda transaction: answers.regroup(transaction, limit))

    async def drop_answers(self, limit: int) -> int:
        """Forget answers whose time is over."""
        return await self._write(lambda transaction: answers.drop(transaction, limit))
