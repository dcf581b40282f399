"""What runs inside one transaction of the writer thread.

sqlite3 gives up the interpreter's lock at every step, and getting it back from a busy event loop can
take milliseconds. So rows come packed: as one row that holds a JSON array of all of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from llm_scheduler.stores import statements

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from llm_scheduler.domain.ids import Millis
    from llm_scheduler.stores.sqlite.blocks import IdBlocks

Row = list[Any]
_NO_PARAMS: Final[tuple[object, ...]] = ()


@lru_cache(maxsize=1024)
def packed(columns: tuple[str, ...], query: str) -> str:
    """The query as one row with one value. An ORDER BY inside needs a LIMIT to be kept."""
    inside = f"json_array({', '.join(f'`{name}`' for name in columns)})"
    return f"SELECT CAST(json_group_array({inside}) AS BLOB) FROM ({query})"  # noqa: S608 - text of our own


def fetch_packed(
    connection: sqlite3.Connection, columns: tuple[str, ...], query: str, params: Sequence[object] = _NO_PARAMS
) -> list[Row]:
    """All rows of a query whose columns have these names."""
    return orjson.loads(connection.execute(packed(columns, query), params).fetchone()[0])


class Transaction:
    """Statements of one group commit. `now` is the time of everything in it."""

    __slots__ = ("_connection", "_ids", "now")

    def __init__(self, connection: sqlite3.Connection, ids: IdBlocks, now: Millis) -> None:
        self._connection, self._ids, self.now = connection, ids, now

    def run(self, statement: str, params: Sequence[object] = _NO_PARAMS) -> int:
        """Execute; how many rows changed."""
        return self._connection.execute(statement, params).rowcount

    def do(self, statement: str, params: Sequence[object] = _NO_PARAMS) -> None:
        """Execute."""
        self._connection.execute(statement, params)

    def value(self, query: str, params: Sequence[object] = _NO_PARAMS) -> Any:
        """The first column of the first row, None without one."""
        row = self._connection.execute(query, params).fetchone()
        return None if row is None else row[0]

    def rows(self, columns: tuple[str, ...], query: str, params: Sequence[object] = _NO_PARAMS) -> list[Row]:
        """All rows."""
        return fetch_packed(self._connection, columns, query, params)

    def rows_in(
        self,
        columns: tuple[str, ...],
        template: str,
        ids: Sequence[int],
        before: Sequence[object] = _NO_PARAMS,
        after: Sequence[object] = _NO_PARAMS,
    ) -> list[Row]:
        """All rows of a template with `{ids}`, in no order."""
        found: list[Row] = []
        for part in statements.padded(ids, statements.LIST_SIZES):
            found += self.rows(columns, statements.with_ids(template, len(part)), (*before, *part, *after))
        return found

    def do_in(
        self,
        template: str,
        ids: Sequence[int],
        before: Sequence[object] = _NO_PARAMS,
        after: Sequence[object] = _NO_PARAMS,
    ) -> None:
        """Execute a template with `{ids}`."""
        for part in statements.padded(ids, statements.LIST_SIZES):
            self.do(statements.with_ids(template, len(part)), (*before, *part, *after))

    def do_cases(
        self,
        template: str,
        values: Mapping[int, tuple[object, ...]],
        before: Sequence[object],
        after: Sequence[object] = _NO_PARAMS,
    ) -> None:
        """Execute a template with as many `{cases}` as each id has values, then `{ids}`."""
        for part in statements.padded(tuple(values), statements.CASE_SIZES):
            params = [*before]
            for arm in range(len(values[part[0]])):
                for task_id in part:
                    params += (task_id, values[task_id][arm])
            self.do(statements.with_ids(template, len(part)), (*params, *part, *after))

    def insert(self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[object]]) -> None:
        """Insert rows, in their order."""
        for part in _cut(rows):
            self.do(statements.insert(table, columns, len(part)), _flat(part))

    def upsert(
        self,
        table: str,
        columns: tuple[str, ...],
        changed: tuple[str, ...],
        rows: Sequence[Sequence[object]],
        added: tuple[str, ...] = (),
    ) -> None:
        """Insert rows; where the key is there already write `changed`, and add `added` to what is there."""
        for part in _cut(rows):
            self.do(statements.upsert(table, columns, changed, len(part), "sqlite", added), _flat(part))

    def add_up(self, statement: str, amounts: tuple[int, ...], key: int) -> None:
        """Add to the counters of one row."""
        self.do(statement, (*amounts, key))

    def guard(self, name: str, *, is_exclusive: bool = False) -> None:
        """The write lock holds everything already."""

    def new_ids(self, name: str, count: int) -> Iterable[int]:
        """So many unused ids, ascending."""
        return self._ids.take(self._connection, name, count)

    def new_id(self, name: str) -> int:
        """An unused id."""
        return next(iter(self.new_ids(name, 1)))


def _cut(rows: Sequence[Sequence[object]]) -> Iterable[Sequence[Sequence[object]]]:
    first = 0
    for size in statements.INSERT_SIZES:
        while len(rows) - first >= size:
            yield rows[first : first + size]
            first += size


def _flat(rows: Sequence[Sequence[object]]) -> list[object]:
    flat: list[object] = []
    for row in rows:
        flat += row
    return flat
