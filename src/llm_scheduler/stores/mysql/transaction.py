"""What runs inside one transaction of a committer, in a greenlet over the driver."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy.util import await_

from llm_scheduler.stores import statements
from llm_scheduler.stores.mysql import locking, text
from llm_scheduler.stores.tables import METADATA

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from llm_scheduler.domain.ids import Millis
    from llm_scheduler.stores.mysql.connection import Answer, Connection
    from llm_scheduler.stores.portable.access import Row

    TakeIds = Callable[[str, int], Awaitable[Iterable[int]]]

LARGEST_STATEMENT: Final = 2 * 2**20
"""Characters of an INSERT; far below max_allowed_packet, which is 16 MB at least."""
MOST_ROWS: Final = 1_000
MOST_IDS: Final = 1_000
MOST_CASES: Final = 64
"""`CASE id WHEN` is searched from its first arm for each row: short lists are quicker."""
_WITH_OTHER_KEYS: Final = frozenset(
    name
    for name, table in METADATA.tables.items()
    if any(type(one).__name__ == "UniqueConstraint" for one in table.constraints)
)
"""`ON DUPLICATE KEY UPDATE` would take any unique key for the row that is meant."""


class Mark:
    """A row with an id of its own that this transaction inserted: where it is, the transaction was committed."""

    __slots__ = ("id", "table")

    def __init__(self, table: str, row_id: int) -> None:
        self.table, self.id = table, row_id


class MysqlTransaction:
    """Statements of one group commit. It begins with the first one that locks or writes.

    Statements that nobody asks the outcome of are sent with the next one that is asked, or with the
    commit: a round trip costs more than most of them. Loose: it never begins, so each statement commits
    by itself.
    """

    __slots__ = ("_adding", "_connection", "_is_loose", "_later", "_length", "_take_ids", "is_begun", "mark", "now")

    def __init__(self, connection: Connection, take_ids: TakeIds, now: Millis, *, is_loose: bool = False) -> None:
        self._connection, self._take_ids, self.now, self._is_loose = connection, take_ids, now, is_loose
        self._adding: dict[tuple[str, int], list[int]] = {}
        self._later: list[bytes] = []
        self._length = 0
        self.is_begun = False
        self.mark: Mark | None = None

    def run(self, statement: str, params: Sequence[object] = ()) -> int:
        """Execute; how many rows it matched."""
        self._begin()
        return self._told(text.filled(statement, params)).matched

    def do(self, statement: str, params: Sequence[object] = ()) -> None:
        """Execute; sent together with what follows."""
        self._put_off(text.filled(statement, params))

    def value(self, query: str, params: Sequence[object] = ()) -> Any:
        """The first column of the first row, None without one."""
        found = self._ask(text.filled(locking.worded(query), params))
        return found[0][0] if found else None

    def rows(self, columns: tuple[str, ...], query: str, params: Sequence[object] = ()) -> list[Row]:
        """All rows, locked if the query is one to judge by."""
        locked = locking.locking(query)
        if locked is None:
            return self._ask(text.filled(query, params))
        if not self.is_begun and locking.is_sweep(query):
            unlocked = self._ask(text.filled(locking.worded(query), params))
            if not unlocked:
                return unlocked
        self._begin()
        return self._ask(text.filled(locked, params))

    def rows_in(
        self,
        columns: tuple[str, ...],
        template: str,
        ids: Sequence[int],
        before: Sequence[object] = (),
        after: Sequence[object] = (),
    ) -> list[Row]:
        """All rows of a template with `{ids}`, in no order, locked if it is one to judge by."""
        locked = locking.locking(template)
        found: list[Row] = []
        for part in _cut(ids, MOST_IDS):
            if locked is not None:
                self._begin()
            found += self._ask(text.filled_list(locked or template, part, before, after))
        return found

    def do_in(
        self, template: str, ids: Sequence[int], before: Sequence[object] = (), after: Sequence[object] = ()
    ) -> None:
        """Execute a template with `{ids}`."""
        for part in _cut(ids, MOST_IDS):
            self._put_off(text.filled_list(template, part, before, after))

    def do_cases(
        self,
        template: str,
        values: Mapping[int, tuple[object, ...]],
        before: Sequence[object],
        after: Sequence[object] = (),
    ) -> None:
        """Execute a template with as many `{cases}` as each id has values, then `{ids}`."""
        for part in _cut_by_size(list(values.items()), MOST_CASES):
            ids, cases = [one for one, _ in part], [row for _, row in part]
            self._put_off(text.filled_list(template, ids, before, after, cases))

    def insert(self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[object]]) -> None:
        """Insert rows, in their order."""
        if self.mark is None and rows and columns[0] == "id":
            self.mark = Mark(table, cast("int", rows[0][0]))
        self._insert(statements.insert_head(table, columns), rows, "")

    def upsert(
        self,
        table: str,
        columns: tuple[str, ...],
        changed: tuple[str, ...],
        rows: Sequence[Sequence[object]],
        added: tuple[str, ...] = (),
    ) -> None:
        """Insert rows; where the key is there already write `changed`, and add `added` to what is there."""
        if table in _WITH_OTHER_KEYS:
            for row in rows:
                self._upsert_one(table, columns, changed, row, added)
            return
        self._insert(statements.insert_head(table, columns), rows, statements.on_duplicate(changed, added))

    def _upsert_one(
        self,
        table: str,
        columns: tuple[str, ...],
        changed: tuple[str, ...],
        row: Sequence[object],
        added: tuple[str, ...],
    ) -> None:
        values = dict(zip(columns, row, strict=True))
        settings = ", ".join(
            [f"`{name}` = {text.literal(values[name])}" for name in changed]
            + [f"`{name}` = `{name}` + {text.literal(values[name])}" for name in added]
        )
        keys = " AND ".join(
            f"`{column.name}` = {text.literal(values[column.name])}" for column in METADATA.tables[table].primary_key
        )
        if self.run(f"UPDATE `{table}` SET {settings} WHERE {keys}") == 0:  # noqa: S608 - names of our own
            self.insert(table, columns, [row])

    def _insert(self, head: str, rows: Sequence[Sequence[object]], tail: str) -> None:
        texts: list[str] = []
        length = 0
        for row in rows:
            one = text.row(row)
            if texts and (length + len(one) > LARGEST_STATEMENT or len(texts) == MOST_ROWS):
                self._put_off(head + ",".join(texts) + tail)
                texts, length = [], 0
            texts.append(one)
            length += len(one)
        if texts:
            self._put_off(head + ",".join(texts) + tail)

    def add_up(self, statement: str, amounts: tuple[int, ...], key: int) -> None:
        """Add to the counters of one row, at the very end: all processes change these few rows."""
        sums = self._adding.setdefault((statement, key), [0] * len(amounts))
        for place, amount in enumerate(amounts):
            sums[place] += amount

    def guard(self, name: str, *, is_exclusive: bool = False) -> None:
        """Hold the row of this name in `id_blocks`."""
        lock = locking.UPDATE if is_exclusive else locking.SHARE
        self._put_off(text.filled("SELECT name FROM id_blocks WHERE name = ?", (name,)) + lock)

    def new_ids(self, name: str, count: int) -> Iterable[int]:
        """So many unused ids, ascending."""
        return await_(self._take_ids(name, count))

    def new_id(self, name: str) -> int:
        """An unused id."""
        return next(iter(self.new_ids(name, 1)))

    def savepoint(self) -> tuple[Mark | None, dict[tuple[str, int], list[int]]]:
        """Where `undo` leads back to; the newest one counts."""
        self._put_off("SAVEPOINT job")
        return self.mark, {key: [*sums] for key, sums in self._adding.items()}

    def undo(self, before: tuple[Mark | None, dict[tuple[str, int], list[int]]]) -> None:
        """As if nothing had happened since `savepoint`."""
        self._put_off("ROLLBACK TO SAVEPOINT job")
        self.mark, self._adding = before

    def flush(self) -> None:
        """Have everything done that was put off, so that its errors show."""
        if self._later:
            later, self._later, self._length = self._later, [], 0
            await_(self._connection.send(later))

    def finish(self) -> list[bytes]:
        """What is left to send, the commit last; empty if nothing was begun."""
        for (statement, key), amounts in sorted(self._adding.items()):
            self.do(statement, (*amounts, key))
        self._adding.clear()
        later, self._later, self._length = self._later, [], 0
        return [*later, b"COMMIT"] if self.is_begun else later

    def _begin(self) -> None:
        if not self.is_begun and not self._is_loose:
            self.is_begun = True
            self._put_off("BEGIN")

    def _put_off(self, statement: str) -> None:
        """A statement whose answer nobody wants. Encoded now, so that what cannot be sent is told to whom it is of."""
        self._begin()
        encoded = self._connection.encoded(statement)
        if self._length + len(encoded) > LARGEST_STATEMENT:
            self.flush()
        self._later.append(encoded)
        self._length += len(encoded)

    def _told(self, statement: str) -> Answer:
        encoded = self._connection.encoded(statement)
        if self._length + len(encoded) > LARGEST_STATEMENT:
            self.flush()
        later, self._later, self._length = self._later, [], 0
        return await_(self._connection.send([*later, encoded]))

    def _ask(self, query: str) -> list[Row]:
        return cast("list[Row]", list(self._told(query).rows))


def _cut(ids: Sequence[int], size: int) -> Iterable[Sequence[int]]:
    for first in range(0, len(ids), size):
        yield ids[first : first + size]


def _cut_by_size(
    values: list[tuple[int, tuple[object, ...]]], most: int
) -> Iterable[list[tuple[int, tuple[object, ...]]]]:
    """Parts of at most so many, and of texts that fit into one statement."""
    rest = iter(values)
    while part := list(islice(rest, most)):
        taken: list[tuple[int, tuple[object, ...]]] = []
        length = 0
        for one in part:
            size = sum(len(value) for value in one[1] if isinstance(value, str))
            if taken and length + size > LARGEST_STATEMENT:
                yield taken
                taken, length = [], 0
            taken.append(one)
            length += size
        yield taken
