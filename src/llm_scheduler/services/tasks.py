"""What people do with tasks that exist: look, cancel, retry, requeue, discard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from llm_scheduler.domain.errors import InputTooLargeError, PayloadGoneError, TaskNotFoundError, WrongStatusError
from llm_scheduler.domain.status import TERMINAL, Status
from llm_scheduler.ports.feed import TaskChanged
from llm_scheduler.services.estimate import sized
from llm_scheduler.services.following import Following
from llm_scheduler.services.inputs import checked_body
from llm_scheduler.services.submit import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import ModelId, TaskId, TenantId
    from llm_scheduler.domain.task import Task, WaitingTask
    from llm_scheduler.ports.broker import Broker
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.feed import Feed
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.learning import Learning
    from llm_scheduler.services.stopping import Stopping

REVIVABLE: Final = (Status.FAILED, Status.CANCELLED)


class Tasks:
    """Moves by hand. Every list of ids may name foreign or unknown tasks: they are left out."""

    def __init__(  # noqa: PLR0913 - the ports that a move touches
        self,
        store: Store,
        broker: Broker,
        catalogue: Catalogue,
        stopping: Stopping,
        feed: Feed,
        clock: Clock,
        learning: Learning,
    ) -> None:
        self._store, self._broker, self._catalogue = store, broker, catalogue
        self._stopping, self._feed, self._clock = stopping, feed, clock
        self._learning = learning
        self._following = Following(store, broker, catalogue, feed, clock)
        self.max_input_bytes = Limits().max_input_bytes
        """Bound of an edited input; the same as a submit's."""

    async def get(self, task_id: TaskId, tenant_id: TenantId) -> Task:
        """One task.

        Raises:
            TaskNotFoundError: none, or someone else's.
        """
        task = await self._store.task(task_id, tenant_id)
        if task is None:
            raise TaskNotFoundError(task_id)
        return task

    async def position(self, task: Task) -> int | None:
        """How many come before it in its band; None when it does not wait."""
        if task.status is not Status.QUEUED:
            return None
        return await self._broker.position(task.model_id, task.id)

    async def cancel(self, task_id: TaskId, tenant_id: TenantId) -> Task:
        """Cancel one; a running one is aborted, and the answer may still say `running`.

        Raises:
            TaskNotFoundError: none, or someone else's.
            WrongStatusError: it is over already.
        """
        task = await self.get(task_id, tenant_id)
        if task.status in TERMINAL or not await self.cancel_many([task_id]):
            now = await self.get(task_id, tenant_id)
            if now.status is not Status.CANCELLED or task.status in TERMINAL:
                raise WrongStatusError(task_id, now.status, "cancelled")
            return now
        return await self.get(task_id, tenant_id)

    async def cancel_many(self, task_ids: Sequence[TaskId]) -> int:
        """Cancel what is not over; how many were touched."""
        moved = await self._store.cancel(task_ids)
        self._stopping.stop([done for done in moved if done.status is Status.RUNNING])
        lanes: dict[ModelId, list[TaskId]] = {}
        for done in moved:
            if done.status is not Status.RUNNING:
                lanes.setdefault(done.model_id, []).append(done.task_id)
                self._tell(done.task_id, done.tenant_id, done.model_id, done.status, done.attempt)
        for lane, ids in lanes.items():
            await self._broker.remove(lane, ids)
        if lanes:
            await self._following.regroup()
        return len(moved)

    async def retry(
        self, task_id: TaskId, tenant_id: TenantId, new_input: str | dict[str, object] | None = None
    ) -> Task:
        """Queue a failed or cancelled task again with its counters at zero, perhaps with another input.

        Raises:
            TaskNotFoundError: none, or someone else's.
            WrongStatusError: it is neither failed nor cancelled.
            PayloadGoneError: its input is not kept any more, and no other was given.
            InvalidInputError, InputTooLargeError: the new input is not acceptable.
        """
        task = await self.get(task_id, tenant_id)
        if not task.input and new_input is None and task.status in REVIVABLE:
            raise PayloadGoneError(task_id)
        text = None if new_input is None else self._input_text(task.type, new_input)
        if text is not None and len(text.encode()) > self.max_input_bytes:
            raise InputTooLargeError("The input", len(text.encode()), self.max_input_bytes)
        if task.status not in REVIVABLE or not await self._requeue(task, text):
            now = await self.get(task_id, tenant_id)
            if now.status in REVIVABLE and not now.input and text is None:
                raise PayloadGoneError(task_id)
            raise WrongStatusError(task_id, now.status, "queued again")
        return await self.get(task_id, tenant_id)

    def _input_text(self, task_type: str, value: str | dict[str, object]) -> str:
        return orjson.dumps(checked_body(self._catalogue.task_types.get(task_type), task_type, value)).decode()

    async def _requeue(self, task: Task, new_input: str | None) -> int:
        if new_input is None:
            return await self.requeue_many([task.id], REVIVABLE)
        plugin = self._catalogue.task_types.get(task.type)
        size = sized(plugin, task.type, orjson.loads(new_input), len(new_input.encode()))
        template = task.options.template or task.type
        estimate = self._learning.estimate(task.model_id, task.tenant_id, template, size)
        back = await self._store.requeue(
            [task.id],
            statuses=REVIVABLE,
            input=new_input,
            est_tokens=estimate.total,
            est_output=estimate.output_tokens,
        )
        await self._enqueue(back)
        return len(back)

    async def requeue_many(self, task_ids: Sequence[TaskId], statuses: Sequence[Status] = (Status.FAILED,)) -> int:
        """Queue those of the given statuses again; how many."""
        back = await self._store.requeue(task_ids, statuses=statuses)
        await self._enqueue(back)
        return len(back)

    async def set_priority_many(self, task_ids: Sequence[TaskId], priority: int) -> int:
        """Move waiting tasks to another band; how many are queued there now."""
        changed = await self._store.set_priority(task_ids, priority)
        for task in changed:
            await self._broker.remove(task.model_id, [task.task_id])
        await self._broker.enqueue(await self._catalogue.placed(changed))
        return len(changed)

    async def discard_many(self, task_ids: Sequence[TaskId]) -> int:
        """Delete terminal tasks with everything about them; how many."""
        gone = await self._store.delete(task_ids)
        if gone:
            await self._following.regroup()
        return gone

    async def delete(self, task_id: TaskId, tenant_id: TenantId) -> None:
        """Delete one that is over.

        Raises:
            TaskNotFoundError: none, or someone else's.
            WrongStatusError: it is not over.
        """
        task = await self.get(task_id, tenant_id)
        if not await self.discard_many([task_id]):
            raise WrongStatusError(task_id, task.status, "deleted; cancel it first")

    async def _enqueue(self, tasks: Sequence[WaitingTask]) -> None:
        await self._broker.enqueue(await self._catalogue.placed(tasks))
        for task in tasks:
            self._tell(task.task_id, task.tenant_id, task.model_id, Status.QUEUED, task.attempt)

    def _tell(self, task_id: TaskId, tenant_id: TenantId, model_id: ModelId, status: Status, attempt: int) -> None:
        self._feed.publish(TaskChanged(task_id, tenant_id, model_id, status, attempt, self._clock.now()))
