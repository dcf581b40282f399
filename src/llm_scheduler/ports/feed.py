"""Live news about tasks, for whoever watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from llm_scheduler.domain.ids import Millis, ModelId, TaskId, TenantId
    from llm_scheduler.domain.status import Status


class TaskChanged(NamedTuple):
    """A task has a new status."""

    task_id: TaskId
    tenant_id: TenantId
    model_id: ModelId
    status: Status
    attempt: int
    at: Millis


class TaskDelta(NamedTuple):
    """A running task has put out some more text."""

    task_id: TaskId
    tenant_id: TenantId
    attempt: int
    text: str
    before: int = 0
    """Characters that the attempt had put out before: a watcher knows by it whether it has the whole text so far."""


class Missed(NamedTuple):
    """News were dropped on the way to this watcher; read the record again.

    `dropped` is how many, because the watcher was too slow; 0 means that nobody knows, because another process
    could not be heard for a while.
    """

    dropped: int


News = TaskChanged | TaskDelta | Missed


class Feed(Protocol):
    """Publish and watch. Delivery is best effort: the record is the truth."""

    def publish(self, news: TaskChanged | TaskDelta) -> None:
        """Hand on; never blocks, never fails."""
        ...

    @property
    def is_lossy(self) -> bool:
        """Whether news can be lost without a `Missed`: then a watcher reads the record now and then."""
        ...

    @property
    def is_watched(self) -> bool:
        """Whether anyone watches at all: without, publishing can be skipped."""
        ...

    def has_watchers(self, task_id: TaskId) -> bool:
        """Whether anyone would see a delta of this task."""
        ...

    def watch(
        self, task_id: TaskId | None = None, *, with_text: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[News]]:
        """News of one task (its deltas only `with_text`), or status changes of all."""
        ...
