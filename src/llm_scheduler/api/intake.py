"""Taking in many tasks: line by line, in batches, with an error for each line that cannot be taken.

While one batch is being committed the next one is parsed: the record's thread and this one work side by side.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict

from pydantic import ValidationError

from llm_scheduler.api.errors import Problem
from llm_scheduler.api.reading import BadJsonError, field_errors, loads
from llm_scheduler.api.schemas.tasks import TaskBody
from llm_scheduler.domain.errors import (
    IdempotencyConflictError,
    InputTooLargeError,
    InvalidInputError,
    ModelNotFoundError,
    QueueFullError,
    TenantQueueFullError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.ids import ModelId, TaskId
    from llm_scheduler.domain.task import NewTask

BATCH: Final = 1_000
MOST_LISTED: Final = 1_000
"""Rejected lines that an answer names; all are counted."""
BREATHE_EVERY: Final = 400
"""Lines after which others get their turn: some 5 ms."""
_LONGEST_DETAIL: Final = 300


class Numbered(NamedTuple):
    """A checked line."""

    line: int
    task: NewTask


class Rejection(TypedDict):
    """A line that was not taken."""

    line: int
    code: str
    detail: str


class Intake:
    """One bulk request.

    Args:
        caller: whose tasks they become.
        key: the request's idempotency key; a line without its own gets `key:line`.
        is_atomic: nothing is recorded before `finish`, and then all or nothing.
        is_dry: nothing is recorded at all; `checked` has what would be.
    """

    def __init__(self, caller: Caller, key: str | None, *, is_atomic: bool, is_dry: bool = False) -> None:
        self._is_dry, self._redact = is_dry, caller.parts.redact
        self._submissions, self._tenant_id = caller.parts.submissions, caller.tenant_id
        self._allowed = caller.principal.allowed_models
        self._key_id = caller.principal.key_id
        self._key, self._is_atomic = key, is_atomic
        self._waiting: list[Numbered] = []
        self._commit: asyncio.Task[None] | None = None
        self._full: set[ModelId] = set()
        self._full_code: str | None = None
        """Why a line was refused for want of room."""
        self._is_tenant_full = False
        self.accepted = self.repeated = self.rejected_total = 0
        self.rejected: list[Rejection] = []
        self.first_id: TaskId | None = None
        self.last_id: TaskId | None = None

    @property
    def is_full(self) -> bool:
        """Whether a line was refused for want of room."""
        return self._full_code is not None

    @property
    def full_code(self) -> str:
        """The code of such a refusal: of the queue, or of the tenant."""
        return self._full_code or QueueFullError.code

    def add_text(self, line: int, text: bytes) -> None:
        """Take one line of a stream; a bad one is noted."""
        try:
            value = loads(text)
        except BadJsonError as error:
            self.reject(line, "invalid_json", str(error))
            return
        self.add(line, value)

    def add(self, line: int, value: object) -> None:
        """Take one parsed line; a bad one is noted."""
        if not isinstance(value, dict):
            self.reject(line, "invalid_request", 'Each line is a JSON object: {"model": …, "input": …}.')
            return
        try:
            body = TaskBody.model_validate(value)
            if self._key is not None and body.idempotency_key is None:
                body.idempotency_key = f"{self._key}:{line}"
            task = self._submissions.check(body, self._tenant_id, self._allowed, self._key_id)
        except ValidationError as error:
            where = field_errors(error, TaskBody)
            shown = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in where)
            self.reject(line, "invalid_request", shown)
        except (ModelNotFoundError, InvalidInputError, InputTooLargeError) as error:
            self.reject(line, error.code, str(error))
        else:
            self._waiting.append(Numbered(line, task))

    def reject(self, line: int, code: str, detail: str) -> None:
        """Note a line that is not taken."""
        self.rejected_total += 1
        if len(self.rejected) < MOST_LISTED:
            self.rejected.append({"line": line, "code": code, "detail": self._redact(detail)[:_LONGEST_DETAIL]})

    async def breathe(self) -> None:
        """Let others run; hand a full batch to the record.

        Raises:
            StoreUnavailableError: the record cannot be written; counts say what is in it.
        """
        if self._is_atomic or self._is_dry or len(self._waiting) < BATCH:
            await asyncio.sleep(0)
            return
        await self._settle()
        batch, self._waiting = self._waiting, []
        self._commit = asyncio.create_task(self._record(batch))
        # Begin the commit now, so that it runs while the next lines are parsed.
        await asyncio.sleep(0)

    @property
    def checked(self) -> list[NewTask]:
        """Tasks that can be taken, and are not handed to the record yet."""
        return [item.task for item in self._waiting]

    async def finish(self) -> None:
        """Record what is left; an atomic request is recorded here, in one piece.

        Raises:
            SchedulerError: of an atomic request, or StoreUnavailableError.
        """
        if self._is_dry:
            return
        await self._settle()
        batch, self._waiting = self._waiting, []
        if not batch or (self._is_atomic and self.rejected_total):
            return
        if self._is_atomic:
            await self._submit(batch)
        else:
            await self._record(batch)

    async def abandon(self) -> None:
        """Wait for the commit under way; drop the rest."""
        self._waiting = []
        if self._commit is not None:
            await asyncio.wait({self._commit})

    async def _settle(self) -> None:
        if self._commit is not None:
            commit, self._commit = self._commit, None
            await commit

    async def _record(self, batch: Sequence[Numbered]) -> None:
        """Submit; halve a batch that is refused as a whole until the lines to blame stand alone."""
        able: list[Numbered] = []
        for item in batch:
            if self._is_tenant_full or item.task.model_id in self._full:
                self.reject(item.line, self.full_code, "The queue is full; send this line again later.")
            else:
                able.append(item)
        if not able:
            return
        try:
            await self._submit(able)
        except (QueueFullError, IdempotencyConflictError) as error:
            if len(able) > 1:
                middle = len(able) // 2
                await self._record(able[:middle])
                await self._record(able[middle:])
                return
            self.reject(able[0].line, error.code, str(error))
            if isinstance(error, QueueFullError):
                self._full.add(able[0].task.model_id)
                self._full_code = error.code
                self._is_tenant_full = self._is_tenant_full or isinstance(error, TenantQueueFullError)

    async def _submit(self, batch: Sequence[Numbered]) -> None:
        stored = await self._submissions.submit([item.task for item in batch])
        self.accepted += len(stored)
        self.repeated += sum(not done.is_new for done in stored)
        if self.first_id is None:
            self.first_id = stored[0].task_id
        self.last_id = stored[-1].task_id

    def summary(self) -> dict[str, object]:
        """What the answer says."""
        return {
            "accepted": self.accepted,
            "repeated": self.repeated,
            "rejected": sorted(self.rejected, key=lambda item: item["line"]),
            "rejected_total": self.rejected_total,
            "first_id": self.first_id,
            "last_id": self.last_id,
        }

    def problem(self, status: int, code: str, detail: str, retry_after_s: float | None = None) -> Problem:
        """A problem that also says what was taken all the same."""
        return Problem(status, code, detail, retry_after_s=retry_after_s, members=self.summary())
