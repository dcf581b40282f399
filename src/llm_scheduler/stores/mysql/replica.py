"""Lists and figures from a read replica, if it has what this process wrote.

Every transaction that inserts a row with an id of its own has a mark. The replica applies transactions
in the primary's order, so it has all of ours when it has the newest mark of each committer. Changes
without a mark send lists to the primary for a while. What other processes wrote may be missing for as
long as the replica lags.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.stores.mysql.readers import Readers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_scheduler.stores.mysql.committer import Committer
    from llm_scheduler.stores.mysql.connection import Connection
    from llm_scheduler.stores.mysql.server import Server
    from llm_scheduler.stores.portable.access import Reader

UNMARKED_S: Final = 3.0
"""How long lists come from the primary after a change without a mark."""
AWAY_S: Final = 5.0
"""How long a replica that did not answer is left alone."""

_log = structlog.get_logger(__name__)
T = TypeVar("T")


class Replica:
    """Readers of a replica, and when not to ask them."""

    def __init__(self, server: Server, size: int, committers: Sequence[Committer]) -> None:
        self._server, self._committers = server, committers
        self._readers = Readers(server, size)
        self._ask_after_s = -1e9

    def __len__(self) -> int:
        """Open connections."""
        return len(self._readers)

    async def read(self, query: Callable[[Reader], T], *, is_snapshot: bool) -> tuple[T] | None:
        """The answer; None if the primary must be asked."""
        now_s = time.monotonic()
        if now_s < self._ask_after_s or any(now_s - one.unmarked_at_s < UNMARKED_S for one in self._committers):
            return None
        try:
            return await self._readers.read(
                lambda reader: (query(reader),), is_snapshot=is_snapshot, unless=self._is_behind
            )
        except StoreUnavailableError as error:
            self._ask_after_s = time.monotonic() + AWAY_S
            _log.warning("replica_away", address=str(self._server.address), error=str(error))
            return None

    async def _is_behind(self, connection: Connection) -> bool:
        for committer in self._committers:
            mark = committer.last_mark
            if mark is None:
                continue
            found = await connection.execute(f"SELECT 1 FROM {mark.table} WHERE id = {mark.id}")  # noqa: S608 - ours
            if not found.rows:
                return True
        return False

    async def close(self) -> None:
        """Close every connection."""
        await self._readers.close()
