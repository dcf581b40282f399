"""A database that takes an embedded installation in: page by page, each with a note of how far it is.

The note is written in the transaction of the page, so a move that was killed goes on where it stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from asyncmy.errors import MySQLError

from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.stores import statements
from llm_scheduler.stores.mysql import migrating, text
from llm_scheduler.stores.mysql.address import parse
from llm_scheduler.stores.mysql.faults import OversizeError, code_of
from llm_scheduler.stores.mysql.server import Server
from llm_scheduler.stores.mysql.store import MysqlStore
from llm_scheduler.stores.rowsum import RowSum
from llm_scheduler.stores.sqlite.leaving import COPIED, columns_of, key_of
from llm_scheduler.stores.tables import METADATA

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.meter import CommitMeter
    from llm_scheduler.stores.mysql.connection import Connection

NOTES: Final = "llms_move"
MAKE_NOTES: Final = (
    "CREATE TABLE IF NOT EXISTS llms_move (name VARCHAR(64) NOT NULL PRIMARY KEY, source VARCHAR(64) NOT NULL, "
    "last_key LONGTEXT, row_count BIGINT NOT NULL) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
)
PAGE: Final = 1_000
LARGEST_PAGE: Final = 4 * 2**20


class Note(NamedTuple):
    """How far a table is."""

    last_key: list[Any] | None
    rows: int


class Looked(NamedTuple):
    """A database that was looked at and not changed."""

    is_begun: bool
    """The half of this very move is there."""
    occupied: tuple[str, ...]
    """Tables with rows that are in the way."""


class Target:
    """The open database. Errors of the server come as `StoreUnusableError` with advice."""

    def __init__(self, url: str, clock: Clock, meter: CommitMeter) -> None:
        """Connect to nothing yet.

        Raises:
            StoreUnusableError: the URL is wrong.
        """
        self._url, self._clock, self._meter = url, clock, meter
        self._server = Server(parse(url))
        self._connection: Connection | None = None

    async def enter(self) -> None:
        """Connect, and bring the schema to this program's revision.

        Raises:
            StoreUnusableError: no way in, or another program's database.
        """
        self._connection = await migrating.prepare(self._server)

    async def look(self, source: str) -> Looked:
        """Whether a move could begin; changes nothing.

        Raises:
            StoreUnusableError: no way in, another program's, a newer schema, or another move's half.
        """
        self._connection = await migrating.enter(self._server)
        try:
            revision = await migrating.revision_of(self._connection, self._server.address)
            if revision is None:
                return Looked(False, ())
            is_begun = await self._is_begun(source)
            return Looked(is_begun, () if is_begun else tuple(await self.occupied()))
        finally:
            await self.close()

    async def close(self) -> None:
        """Let go."""
        if self._connection is not None:
            await self._connection.close()

    async def begin(self, source: str) -> bool:
        """Claim an empty database, or take up the move of the same source; whether it was begun before.

        Raises:
            StoreUnusableError: it holds something else.
        """
        if await self._is_begun(source):
            return True
        occupied = await self.occupied()
        if occupied:
            raise StoreUnusableError(
                f"{self._server.address}: the database is not empty ({', '.join(occupied[:5])} have rows). "
                "Give an empty one; if this move was finished before, there is nothing left to do."
            )
        await self._run(MAKE_NOTES)
        await self._run("BEGIN")
        await self._run("DELETE FROM tenants")
        await self._note("", source, Note(None, 0))
        await self._run("COMMIT")
        return False

    async def _is_begun(self, source: str) -> bool:
        if NOTES not in await migrating.table_names(self._open):
            return False
        rows = (await self._run("SELECT source FROM llms_move WHERE name = ''")).rows
        if not rows:  # it was killed before it claimed the database
            return False
        if rows[0][0] != source:
            raise StoreUnusableError(
                f"{self._server.address} holds the half of another move, or a server has used the data folder since. "
                "Empty the database (DROP DATABASE, CREATE DATABASE), then move again."
            )
        return True

    async def occupied(self) -> list[str]:
        """Tables with rows that a fresh database does not have."""
        found: list[str] = []
        names = await migrating.table_names(self._open)
        for table in [one for one in COPIED if one in names]:
            where = " WHERE id <> 1" if table == "tenants" else ""
            if (await self._run(f"SELECT 1 FROM {table}{where} LIMIT 1")).rows:  # noqa: S608 - our names
                found.append(table)
        return found

    async def make_ranges(self, up_to: int) -> None:
        """Cut the large tables for the ids that are to come."""
        store = MysqlStore(self._url, self._clock, self._meter, pool=2)
        await store.open()
        try:
            await store.make_ranges(up_to)
        finally:
            await store.close()

    async def note(self, table: str) -> Note:
        """How far a table is."""
        query = text.filled("SELECT last_key, row_count FROM llms_move WHERE name = ?", (table,))
        rows = (await self._run(query)).rows
        return Note(orjson.loads(rows[0][0]), rows[0][1]) if rows else Note(None, 0)

    async def write(self, table: str, rows: Sequence[tuple[Any, ...]], source: str, before: Note) -> Note:
        """Insert rows and note the last one, both or neither.

        Raises:
            StoreUnusableError: a row does not fit; says which.
        """
        columns = columns_of(table)
        places = [columns.index(name) for name in key_of(table)]
        after = Note([rows[-1][place] for place in places], before.rows + len(rows))
        try:
            await self._run("BEGIN")
            await self._run(statements.insert_head(table, columns) + ",".join(text.row(row) for row in rows))
            await self._note(table, source, after)
            await self._run("COMMIT")
        except (OversizeError, StoreUnusableError) as error:
            await self._run("ROLLBACK")
            if len(rows) > 1:  # find the one that is to blame; those before it are kept
                for row in rows:
                    before = await self.write(table, [row], source, before)
                return before
            raise StoreUnusableError(f"{table} {[rows[0][place] for place in places]}: {error}") from error
        return after

    async def _note(self, table: str, source: str, note: Note) -> None:
        values = (table, source, orjson.dumps(note.last_key).decode(), note.rows)
        await self._run(
            text.filled("REPLACE INTO llms_move (name, source, last_key, row_count) VALUES (?, ?, ?, ?)", values)
        )

    async def reserve(self, next_ids: dict[str, int]) -> None:
        """No id that is in use is given out again."""
        for name, next_id in next_ids.items():
            await self._run(
                text.filled(
                    "INSERT INTO id_blocks (name, next_id) VALUES (?, ?) "
                    "ON DUPLICATE KEY UPDATE next_id = GREATEST(next_id, VALUES(next_id))",
                    (name, next_id),
                )
            )

    async def sum_of(self, table: str) -> RowSum:
        """Count and sum of what is there, read anew."""
        found = RowSum()
        async for rows in self._pages(table):
            found.add(rows)
        return found

    async def _pages(self, table: str) -> AsyncIterator[Sequence[tuple[Any, ...]]]:
        """All rows, as many at once as memory should hold."""
        key, columns = key_of(table), ", ".join(f"`{name}`" for name in columns_of(table))
        order = ", ".join(f"`{name}`" for name in key)
        long = [column.name for column in METADATA.tables[table].columns if column.type.python_type is str]
        size = " + ".join(["0", *(f"COALESCE(LENGTH(`{name}`), 0)" for name in long)])
        last: Sequence[Any] | None = None
        while True:
            beyond = "TRUE" if last is None else _compared(key, ">", last)
            ahead = await self._run(
                f"SELECT {order}, {size} FROM {table} WHERE {beyond} ORDER BY {order} LIMIT {PAGE}"  # noqa: S608 - ours
            )
            if not ahead.rows:
                return
            for end in _ends(ahead.rows):
                within = f"{'TRUE' if last is None else _compared(key, '>', last)} AND {_compared(key, '<=', end)}"
                yield (await self._run(f"SELECT {columns} FROM {table} WHERE {within}")).rows  # noqa: S608 - ours
                last = end

    async def finish(self) -> None:
        """The move is done: its notes go."""
        await self._run("DROP TABLE llms_move")

    @property
    def _open(self) -> Connection:
        if self._connection is None:
            raise StoreUnusableError("the database is not open.")
        return self._connection

    async def _run(self, statement: str) -> Any:
        try:
            return await self._open.execute(statement)
        except (MySQLError, OSError, TimeoutError) as error:
            if 1000 <= code_of(error) < 2000:
                raise StoreUnusableError(f"{error.args[-1]} (error {code_of(error)})") from error
            raise StoreUnusableError(migrating.advice(self._server.address, error)) from error


def _ends(rows: Sequence[tuple[Any, ...]]) -> list[Sequence[Any]]:
    """The keys at which pages end, out of keys with sizes."""
    ends: list[Sequence[Any]] = []
    size = 0
    for place, row in enumerate(rows):
        size += row[-1]
        if size > LARGEST_PAGE or place == len(rows) - 1:
            ends.append(row[:-1])
            size = 0
    return ends


def _compared(key: Sequence[str], sign: str, values: Sequence[Any]) -> str:
    """`key sign values` by its columns one after the other: MySQL finds no range in a comparison of rows."""
    arms: list[str] = []
    for place, name in enumerate(key):
        is_last = place == len(key) - 1
        equal = [f"`{key[one]}` = {text.literal(values[one])}" for one in range(place)]
        arms.append(" AND ".join([*equal, f"`{name}` {sign if is_last else sign[0]} {text.literal(values[place])}"]))
    return f"({' OR '.join(f'({arm})' for arm in arms)})"
