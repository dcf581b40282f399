"""One action on everything that matches a filter: in the background, with progress, over restarts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.domain.errors import ActionNotFoundError, SchedulerError, StoreUnavailableError
from llm_scheduler.domain.ids import Millis
from llm_scheduler.domain.status import TERMINAL, WAITING, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from llm_scheduler.domain.ids import TaskId
    from llm_scheduler.ports.promises import ActionProgress
    from llm_scheduler.ports.store import Store, TaskFilter
    from llm_scheduler.services.tasks import Tasks

PAGE: Final = 500
_AFTER_FAULT_S: Final = 2.0
_log = structlog.get_logger(__name__)

TOUCHES: Final[Mapping[str, tuple[Status, ...]]] = {
    "cancel": tuple(sorted(WAITING | {Status.RUNNING})),
    "retry": (Status.CANCELLED, Status.FAILED),
    "requeue": (Status.FAILED,),
    "discard": (Status.FAILED,),
    "delete": tuple(sorted(TERMINAL)),
    "set_priority": tuple(sorted(WAITING)),
}
"""The statuses that each action can change: others are not even read."""


class Actions:
    """Runs bulk actions, one after another per call, pages of 500 from the oldest task on."""

    def __init__(self, store: Store, tasks: Tasks, parse: Callable[[str], TaskFilter]) -> None:
        self._store, self._tasks, self._parse = store, tasks, parse
        self._jobs: set[asyncio.Task[None]] = set()
        self.others: dict[str, Callable[[ActionProgress], AsyncIterator[int]]] = {}
        """Actions that are not about a filter's tasks: each gives how much it has done, step by step."""

    async def begin(self, action: str, filter_json: str, priority: int | None = None) -> ActionProgress:
        """Record the action and start it; `filter_json` is the caller's filter, checked already."""
        progress = await self._store.add_action(action, filter_json, priority)
        self._start(progress)
        return progress

    async def progress(self, action_id: int) -> ActionProgress:
        """How far it is.

        Raises:
            ActionNotFoundError: there is none.
        """
        progress = await self._store.action(action_id)
        if progress is None:
            raise ActionNotFoundError(action_id)
        return progress

    async def resume(self) -> None:
        """Take up what an earlier process left unfinished. Every action may be repeated safely."""
        for progress in await self._store.unfinished_actions():
            self._start(progress)

    async def close(self) -> None:
        """Stop; the rest is taken up at the next start."""
        for job in list(self._jobs):
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    def _start(self, progress: ActionProgress) -> None:
        job = asyncio.create_task(self._run(progress), name=f"action-{progress.id}")
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _run(self, progress: ActionProgress) -> None:
        walk = self._follow if progress.action in self.others else self._walk
        while True:
            try:
                return await walk(progress)
            except StoreUnavailableError as error:
                # Every page may be repeated safely: begin again once the record is back.
                _log.warning("action_waits", action=progress.action, id=progress.id, error=str(error))
                await asyncio.sleep(_AFTER_FAULT_S)

    async def _follow(self, progress: ActionProgress) -> None:
        done = progress.changed
        try:
            async for count in self.others[progress.action](progress):
                done += count
                await self._store.save_action(progress.id, seen=done, changed=done, status="running")
            await self._store.save_action(progress.id, seen=done, changed=done, status="completed")
        except StoreUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost place of a job, logged
            await self._failed(progress, (done, done), error)

    async def _walk(self, progress: ActionProgress) -> None:
        seen, changed = 0, 0
        try:
            where = _narrowed(self._parse(progress.filter), progress)
            cursor: str | None = None
            while where is not None:
                page = await self._store.tasks(where, limit=PAGE, cursor=cursor, is_ascending=True)
                ids = [task.id for task in page.items]
                seen += len(ids)
                changed += await self._apply(progress, ids)
                cursor = page.next_cursor
                if cursor is None:
                    break
                await self._store.save_action(progress.id, seen=seen, changed=changed, status="running")
            await self._store.save_action(progress.id, seen=seen, changed=changed, status="completed")
        except StoreUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost place of a job, logged
            await self._failed(progress, (seen, changed), error)

    async def _failed(self, progress: ActionProgress, counts: tuple[int, int], error: Exception) -> None:
        _log.error("action_failed", action=progress.action, id=progress.id, exc_info=error)
        reason = str(error) if isinstance(error, SchedulerError) else "internal error; see the log"
        seen, changed = counts
        await self._store.save_action(progress.id, seen=seen, changed=changed, status="failed", error=reason)

    async def _apply(self, progress: ActionProgress, ids: Sequence[TaskId]) -> int:
        if not ids:
            return 0
        match progress.action:
            case "cancel":
                return await self._tasks.cancel_many(ids)
            case "retry" | "requeue":
                return await self._tasks.requeue_many(ids, TOUCHES[progress.action])
            case "set_priority":
                return await self._tasks.set_priority_many(ids, progress.priority or 0)
            case _:
                return await self._tasks.discard_many(ids)


def _narrowed(where: TaskFilter, progress: ActionProgress) -> TaskFilter | None:
    """The filter without what the action cannot change and what came after it; None when nothing is left."""
    able = TOUCHES[progress.action]
    statuses = tuple(status for status in where.statuses if status in able) if where.statuses else able
    end = Millis(progress.created_at + 1)
    before = end if where.created_before is None else min(where.created_before, end)
    return replace(where, statuses=statuses, created_before=before) if statuses else None
