"""`ports.retention.RetentionMoves`, for an engine whose tables are one piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.ids import Millis
from llm_scheduler.ports.retention import IdRange
from llm_scheduler.stores.portable import payloads, retention
from llm_scheduler.stores.portable.access import Access

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import TaskId
    from llm_scheduler.ports.retention import Candidates, Cut, Over, WholeTask

EVERY_ID: Final = IdRange(0, 2**62, Millis(0), is_droppable=False)


class RetentionCalls(Access):
    """Taking finished tasks out; see the port for what each call promises."""

    async def id_ranges(self) -> Sequence[IdRange]:
        """One range that has everything."""
        return (EVERY_ID,)

    async def make_ranges(self) -> int:
        """None are needed."""
        return 0

    async def candidates(self, within: IdRange, before: Millis, after_id: int, limit: int) -> Candidates:
        """The next page of the walk."""
        return await self._read(lambda reader: retention.candidates(reader, within, before, after_id, limit))

    async def whole(self, task_ids: Sequence[TaskId]) -> Sequence[WholeTask]:
        """Tasks with everything that hangs on them, as of one moment."""
        return await self._read(lambda reader: retention.whole(reader, task_ids), is_snapshot=True)

    async def retire(self, task_ids: Sequence[TaskId], before: Millis) -> int:
        """Remove those that are still finished and old."""
        return await self._write(lambda transaction: retention.retire(transaction, task_ids, before))

    async def over(self, within: IdRange, before: Millis) -> Over | None:
        """Not asked where nothing can be dropped as one."""
        del within, before
        return None

    async def drop_range(self, within: IdRange, seen_at: Millis) -> bool:
        """Nothing can be dropped as one."""
        del within, seen_at
        return False

    async def blank_payloads(self, before: Millis, limit: int) -> int:
        """A slice of those that are due."""
        return await self._write(lambda transaction: payloads.blank(transaction, before, limit))

    async def forget(self, cut: Cut, after: tuple[int, str], limit: int) -> tuple[int, tuple[int, str] | None]:
        """One page of keys; before the first one the small tables."""
        gone = 0
        if after == (0, ""):
            gone += await self._write(lambda transaction: retention.drop_small(transaction, cut, limit))
        page, following = await self._read(lambda reader: retention.key_page(reader, after, limit))
        if any(row[3] or row[4] for row in page):
            gone += await self._write(lambda transaction: retention.drop_keys(transaction, page, cut))
        return gone, following
