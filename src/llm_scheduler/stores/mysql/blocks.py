"""Ids, reserved in blocks per process. A block that is lost with its process is lost."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_scheduler.stores.mysql.connection import Connection

BLOCK_SIZES: Final = {"tasks": 10_000, "task_logs": 10_000}
LOW_WATER: Final = 2_000
LARGEST_ID: Final = 2**53 - 1


class IdBlocks:
    """The unused rest of each block."""

    def __init__(self) -> None:
        self._rest: dict[str, range] = {}
        self._reserving = asyncio.Lock()

    def taken(self, name: str, count: int) -> Iterable[int] | None:
        """So many ids, ascending; None if there are not enough."""
        rest = self._rest.get(name, range(0))
        if len(rest) < count:
            return None
        self._rest[name] = rest[count:]
        return rest[:count]

    async def top_up(self, connection: Connection) -> None:
        """Reserve before a transaction begins, so that it need not wait for ids while it holds locks."""
        for name in BLOCK_SIZES:
            if len(self._rest.get(name, ())) < LOW_WATER:
                await self.take(connection, name, LOW_WATER, is_kept=True)

    async def take(self, connection: Connection, name: str, count: int, *, is_kept: bool = False) -> Iterable[int]:
        """So many ids, of a further block if need be; `is_kept` only sees to it that they are there.

        The connection must not be inside a transaction: the row is held only for one statement.

        Raises:
            StoreUnavailableError: the ids are used up.
        """
        async with self._reserving:  # or a later block could be used before an earlier one
            rest = self._rest.get(name, range(0))
            if len(rest) < count:
                block = await self._reserved(connection, name, max(count - len(rest), BLOCK_SIZES.get(name, 1)))
                # Blocks of another process may lie between: both parts are given, in order.
                if is_kept:
                    self._rest[name] = block
                    return ()
                used = count - len(rest)
                self._rest[name] = block[used:]
                return chain(rest, block[:used])
            return () if is_kept else self.taken(name, count) or ()

    async def _reserved(self, connection: Connection, name: str, size: int) -> range:
        statement = f"UPDATE id_blocks SET next_id = LAST_INSERT_ID(next_id + {size}) WHERE name = '{name}'"  # noqa: S608 - names of our own, values are bound
        answer = await connection.execute(statement)
        if answer.matched == 0 or answer.last_id > LARGEST_ID:
            raise StoreUnavailableError(f"there are no more ids of {name}.")
        return range(answer.last_id - size, answer.last_id)
