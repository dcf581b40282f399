"""A server as the store sees it: opens connections, notices when it does not answer, ends what a lost one left."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from asyncmy.errors import MySQLError

from llm_scheduler.stores.mysql.clock import DatabaseClock
from llm_scheduler.stores.mysql.connection import Connection, connect, measure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.stores.mysql.address import Address

SUSPICIOUS_AFTER_S: Final = 2.0
"""Whoever waits this long for an answer has the server called on another line."""


class Server:
    """One address."""

    def __init__(self, address: Address, clock: Clock | None = None) -> None:
        self.address = address
        self._clock = clock if isinstance(clock, DatabaseClock) else None
        self._call: asyncio.Task[bool] | None = None
        self.open_count = 0

    async def connect(self, *, is_reader: bool = False) -> Connection:
        """A session; a server's time is taken on the way.

        Raises:
            TimeoutError, MySQLError, OSError: no way in.
        """
        return await connect(self.address, is_reader=is_reader, clock=self._clock)

    async def keep_time(self, connection: Connection) -> None:
        """Anchor the clock, once a minute."""
        if self._clock is not None and self._clock.is_stale:
            await measure(connection, self._clock)

    @asynccontextmanager
    async def watched(self, limit_s: float) -> AsyncIterator[None]:
        """Nothing inside waits for an answer for ever.

        Raises:
            TimeoutError: the server does not answer on another line either, or the limit has passed.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(limit_s) as limit:
            looking: list[asyncio.Task[None]] = []

            async def look() -> None:
                is_alive = True
                while is_alive:
                    is_alive = await self.is_alive()
                    await asyncio.sleep(SUSPICIOUS_AFTER_S if is_alive else 0)
                limit.reschedule(loop.time())

            timer = loop.call_later(SUSPICIOUS_AFTER_S, lambda: looking.append(loop.create_task(look())))
            try:
                yield
            finally:
                timer.cancel()
                for task in looking:
                    task.cancel()

    async def is_alive(self) -> bool:
        """Whether it greets a new connection; all who ask at once share the call."""
        if self._call is None or self._call.done():
            self._call = asyncio.get_running_loop().create_task(self._greets())
        return await asyncio.shield(self._call)

    async def _greets(self) -> bool:
        try:
            connection = await self.connect()
        except MySQLError as error:
            # An answer, be it a refusal, is a sign of life; the driver's own numbers begin at 2000.
            return bool(error.args) and isinstance(error.args[0], int) and 1000 <= error.args[0] < 2000
        except (TimeoutError, OSError):
            return False
        await connection.close()
        return True

    async def end(self, ghost: Connection, connection: Connection) -> None:
        """Roll back what a lost connection may have left open, for it holds locks until the server misses it.

        The number of a connection may be another's after a restart; then nothing is open any more.
        """
        lived_s = time.monotonic() - ghost.opened_at_s
        try:
            uptime = await connection.execute("SHOW GLOBAL STATUS LIKE 'Uptime'")
            if int(uptime.rows[0][1]) + 1 >= lived_s:
                await connection.execute(f"KILL {ghost.thread_id}")
        except MySQLError as error:
            code = error.args[0] if error.args else 0
            if code not in (1094, 1095, 1227):  # no such thread, or not ours: it is gone, or a proxy hides it
                raise
