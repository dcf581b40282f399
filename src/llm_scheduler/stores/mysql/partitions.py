"""Ranges of a million tasks as partitions: made ahead of need, dropped as one when they are over.

The tables of a task's life (`TABLES`) are cut at the same ids. A partition of `tasks` is dropped under
a lock on that table and only if nothing in it moved since it was looked through; the others follow, for
whoever finds rows of tasks that are gone has nothing to lose. A drop that was cut off between is finished
by the next `make_ranges`.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog
from asyncmy.errors import MySQLError

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.ids import Millis
from llm_scheduler.ports.retention import IdRange, Over
from llm_scheduler.stores import statements
from llm_scheduler.stores.mysql import text
from llm_scheduler.stores.mysql.faults import code_of, outage
from llm_scheduler.stores.portable.store_retention import EVERY_ID, RetentionCalls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from llm_scheduler.stores.mysql.connection import Connection
    from llm_scheduler.stores.mysql.server import Server
    from llm_scheduler.stores.portable.access import Reader

TABLES: Final = ("tasks", "task_metadata", "results", "attempts", "task_logs")
BESIDE: Final = ("task_deadlines", "task_cache", "fading_payloads")
"""Tables of a task's life that are not cut: their rows go a slice at a time."""
SIZE: Final = 1_000_000
AHEAD: Final = 2
"""Whole ranges that stand ready beyond the ids in use."""
MOST_CUT: Final = 200
"""Ranges that are made at once, when the ids have jumped."""
MOST_REST: Final = 50_000
"""Cutting the last partition copies its rows, and nobody writes meanwhile: only up to so many of them."""
SLICE: Final = 1_000
LOCK_WAIT_S: Final = 1
"""While an ALTER waits for its lock everyone waits behind it: a long report must not stop the queue."""
TRIES: Final = 12
PAUSE_S: Final = 5.0
REST_S: Final = 0.01
SKEW_MS: Final = 60_000
"""Clocks of processes differ by less."""
LOCK_WAIT_TIMEOUT: Final = 1205

PARTS: Final = (
    "SELECT table_name, partition_name, partition_description FROM information_schema.partitions "
    "WHERE table_schema = DATABASE() AND partition_name IS NOT NULL AND table_name IN "
    "('tasks', 'task_metadata', 'results', 'attempts', 'task_logs') ORDER BY table_name, partition_ordinal_position"
)
NEXT_ID: Final = "SELECT next_id FROM id_blocks WHERE name = 'tasks'"

_log = structlog.get_logger(__name__)


class _Part(NamedTuple):
    """A partition; `past` None: the last one, without an end."""

    name: str
    past: int | None


class PartitionCalls(RetentionCalls):
    """Taking finished tasks out, where they lie in ranges; see the port for what each call promises."""

    _server: Server

    async def id_ranges(self) -> list[IdRange]:
        """The partitions that have, or may have, tasks."""
        return await self._read(_ranges)

    async def make_ranges(self, up_to: int = 0) -> int:
        """Cut ranges off the last partition, ahead of the ids in use (and of `up_to`); finish drops."""
        parts, next_id = await self._read(_layout)
        wanted = _wanted(parts, max(next_id, up_to))
        orphans = _orphans(parts)
        if not (any(wanted.values()) or orphans):
            return 0
        async with self._alter() as connection:
            for table, name in orphans:
                await _drop_orphan(connection, table, name)
            for table, pasts in wanted.items():
                if pasts:
                    await _cut(connection, table, pasts)
        return max(len(pasts) for pasts in wanted.values())

    async def over(self, within: IdRange, before: Millis) -> Over | None:
        """Look at every task of the range; takes about a second, and no lock."""
        seen_at = self._clock.now()
        name = _name(within.past)
        where = f"FROM tasks PARTITION ({name}) WHERE"
        unfinished = f"SELECT id {where} status IN {statements.UNFINISHED} LIMIT 1"
        young = f"SELECT id {where} completed_at IS NULL OR completed_at >= {before:d} LIMIT 1"
        for question in (unfinished, young):
            if await self._read(lambda reader, asked=question: reader.value(asked)) is not None:
                return None
        return Over(seen_at, await self._read(lambda reader: reader.value(f"SELECT COUNT(*) {where} TRUE")))

    async def drop_range(self, within: IdRange, seen_at: Millis) -> bool:
        """Drop the partitions; the one of `tasks` only while its tasks are as they were seen."""
        name = _name(within.past)
        async with self._alter() as connection:
            if not await _again(lambda: _drop_tasks(connection, name, Millis(seen_at - SKEW_MS))):
                return False
            parts = _layout_of((await connection.execute(PARTS)).rows)
            for table in TABLES[1:]:
                if any(part.name == name for part in parts[table]):
                    await _again(lambda table=table: connection.execute(_drop(table, name)))
            for table in BESIDE:
                await _drop_beside(connection, table, within)
        return True

    @asynccontextmanager
    async def _alter(self) -> AsyncIterator[Connection]:
        """A connection of its own, whose statements give up soon when others are in the way.

        Raises:
            StoreUnavailableError: the server is away, or refuses.
        """
        try:
            connection = await self._server.connect()
            try:
                await connection.execute(f"SET SESSION lock_wait_timeout = {LOCK_WAIT_S}")
                yield connection
            finally:
                await connection.close()
        except (MySQLError, OSError, TimeoutError) as error:
            raise outage(error) from error


def _name(past: int) -> str:
    return f"p{past:d}"


def _drop(table: str, name: str) -> str:
    return f"ALTER TABLE {table} DROP PARTITION {name}"


