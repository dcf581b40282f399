"""One connection: opened within a limit, with the session's settings, and let go without waiting for a dead peer."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncmy
from asyncmy.constants import CLIENT, FIELD_TYPE
from asyncmy.converters import conversions
from asyncmy.cursors import Cursor, SSCursor

from llm_scheduler.stores.mysql.faults import OversizeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from llm_scheduler.stores.mysql.address import Address
    from llm_scheduler.stores.mysql.clock import DatabaseClock

LOCK_WAIT_S: Final = 3
READ_LIMIT_S: Final = 30.0
"""The server stops a query then."""
_GOODBYE_S: Final = 0.5
_SQL_MODE: Final = "STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
_HEADER_BYTES: Final = 1024
SERVER_TIME: Final = "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)"


def _number(text: str) -> int | float:
    """DECIMAL: what SUM and AVG give."""
    return float(text) if "." in text else int(text)


_TYPES: Final = {
    **{key: convert for key, convert in conversions.items() if not isinstance(key, int)},
    **{
        key: convert
        for key, convert in conversions.items()
        # Dates stay text, as on SQLite.
        if isinstance(key, int) and key not in (FIELD_TYPE.DATE, FIELD_TYPE.NEWDATE)
    },
    FIELD_TYPE.DECIMAL: _number,
    FIELD_TYPE.NEWDECIMAL: _number,
}


class QuietCursor(Cursor):
    """Asks for no warnings: MySQL 8 warns of every `VALUES()` of an upsert, the only words that MariaDB knows."""

    async def _show_warnings(self, conn: object) -> None:
        """Nothing: the strict mode makes errors of those that matter."""


class Answer(NamedTuple):
    """What a statement gave."""

    rows: Sequence[tuple[Any, ...]]
    matched: int
    """Rows that an UPDATE or DELETE matched."""
    last_id: int


class Connection:
    """An open session. After an error of the line it is closed and good for nothing."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._cursor = QuietCursor(raw)
        # The driver forgets its transport when it closes, and only an abort ends one whose peer is silent.
        self._transport = raw._transport
        self.thread_id: int = raw.server_thread_id[0]
        self.is_mariadb = "MariaDB" in raw.server_version
        self.version: str = raw.server_version
        self.largest_packet = 2**24
        self.opened_at_s = time.monotonic()

    async def execute(self, statement: str) -> Answer:
        """Run one statement.

        Raises:
            UnicodeError, OversizeError: it was not sent.
            MySQLError, OSError: see `faults`.
        """
        return await self.send([self.encoded(statement)])

    def encoded(self, statement: str) -> bytes:
        """A statement as it may be sent.

        Raises:
            UnicodeError: half a character.
            OversizeError: the server would not take it.
        """
        text = statement.encode()
        if len(text) > self.largest_packet - _HEADER_BYTES:
            raise OversizeError(
                f"It is larger than the database takes ({len(text):,} bytes; max_allowed_packet is "
                f"{self.largest_packet:,})."
            )
        return text

    async def send(self, statements: Sequence[bytes]) -> Answer:
        """Run encoded statements in one round trip, up to the first that fails; what the last one gave.

        Raises:
            MySQLError, OSError: as `execute`.
        """
        cursor: Any = self._cursor
        await cursor.execute(b";".join(statements))
        while await cursor.nextset():
            pass
        return Answer(await cursor.fetchall(), cursor.rowcount, cursor.lastrowid)

    async def stream(self, query: str, size: int) -> AsyncIterator[Sequence[tuple[Any, ...]]]:
        """Rows in slices, as they come; nothing else may run until the last one is read."""
        cursor: Any = SSCursor(self._raw)
        await cursor.execute(query)
        while rows := await cursor.fetchmany(size):
            yield rows

    async def close(self) -> None:
        """Say goodbye, if the peer listens."""
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._raw.ensure_closed()
        except (TimeoutError, OSError, asyncmy.errors.MySQLError):
            pass
        finally:
            self.drop()

    def drop(self) -> None:
        """Let go at once."""
        self._raw.close()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None


_leaving: Final[set[asyncio.Future[Any]]] = set()
"""Connections that opened too late; kept until they are gone."""


async def connect(address: Address, *, is_reader: bool = False, clock: DatabaseClock | None = None) -> Connection:
    """A session with our settings; a reader sees one moment per transaction and stops long queries.

    Raises:
        TimeoutError: not within the address's limit, all included.
        MySQLError, OSError: refused.
    """
    opening = asyncio.ensure_future(_open(address, is_reader, clock))
    try:
        # Not asyncio.timeout: the driver waits with wait_for, which may swallow the cancel and then wait for ever.
        await asyncio.wait({opening}, timeout=address.connect_timeout_s)
    finally:
        if not opening.done():
            opening.cancel()
            _leaving.add(opening)
            opening.add_done_callback(_let_go)
    if not opening.done():
        raise TimeoutError(f"{address.host}:{address.port} does not answer within {address.connect_timeout_s:g} s")
    return opening.result()


def _let_go(opening: asyncio.Future[Connection]) -> None:
    _leaving.discard(opening)
    if not opening.cancelled() and opening.exception() is None:
        opening.result().drop()


async def _open(address: Address, is_reader: bool, clock: DatabaseClock | None) -> Connection:
    raw: Any = asyncmy.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password.encode(),  # pyright: ignore[reportArgumentType] - as text it would be Latin-1
        database=address.database,
        charset="utf8mb4",
        client_flag=CLIENT.FOUND_ROWS,
        connect_timeout=max(1, round(address.connect_timeout_s)),
        conv=_TYPES,
        autocommit=True,
        program_name="llm-scheduler",
        ssl=address.ssl_context(),
    )
    try:
        connection = Connection(await raw)
    except RuntimeError as error:  # the driver's word for a peer that hung up while it was greeted
        raise ConnectionError(str(error)) from error
    try:
        await _set_up(connection, is_reader, clock)
    except BaseException:
        connection.drop()
        raise
    return connection


async def _set_up(connection: Connection, is_reader: bool, clock: DatabaseClock | None) -> None:
    level = "REPEATABLE READ" if is_reader else "READ COMMITTED"
    settings = {
        "sql_mode": f"'{_SQL_MODE}'",
        "time_zone": "'+00:00'",
        "innodb_lock_wait_timeout": str(LOCK_WAIT_S),
        "lock_wait_timeout": "30",
    }
    if is_reader and connection.is_mariadb:
        settings["max_statement_time"] = f"{READ_LIMIT_S:g}"
    elif is_reader:
        settings["max_execution_time"] = f"{READ_LIMIT_S * 1000:.0f}"
    await connection.execute("SET NAMES utf8mb4 COLLATE utf8mb4_bin")
    await connection.execute("SET " + ", ".join(f"SESSION {name} = {value}" for name, value in settings.items()))
    await connection.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
    asked_at_s = time.monotonic()
    answer = await connection.execute(f"{SERVER_TIME}, @@max_allowed_packet")
    connection.largest_packet = answer.rows[0][1]
    if clock is not None:
        clock.anchor(answer.rows[0][0], asked_at_s, time.monotonic())


async def measure(connection: Connection, clock: DatabaseClock) -> None:
    """Anchor the clock anew."""
    asked_at_s = time.monotonic()
    answer = await connection.execute(SERVER_TIME)
    clock.anchor(answer.rows[0][0], asked_at_s, time.monotonic())
