"""A few connections that read."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from asyncmy.errors import MySQLError
from sqlalchemy.dialects import mysql
from sqlalchemy.util import await_, greenlet_spawn

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.stores.mysql import locking, text
from llm_scheduler.stores.mysql.connection import READ_LIMIT_S
from llm_scheduler.stores.mysql.faults import Fault, fault_of, outage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from sqlalchemy.sql.elements import CompilerElement

    from llm_scheduler.stores.mysql.connection import Connection
    from llm_scheduler.stores.mysql.server import Server
    from llm_scheduler.stores.portable.access import Reader, Row

PATIENCE_S: Final = 3.0
"""How long a query is tried again after its connection was lost."""
QUEUE_LIMIT_S: Final = 10.0
_DIALECT: Final = mysql.dialect(paramstyle="qmark")

T = TypeVar("T")


class MysqlReader:
    """One connection, inside a greenlet."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, columns: tuple[str, ...], query: str, params: Sequence[object] = ()) -> list[Row]:
        """All rows of a query whose columns have these names, in this order."""
        answer = await_(self._connection.execute(text.filled(locking.worded(query), params)))
        return cast("list[Row]", list(answer.rows))

    def value(self, query: str, params: Sequence[object] = ()) -> Any:
        """The first column of the first row, None without one."""
        found = self.rows((), query, params)
        return found[0][0] if found else None

    def select(self, columns: tuple[str, ...], query: CompilerElement) -> list[Row]:
        """All rows of an SQLAlchemy expression whose columns stand in this order."""
        compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        values: Any = compiled.params
        params = [values[name] for name in getattr(compiled, "positiontup", None) or ()]
        return self.rows(columns, str(compiled), params)


class Readers:
    """The pool: connections open when they are needed; the one used last is used next."""

    def __init__(self, server: Server, size: int) -> None:
        self._server, self._size = server, size
        self._idle: list[Connection] = []
        self._open = 0
        self._turns = asyncio.Semaphore(size)
        self._is_closed = False
        self._is_down = False

    def __len__(self) -> int:
        """Open connections."""
        return self._open

    async def read(
        self,
        query: Callable[[Reader], T],
        *,
        is_snapshot: bool = False,
        unless: Callable[[Connection], Awaitable[bool]] | None = None,
    ) -> T | None:
        """Run a query; None if `unless` is true of the connection.

        Raises:
            StoreUnavailableError: the server does not answer, or it took longer than the limit.
        """

        async def asked(connection: Connection) -> T | None:
            if unless is not None and await unless(connection):
                return None
            if not is_snapshot:
                return await greenlet_spawn(query, MysqlReader(connection))
            await connection.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            try:
                answer = await greenlet_spawn(query, MysqlReader(connection))
            except MySQLError:  # not a cancel: its connection is gone, and what the end of it raised would hide it
                await connection.execute("COMMIT")
                raise
            await connection.execute("COMMIT")
            return answer

        return await self.use(asked)

    async def use(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run something that may be done twice; on another connection if the first is lost.

        Raises:
            StoreUnavailableError: as `read`.
        """
        give_up_at_s = time.monotonic() + (0 if self._is_down else PATIENCE_S)
        while True:
            try:
                async with self._turn(), self._connected() as connection, self._server.watched(READ_LIMIT_S + 2):
                    answer = await work(connection)
            except (MySQLError, OSError, TimeoutError) as error:
                fault = fault_of(error)
                if fault is Fault.DATA or fault is Fault.TAKEN:
                    raise
                self._is_down = fault is Fault.LOST
                if fault is Fault.OUTAGE or isinstance(error, TimeoutError) or time.monotonic() >= give_up_at_s:
                    raise outage(error) from error
                await self._drop_idle()
                await asyncio.sleep(random.uniform(0.02, 0.1))  # noqa: S311 - jitter
            else:
                self._is_down = False
                return answer

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(QUEUE_LIMIT_S):
                await self._turns.acquire()
        except TimeoutError as error:
            raise StoreUnavailableError(f"all {self._size} connections for reading are busy.") from error
        try:
            yield
        finally:
            self._turns.release()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        if self._is_closed:
            raise StoreUnavailableError("it is closed.")
        connection = self._idle.pop() if self._idle else await self._opened()
        is_sound = False
        try:
            yield connection
            is_sound = True
        except MySQLError as error:
            is_sound = fault_of(error) is not Fault.LOST
            raise
        finally:
            if is_sound and not self._is_closed:
                self._idle.append(connection)
            else:
                self._open -= 1
                connection.drop()

    async def _opened(self) -> Connection:
        self._open += 1
        try:
            return await self._server.connect(is_reader=True)
        except BaseException:
            self._open -= 1
            raise

    async def _drop_idle(self) -> None:
        """After one was lost the others are likely to be."""
        idle, self._idle = self._idle, []
        self._open -= len(idle)
        for connection in idle:
            connection.drop()

    async def close(self) -> None:
        """Wait for what runs, then close every connection."""
        self._is_closed = True
        for _ in range(self._size):
            await self._turns.acquire()
        idle, self._idle = self._idle, []
        self._open -= len(idle)
        for connection in idle:
            await connection.close()
        for _ in range(self._size):
            self._turns.release()
