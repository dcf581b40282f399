"""`ports.store.Store` on one SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from llm_scheduler.domain.errors import StoreUnavailableError, StoreUnusableError
from llm_scheduler.stores import audit_triggers, schema
from llm_scheduler.stores.portable.kinds import touch
from llm_scheduler.stores.portable.learned import LearnedCalls
from llm_scheduler.stores.portable.sealed import SealedCalls
from llm_scheduler.stores.portable.states import StateCalls
from llm_scheduler.stores.portable.store_access import AccessCalls
from llm_scheduler.stores.portable.store_money import MoneyCalls
from llm_scheduler.stores.portable.store_reads import ReadCalls
from llm_scheduler.stores.portable.store_retention import RetentionCalls
from llm_scheduler.stores.portable.store_tables import TableCalls
from llm_scheduler.stores.portable.store_tasks import TaskCalls
from llm_scheduler.stores.sqlite import planner
from llm_scheduler.stores.sqlite.connection import BUSY_TIMEOUT_MS, outage
from llm_scheduler.stores.sqlite.readers import Readers
from llm_scheduler.stores.sqlite.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.meter import CommitMeter
    from llm_scheduler.stores.sqlite.readers import Reader
    from llm_scheduler.stores.sqlite.transaction import Transaction

T = TypeVar("T")


class SqliteStore(
    TaskCalls,
    TableCalls,
    AccessCalls,
    MoneyCalls,
    ReadCalls,
    RetentionCalls,
    LearnedCalls,
    StateCalls,
    SealedCalls,
):
    """The record in one file, written by one thread of one process."""

    _triggers_there = audit_triggers.THERE_SQLITE

    def __init__(self, path: Path, clock: Clock, meter: CommitMeter) -> None:
        self._path, self._clock, self._meter = path, clock, meter
        self._writer: Writer | None = None
        self._readers: Readers | None = None

    async def open(self) -> None:
        """Check or make the schema, start writing.

        Raises:
            StoreUnusableError: corrupt, of a newer program, or not ours.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, _prepare, self._path)
        self._writer = Writer(self._path, self._clock, self._meter, loop)
        self._writer.begin()
        self._readers = Readers(self._path)

    async def close(self) -> None:
        """Write what waits, then let go."""
        if self._readers is not None:
            readers, self._readers = self._readers, None
            await asyncio.get_running_loop().run_in_executor(None, readers.close)
        if self._writer is not None:
            await self._writer.close()

    async def ping(self) -> None:
        """Prove that a write transaction commits.

        Raises:
            StoreUnavailableError: it does not.
        """
        await self._write(touch)

    def connections(self) -> int:
        """Open connections: the writer's and the readers'."""
        writes = self._writer is not None and self._writer.is_connected
        return int(writes) + (len(self._readers) if self._readers is not None else 0)

    async def _merge(self, kind: str, payload: Any) -> Any:
        if self._writer is None:
            raise StoreUnavailableError("it is not open.")
        return await self._writer.put(kind, payload)

    async def _write(self, move: Callable[[Transaction], T], *, is_loose: bool = False) -> T:
        return await self._merge("move", move)

    async def _read(self, query: Callable[[Reader], T], *, is_snapshot: bool = False, may_lag: bool = False) -> T:
        if self._readers is None:
            raise StoreUnavailableError("it is not open.")
        return await self._readers.read(query)


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch a file's journal. Where others do the same at that moment SQLite does not wait, so ask again."""
    until_s = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until_s:
                raise
            time.sleep(0.01)
        else:
            return


def _prepare(path: Path) -> None:
    """Make the file usable, or say why it is not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            revision = schema.revision_of(connection, path)
            _use_wal(connection)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            if schema.needs_upgrade(revision):
                schema.upgrade(schema.sqlite_url(path))
            planner.teach(connection)
    except (sqlite3.Error, OSError) as error:
        raise StoreUnusableError(_advice(path, error)) from error


def _advice(path: Path, error: sqlite3.Error | OSError) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return f"{path} is damaged or not a database ({error}); restore a backup or move the file away."
    if code == sqlite3.SQLITE_BUSY:
        return f"{path} is locked by another process; stop that process, then start again."
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM) or isinstance(error, OSError):
        return f"{path} cannot be written ({error}); give this user the right to write the file and its folder."
    reason = outage(error)
    return f"{path} cannot be used: {reason or error}"
