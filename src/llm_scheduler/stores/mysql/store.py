"""`ports.store.Store` on MySQL or MariaDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.stores import audit_triggers
from llm_scheduler.stores.mysql import migrating
from llm_scheduler.stores.mysql.address import parse
from llm_scheduler.stores.mysql.blocks import IdBlocks
from llm_scheduler.stores.mysql.committer import LOOSE, Committer
from llm_scheduler.stores.mysql.partitions import PartitionCalls
from llm_scheduler.stores.mysql.readers import Readers
from llm_scheduler.stores.mysql.replica import Replica
from llm_scheduler.stores.mysql.server import Server
from llm_scheduler.stores.portable.learned import LearnedCalls
from llm_scheduler.stores.portable.sealed import SealedCalls
from llm_scheduler.stores.portable.states import StateCalls
from llm_scheduler.stores.portable.store_access import AccessCalls
from llm_scheduler.stores.portable.store_money import MoneyCalls
from llm_scheduler.stores.portable.store_reads import ReadCalls
from llm_scheduler.stores.portable.store_tables import TableCalls
from llm_scheduler.stores.portable.store_tasks import TaskCalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.meter import CommitMeter
    from llm_scheduler.stores.portable.access import Reader, Transaction

POOL: Final = 8

T = TypeVar("T")
_REST: Final = ""
_APART: Final = ("submit", LOOSE, "record")
"""Kinds of moves that have a connection of their own, as far as the pool allows; one is left to read."""


class MysqlStore(
    TaskCalls,
    TableCalls,
    AccessCalls,
    MoneyCalls,
    ReadCalls,
    PartitionCalls,
    LearnedCalls,
    StateCalls,
    SealedCalls,
):
    """The record that many processes share.

    Submits have a committer of their own, so that a bulk insert does not delay a START, and so have heartbeats,
    which must not wait for a large batch on a slow line; the other connections read. With a pool of two, all
    writing goes through one.
    """

    _triggers_there = audit_triggers.THERE_MYSQL

    def __init__(
        self, url: str, clock: Clock, meter: CommitMeter, *, read_url: str | None = None, pool: int = POOL
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: mysql://USER:PASSWORD@HOST[:PORT]/NAME, see `address.parse`.
            clock: the time of all that is written; a `DatabaseClock` is anchored to the server's.
            meter: counts commits.
            read_url: of a replica for lists and figures.
            pool: most connections to the primary, at least 2; to the replica at most half as many.

        Raises:
            StoreUnusableError: a URL is wrong.
        """
        self._clock, self._meter, self._pool = clock, meter, max(pool, 2)
        self._server = Server(parse(url), clock)
        self._read_address = None if read_url is None else parse(read_url)
        self._by_kind: dict[str, Committer] = {}
        """Who writes `submit`, so that a bulk does not stand before the others; who heartbeats and the like, so that
        no session is given up because of a batch; who `record`, so that the ends of calls do not wait for the starts
        of others; and `` all else."""
        self._readers: Readers | None = None
        self._replica: Replica | None = None

    async def open(self) -> None:
        """Check or make the schema, start writing.

        Raises:
            StoreUnusableError: no way in, of a newer program, or not ours.
        """
        connection = await migrating.prepare(self._server)
        ids = IdBlocks()
        apart = _APART[: max(0, min(len(_APART), self._pool - 2))]
        self._readers = Readers(self._server, self._pool - 1 - len(apart))
        for kind in (_REST, *apart):
            self._by_kind[kind] = Committer(self._server, self._clock, self._meter, ids, self._readers)
            self._by_kind[kind].begin(connection if kind == _REST else None)
        if self._read_address is not None:
            self._replica = Replica(Server(self._read_address), max(self._pool // 2, 1), self._committers())

    def _committers(self) -> list[Committer]:
        return list(self._by_kind.values())

    async def close(self) -> None:
        """Write what waits, then let go."""
        for committer in self._committers():
            await committer.close()
        if self._readers is not None:
            await self._readers.close()
        if self._replica is not None:
            await self._replica.close()

    async def ping(self) -> None:
        """Prove that a write transaction commits.

        Raises:
            StoreUnavailableError: it does not.
        """
        await self._write(_spend_an_id, is_loose=True)

    def connections(self) -> int:
        """Open connections, those to the replica too."""
        pools = (self._readers, self._replica)
        return sum(one.is_connected for one in self._committers()) + sum(len(one) for one in pools if one is not None)

    async def _merge(self, kind: str, payload: Any) -> Any:
        committer = self._by_kind.get(kind) or self._by_kind.get(_REST)
        if committer is None:
            raise StoreUnavailableError("it is not open.")
        return await committer.put(kind, payload)

    async def _write(self, move: Callable[[Transaction], T], *, is_loose: bool = False) -> T:
        return await self._merge(LOOSE if is_loose else "move", move)

    async def _read(self, query: Callable[[Reader], T], *, is_snapshot: bool = False, may_lag: bool = False) -> T:
        if self._readers is None:
            raise StoreUnavailableError("it is not open.")
        if may_lag and self._replica is not None:
            answer = await self._replica.read(query, is_snapshot=is_snapshot)
            if answer is not None:
                return answer[0]
        return cast("T", await self._readers.read(query, is_snapshot=is_snapshot))


def _spend_an_id(transaction: Transaction) -> None:
    """A change that reaches the disk: to set a value to what it is writes nothing."""
    transaction.run("UPDATE id_blocks SET next_id = next_id + 1 WHERE name = ?", ("system_stats",))
