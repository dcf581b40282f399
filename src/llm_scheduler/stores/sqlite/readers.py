"""A few threads that read, each with a connection of its own that cannot write."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy.dialects import sqlite

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.stores.sqlite.connection import open_reader, outage
from llm_scheduler.stores.sqlite.transaction import Row, fetch_packed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sqlalchemy.sql.elements import CompilerElement

READERS: Final = 4
TIME_LIMIT_S: Final = 30.0
CHECK_EVERY_STEPS: Final = 200_000
"""Virtual-machine steps of SQLite between two looks at the time limit: about 10 ms."""
_DIALECT: Final = sqlite.dialect(paramstyle="qmark")

T = TypeVar("T")


class Reader:
    """One connection, inside one read transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, columns: tuple[str, ...], query: str, params: Sequence[object] = ()) -> list[Row]:
        """All rows of a query whose columns have these names."""
        return fetch_packed(self._connection, columns, query, params)

    def value(self, query: str, params: Sequence[object] = ()) -> Any:
        """The first column of the first row, None without one."""
        row = self._connection.execute(query, params).fetchone()
        return None if row is None else row[0]

    def select(self, columns: tuple[str, ...], query: CompilerElement) -> list[Row]:
        """All rows of an SQLAlchemy expression whose columns have these names."""
        compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        values: Any = compiled.params
        params = [values[name] for name in getattr(compiled, "positiontup", None) or ()]
        return self.rows(columns, str(compiled), params)


class Readers:
    """The pool."""

    def __init__(self, path: Path, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._path, self._time_limit_s = path, time_limit_s
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._mine = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Open connections."""
        return len(self._all)

    async def read(self, query: Callable[[Reader], T]) -> T:
        """Run in one read transaction: everything in it sees the same moment.

        Raises:
            StoreUnavailableError: the file cannot be read, or it took longer than the limit.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, query)
        except RuntimeError as error:
            if "shutdown" not in str(error):
                raise
            raise StoreUnavailableError("it is closed.") from error

    def _run(self, query: Callable[[Reader], T]) -> T:
        try:
            connection = self._connection()
            ends_at_s = time.monotonic() + self._time_limit_s
            connection.set_progress_handler(lambda: time.monotonic() > ends_at_s, CHECK_EVERY_STEPS)
            connection.execute("BEGIN")
            try:
                return query(Reader(connection))
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except (sqlite3.Error, OSError) as error:
            down = outage(error)
            if down is None:
                raise
            raise down from error

    def _connection(self) -> sqlite3.Connection:
        connection = getattr(self._mine, "connection", None)
        if connection is None:
            connection = open_reader(self._path)
            self._mine.connection = connection
            with self._lock:
                self._all.append(connection)
        return connection

    def close(self) -> None:
        """Wait for what runs, then close every connection."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for connection in self._all:
            connection.close()
        self._all.clear()
