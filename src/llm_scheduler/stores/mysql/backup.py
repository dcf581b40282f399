"""`llms db backup` and `restore`: all rows in one compressed file, seen at one moment.

The file is gzip of JSON lines: a head with format and revision, for each table a line with its columns
and one line per row, and a foot with the counts. It is written and read in a stream.
"""

from __future__ import annotations

import asyncio
import gzip
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING, Any, Final

import orjson
from asyncmy.errors import MySQLError

from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.stores import schema, statements
from llm_scheduler.stores.mysql import migrating, text
from llm_scheduler.stores.mysql.server import Server
from llm_scheduler.stores.tables import METADATA

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from llm_scheduler.stores.mysql.address import Address
    from llm_scheduler.stores.mysql.connection import Connection

FORMAT: Final = "llm-scheduler-backup-1"
SLICE: Final = 2_000
LARGEST_INSERT: Final = 2 * 2**20
"""Characters."""
LEVEL: Final = 3
"""Of gzip: a fifth of the size at a third of the time that the best one takes."""

Tell = dict[str, int]


def backup(address: Address, target: Path) -> Tell:
    """Write everything into a new file while others may write to the database; rows by table.

    Blocks; not for a thread that runs an event loop. The file is read back and counted.

    Raises:
        StoreUnusableError: the target exists or cannot be written, no way in, or the copy is not whole.
    """
    if target.exists():
        raise StoreUnusableError(f"{target} exists already; choose a name that is free.")
    try:
        counts = _explained(address, _dumped, target)
        found = _checked(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    if found != counts:
        target.unlink(missing_ok=True)
        raise StoreUnusableError(f"The copy {target} was not whole and is removed; is the disk sound?")
    return counts


def restore(address: Address, source: Path) -> Tell:
    """Fill an empty database from a file that `backup` wrote, then upgrade it; rows by table.

    Raises:
        StoreUnusableError: the database is not empty, or the file is cut off, damaged or newer.
    """
    revision = _head(source)["revision"]
    if revision not in schema.REVISIONS:
        raise StoreUnusableError(f"{source} is of revision {revision}, this program knows {schema.HEAD}.")
    _checked(source)
    _explained(address, _refuse_unless_empty, source)
    migrating.upgrade(address, revision)
    counts = _explained(address, _loaded, source)
    migrating.upgrade(address)
    return counts


def _explained(address: Address, work: Callable[[Address, Path], Any], path: Path) -> Any:
    try:
        return asyncio.run(work(address, path))
    except (MySQLError, TimeoutError, EOFError) as error:
        raise StoreUnusableError(migrating.advice(address, error)) from error
    except OSError as error:
        raise StoreUnusableError(f"{path}: {error.strerror or error}.") from error


@asynccontextmanager
async def _session(address: Address) -> AsyncIterator[Connection]:
    connection = await migrating.enter(Server(address))
    try:
        yield connection
    finally:
        await connection.close()


async def _dumped(address: Address, target: Path) -> Tell:
    counts: Tell = {}
    async with _session(address) as connection:
        revision = await migrating.revision_of(connection, address)
        if revision is None:
            raise StoreUnusableError(f"{address} is empty; there is nothing to copy.")
        await connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await connection.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        with gzip.open(target, "xb", compresslevel=LEVEL) as file:
            _write(file, {"format": FORMAT, "revision": revision})
            for name in sorted(METADATA.tables):
                columns = await _columns(connection, name)
                _write(file, {"table": name, "columns": columns})
                counts[name] = 0
                query = f"SELECT {', '.join(f'`{one}`' for one in columns)} FROM `{name}`"  # noqa: S608 - ours
                async for rows in connection.stream(query, SLICE):
                    file.write(b"".join(orjson.dumps(row) + b"\n" for row in rows))
                    counts[name] += len(rows)
            _write(file, {"rows": counts})
        await connection.execute("COMMIT")
    return counts


async def _columns(connection: Connection, table: str) -> list[str]:
    found = await connection.execute(f"SHOW COLUMNS FROM `{table}`")
    return [row[0] for row in found.rows]


def _write(file: IO[bytes] | gzip.GzipFile, line: object) -> None:
    file.write(orjson.dumps(line) + b"\n")


def _lines(source: Path) -> Iterator[Any]:
    try:
        with gzip.open(source, "rb") as file:
            for line in file:
                yield orjson.loads(line)
    except (OSError, EOFError, orjson.JSONDecodeError) as error:
        raise StoreUnusableError(f"{source} cannot be read, or is cut off: {error}") from error


def _head(source: Path) -> dict[str, Any]:
    head = next(_lines(source), None)
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise StoreUnusableError(f"{source} is not a file that `llms db backup` wrote for MySQL.")
    return head


def _checked(source: Path) -> Tell:
    """Rows by table, counted and compared with the file's foot."""
    counts: Tell = {}
    name = ""
    told: object = None
    for line in _lines(source):
        if isinstance(line, list):
            counts[name] += 1
        elif "table" in line:
            name = line["table"]
            counts[name] = 0
        else:
            told = line.get("rows")
    if told != counts:
        raise StoreUnusableError(f"{source} is not whole: it ends before its foot, or rows are missing.")
    return counts


async def _refuse_unless_empty(address: Address, _: Path) -> None:
    async with _session(address) as connection:
        if names := await migrating.table_names(connection):
            raise StoreUnusableError(
                f"{address} is not empty (it holds: {', '.join(sorted(names)[:5])}); restore into a new database."
            )


async def _loaded(address: Address, source: Path) -> Tell:
    """After a failure the database must be made anew: what is there is not removed, and it is empty no more."""
    counts = _checked(source)
    async with _session(address) as connection:
        head, rows, length = "", list[str](), 0
        for line in _lines(source):
            if isinstance(line, list):
                one = text.row(line)
                rows.append(one)
                length += len(one)
            if rows and (not isinstance(line, list) or len(rows) == SLICE // 2 or length > LARGEST_INSERT):
                await connection.execute(head + ",".join(rows))
                rows, length = [], 0
            if isinstance(line, dict) and "table" in line:
                await connection.execute(f"DELETE FROM `{line['table']}`")  # noqa: S608 - checked by insert_head
                head = statements.insert_head(line["table"], tuple(line["columns"]))
        for name, count in counts.items():
            found = await connection.execute(f"SELECT COUNT(*) FROM `{name}`")  # noqa: S608 - as above
            if found.rows[0][0] != count:
                raise StoreUnusableError(f"{name} has {found.rows[0][0]} rows, the file {count}: restore it again.")
    return counts
