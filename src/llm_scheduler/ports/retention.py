"""Taking finished tasks out of the record, and the place where they are kept instead.

An archive has a task on disk before the record lets go of it: a crash between leaves it in both, so
that it may be archived twice, never lost. Readers of an archive take the newest line of an id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import Millis, TaskId
    from llm_scheduler.domain.task import Attempt, Task, TaskLog


class IdRange(NamedTuple):
    """Tasks whose ids lie from `first` on and before `past`."""

    first: int
    past: int
    newest_at: Millis
    """When the newest of them was created, about; 0 = there are none."""
    is_droppable: bool
    """Whether the engine can drop the range as one, and no new ids fall into it."""


class Candidate(NamedTuple):
    """A finished task that is old enough. `size` is roughly the characters that it holds."""

    task_id: TaskId
    size: int


class Candidates(NamedTuple):
    """One page of a walk by id. `last_id` None: the range is through."""

    found: tuple[Candidate, ...]
    last_id: int | None
    is_young: bool
    """Every task of the page was created after the line that was asked for."""


class WholeTask(NamedTuple):
    """A task with everything that hangs on it."""

    task: Task
    attempts: tuple[Attempt, ...]
    logs: tuple[TaskLog, ...]


class Over(NamedTuple):
    """A range in which every task was seen to be old enough to go."""

    seen_at: Millis
    tasks: int


class Cut(NamedTuple):
    """How old something must be to go: instants, exclusive."""

    tasks: Millis
    """Of finished tasks, by `completed_at`."""
    replies: Millis
    """Of answers kept for idempotency keys, and of finished bulk actions."""


class RetentionMoves(Protocol):
    """What the record offers for it. Every call is safe from several processes at once."""

    async def id_ranges(self) -> Sequence[IdRange]:
        """The parts to walk, oldest first; they cover every task."""
        ...

    async def make_ranges(self) -> int:
        """Prepare ranges for ids to come; how many were made. Nothing happens if they are there."""
        ...

    async def candidates(self, within: IdRange, before: Millis, after_id: int, limit: int) -> Candidates:
        """The next `limit` tasks after an id, and which of them finished before an instant."""
        ...

    async def whole(self, task_ids: Sequence[TaskId]) -> Sequence[WholeTask]:
        """Tasks with results, attempts and logs, by id; those that are gone are left out."""
        ...

    async def retire(self, task_ids: Sequence[TaskId], before: Millis) -> int:
        """Remove those that are finished since before an instant, with all that hangs on them; how many."""
        ...

    async def over(self, within: IdRange, before: Millis) -> Over | None:
        """Whether every task of the range finished before an instant; None if not."""
        ...

    async def drop_range(self, within: IdRange, seen_at: Millis) -> bool:
        """Remove the range as one, unless a task in it was revived or added since `seen_at`; whether it went."""
        ...

    async def blank_payloads(self, before: Millis, limit: int) -> int:
        """Inputs and outputs that are not to be kept go, of tasks that ended before an instant; how many were due.

        A task that was queued again meanwhile keeps its input. Fewer than `limit`: no more are due.
        """
        ...

    async def forget(self, cut: Cut, after: tuple[int, str], limit: int) -> tuple[int, tuple[int, str] | None]:
        """One page of the walk over idempotency keys: those of tasks that are gone, and old replies, go.

        `after` is (0, "") at first; with it old actions and dead sessions go too. How many went, and where
        the next page begins (None: that was the last).
        """
        ...


class Archive(Protocol):
    """Where tasks go before they leave the record."""

    @property
    def keeps(self) -> bool:
        """Whether it wants tasks at all."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether it should be sealed before more is added."""
        ...

    async def add(self, day: str, tasks: Sequence[tuple[TaskId, bytes]]) -> None:
        """Take lines of JSON of tasks that finished on a day (YYYY-MM-DD).

        Raises:
            ArchiveUnavailableError: it cannot be written.
        """
        ...

    async def seal(self) -> int:
        """Have everything that was added on disk for good, under its final name; how many tasks.

        Raises:
            ArchiveUnavailableError: it cannot be written; nothing counts as added.
        """
        ...

    async def discard(self) -> None:
        """Forget what was added since the last seal. Never fails."""
        ...
