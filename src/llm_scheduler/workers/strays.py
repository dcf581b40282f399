"""Tasks that run by the record, in this very session, and that nobody here is running.

A START whose commit was reported as failed and yet reached the disk leaves such a row: its owner lives, so
no rescuer may touch it. The owner itself puts it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from llm_scheduler.domain.outcome import Ended
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import AttemptOutcome, WaitingTask
from llm_scheduler.ports.broker import Claim, Release

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import SessionId, TaskId
    from llm_scheduler.domain.task import Task
    from llm_scheduler.workers.heartbeat import Heartbeat
    from llm_scheduler.workers.tools import Tools

_log = structlog.get_logger(__name__)


class Strays:
    """Looks now and then; what is stray in two looks running is put back with no retry burnt."""

    def __init__(self, tools: Tools, heartbeat: Heartbeat) -> None:
        self._tools, self._heartbeat = tools, heartbeat
        self._suspects: set[tuple[TaskId, int]] = set()
        self._looks_due = 0

    def doubt(self) -> None:
        """A START was reported as failed: look a few times."""
        self._looks_due = 3

    async def look_if_doubted(self) -> None:
        """Look if there is a reason; one that fails is made up for."""
        if self._looks_due:
            await self.look()
            self._looks_due -= 1

    async def look(self) -> int:
        """How many were put back."""
        session_id = self._heartbeat.session_id
        rows = [slot for slot in await self._tools.store.running() if slot.session == session_id]
        lone = {(slot.task_id, slot.attempt) for slot in rows if slot.task_id not in self._tools.running}
        sure, self._suspects = lone & self._suspects, lone
        put_back = 0
        for task_id, _ in sorted(sure):
            task = await self._tools.store.task(task_id)
            if session_id is not None and task is not None and task_id not in self._tools.running:
                put_back += await self._put_back(task, session_id)
        if put_back:
            _log.warning("strays_put_back", tasks=put_back)
            self._tools.meter.repaired("stray", put_back)
        return put_back

    async def _put_back(self, task: Task, session_id: SessionId) -> bool:
        now = self._tools.clock.now()
        ended = Ended(
            task.id,
            task.tenant_id,
            task.model_id,
            session_id,
            task.attempt,
            task.generation,
            task.started_at or now,
            now,
            AttemptOutcome.RETURNED,
            Status.QUEUED,
        )
        recorded = await self._tools.store.record(ended)
        claim = Claim(task.id, task.model_id, task.tenant_id, task.attempt - 1, task.est_tokens)
        await self._tools.broker.release([Release(claim)])
        if not recorded.is_accepted or recorded.status is not Status.QUEUED:
            return False
        again = WaitingTask(
            task.id,
            task.model_id,
            task.tenant_id,
            task.type,
            task.priority,
            task.attempt,
            task.est_tokens,
            task.queued_at or now,
            task.deadline_at,
            task.est_output,
        )
        await self._tools.broker.enqueue([self._tools.catalogue.entry(again)])
        return True
