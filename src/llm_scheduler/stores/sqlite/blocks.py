"""Ids, reserved in blocks so that rows of a batch get theirs without a statement each."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.errors import StoreUnavailableError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

BLOCK_SIZES: Final = {"tasks": 10_000, "task_logs": 10_000}
LARGEST_ID: Final = 2**53 - 1


class IdBlocks:
    """The unused rest of each block. A roll-back must bring back the state before the transaction."""

    def __init__(self) -> None:
        self._rest: dict[str, range] = {}

    def take(self, connection: sqlite3.Connection, name: str, count: int) -> Iterable[int]:
        """So many ids, ascending; reserves a further block when the present one runs out."""
        rest = self._rest.get(name, range(0))
        if len(rest) < count:
            rest_count = len(rest)
            block = self._reserve(connection, name, max(count - rest_count, BLOCK_SIZES.get(name, 1)))
            used = count - rest_count
            self._rest[name] = block[used:]
            return chain(rest, block[:used])
        self._rest[name] = rest[count:]
        return rest[:count]

    def _reserve(self, connection: sqlite3.Connection, name: str, size: int) -> range:
        connection.execute("UPDATE id_blocks SET next_id = next_id + ? WHERE name = ?", (size, name))
        after = connection.execute("SELECT next_id FROM id_blocks WHERE name = ?", (name,)).fetchone()[0]
        if after > LARGEST_ID:
            raise StoreUnavailableError(f"the ids of {name} are used up")
        return range(after - size, after)

    def snapshot(self) -> dict[str, range]:
        """The state, to be restored after a roll-back."""
        return dict(self._rest)

    def restore(self, state: dict[str, range]) -> None:
        """Back to a snapshot."""
        self._rest = dict(state)