def _layout(reader: Reader) -> tuple[dict[str, list[_Part]], int]:
    """The partitions of each table, in order, and the next id of a task."""
    rows = reader.rows(("table_name", "partition_name", "partition_description"), PARTS)
    return _layout_of(rows), reader.value(NEXT_ID)


def _layout_of(rows: Any) -> dict[str, list[_Part]]:
    parts: dict[str, list[_Part]] = {table: [] for table in TABLES}
    for table, name, past in rows:
        parts[table].append(_Part(name, int(past) if str(past).isdigit() else None))
    return parts


def _ranges(reader: Reader) -> list[IdRange]:
    parts, next_id = _layout(reader)
    found: list[IdRange] = []
    first = 0
    for name, past in parts["tasks"]:
        if first < next_id:
            newest = f"SELECT created_at FROM tasks PARTITION ({name}) ORDER BY id DESC LIMIT 1"  # noqa: S608 - ours
            newest_at = Millis(reader.value(newest) or 0)
            is_ours = past is not None and name == _name(past)
            found.append(
                IdRange(first, past or EVERY_ID.past, newest_at, is_droppable=is_ours and (past or 0) <= next_id)
            )
        first = past or first
    return found or [EVERY_ID]


def _wanted(parts: dict[str, list[_Part]], next_id: int) -> dict[str, list[int]]:
    """Ends of the ranges that are to be cut off each table's last partition.

    Two at a time, when less than one is left ahead.
    """
    wanted: dict[str, list[int]] = {}
    for table, found in parts.items():
        if not found or found[-1].past is not None:
            continue  # not cut at all, or by somebody else's hand
        last = max((part.past or 0 for part in found), default=0)
        enough = last - next_id >= SIZE
        end = next_id // SIZE + AHEAD
        begin = max(last // SIZE + 1, end - MOST_CUT)
        wanted[table] = [] if enough else [number * SIZE for number in range(begin, end + 1)]
    return wanted


def _orphans(parts: dict[str, list[_Part]]) -> list[tuple[str, str]]:
    """Partitions whose tasks were dropped."""
    kept = {part.name for part in parts["tasks"]}
    lowest = min((part.past for part in parts["tasks"] if part.past is not None), default=0)
    return [
        (table, part.name)
        for table in TABLES[1:]
        for part in parts[table]
        if part.past is not None and part.name not in kept and part.past < lowest
    ]


async def _drop_orphan(connection: Connection, table: str, name: str) -> None:
    past = name.removeprefix("p")
    # A process that kept a block of ids for long may have put a task there after the drop.
    if not (await connection.execute(f"SELECT 1 FROM tasks WHERE id < {past} LIMIT 1")).rows:  # noqa: S608 - a number
        await _again(lambda: connection.execute(_drop(table, name)))


async def _cut(connection: Connection, table: str, pasts: list[int]) -> None:
    rest = await connection.execute(
        f"SELECT COUNT(*) FROM (SELECT 1 FROM {table} PARTITION (pmax) LIMIT {MOST_REST + 1}) rest"  # noqa: S608 - ours
    )
    if rest.rows[0][0] > MOST_REST:
        _log.warning("range_not_made", table=table, reason="the last partition has many rows already")
        return
    ranges = ", ".join(f"PARTITION {_name(past)} VALUES LESS THAN ({past:d})" for past in pasts)
    await _again(
        lambda: connection.execute(
            f"ALTER TABLE {table} REORGANIZE PARTITION pmax INTO ({ranges}, PARTITION pmax VALUES LESS THAN MAXVALUE)"
        )
    )


async def _drop_tasks(connection: Connection, name: str, seen_at: Millis) -> bool:
    """Under the lock: a revived task is unfinished, or became eligible anew; both are told by an index."""
    moved = text.filled(
        f"SELECT 1 FROM tasks PARTITION ({name}) WHERE status IN {statements.UNFINISHED} "  # noqa: S608 - ours
        f"OR (status IN {statements.TERMINAL} AND eligible_at >= ?) LIMIT 1",
        (seen_at,),
    )
    await connection.execute("LOCK TABLES tasks WRITE")
    try:
        is_moved = bool((await connection.execute(moved)).rows)
        if not is_moved:
            await connection.execute(_drop("tasks", name))
    except MySQLError:  # not a cancel: its connection is gone, and what the end of it raised would hide it
        await connection.execute("UNLOCK TABLES")
        raise
    await connection.execute("UNLOCK TABLES")
    return not is_moved


async def _drop_beside(connection: Connection, table: str, within: IdRange) -> None:
    statement = (
        f"DELETE FROM {table} WHERE task_id >= {within.first:d} AND task_id < {within.past:d} "  # noqa: S608 - numbers
        f"AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = {table}.task_id) LIMIT {SLICE}"
    )
    gone = SLICE
    while gone:
        gone = (await connection.execute(statement)).matched
        await asyncio.sleep(REST_S)


async def _again(step: Any) -> Any:
    """Until it gets its lock, with pauses in which others get theirs.

    Raises:
        StoreUnavailableError: never within a minute.
    """
    for _ in range(TRIES - 1):
        try:
            return await step()
        except MySQLError as error:
            if code_of(error) != LOCK_WAIT_TIMEOUT:
                raise
            await asyncio.sleep(PAUSE_S)
    try:
        return await step()
    except MySQLError as error:
        if code_of(error) != LOCK_WAIT_TIMEOUT:
            raise
        raise StoreUnavailableError("a long query or transaction keeps a table from being altered.") from error
