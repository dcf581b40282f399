"""`ports.learned.LearnedMoves`: sums that every process adds to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.ports.learned import Learned, Sums
from llm_scheduler.stores.portable.access import Access

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.ids import Millis
    from llm_scheduler.stores.portable.access import Transaction

MOST_ADDED: Final = 256
"""Scopes of one transaction: others wait for those that are wide."""
COLUMNS: Final = ("scope", *Sums._fields, "updated_at")
CHANGED_SINCE: Final = (
    f"SELECT {', '.join(COLUMNS)} FROM predictions WHERE updated_at >= ? ORDER BY updated_at DESC LIMIT ?"  # noqa: S608 - names of our own, values are bound
)
# `samples` comes last: MySQL assigns from left to right and reads what it has just assigned.
FADE: Final = (
    f"UPDATE predictions SET {', '.join(f'{name} = {name} * ? / samples' for name in Sums._fields[1:])}, "  # noqa: S608 - names of our own, values are bound
    "samples = ?, updated_at = ? WHERE samples > ?"
)
OLD: Final = "SELECT scope FROM predictions WHERE updated_at < ? ORDER BY updated_at LIMIT ?"
FORGET: Final = "DELETE FROM predictions WHERE scope = ? AND updated_at < ?"


class LearnedCalls(Access):
    """What was seen of finished calls; see the port for what each call promises."""

    async def add_samples(self, added: Mapping[str, Sums]) -> None:
        """Add, in the order of the names: two processes that add to the same scopes do not wait in a circle."""
        names = sorted(added)
        for first in range(0, len(names), MOST_ADDED):
            part = [(name, added[name]) for name in names[first : first + MOST_ADDED]]
            await self._write(lambda transaction, part=part: _add(transaction, part))

    async def samples(self, since: Millis, limit: int) -> Sequence[Learned]:
        """What changed, the latest first."""
        rows = await self._read(lambda reader: reader.rows(COLUMNS, CHANGED_SINCE, (since, limit)))
        return [Learned(row[0], Sums._make(row[1:-1]), row[-1]) for row in rows]

    async def fade_samples(self, most: float) -> int:
        """Scale down what is many."""
        scale = (most,) * len(Sums._fields)
        return await self._write(lambda transaction: transaction.run(FADE, (*scale, transaction.now, most)))

    async def forget_samples(self, before: Millis, limit: int) -> int:
        """Look first, then remove what nobody has added to meanwhile."""
        rows = await self._read(lambda reader: reader.rows(("scope",), OLD, (before, limit)))
        names = sorted(row[0] for row in rows)
        if not names:
            return 0
        return await self._write(lambda transaction: sum(transaction.run(FORGET, (name, before)) for name in names))


def _add(transaction: Transaction, part: Sequence[tuple[str, Sums]]) -> None:
    rows = [(name, *sums, transaction.now) for name, sums in part]
    transaction.upsert("predictions", COLUMNS, ("updated_at",), rows, Sums._fields)
