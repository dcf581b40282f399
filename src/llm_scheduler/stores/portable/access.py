"""What the engines lend to the moves and queries that all of them share.

A move is a plain function over a `Transaction`, a query one over a `Reader`. SQLite runs them in a
thread; an engine whose driver is asynchronous runs them in a greenlet, so that they are written once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy.sql.elements import CompilerElement

    from llm_scheduler.domain.ids import Millis
    from llm_scheduler.ports.clock import Clock

T = TypeVar("T")
Row = list[Any]


class Reader(Protocol):
    """A few queries in a row; all see the same moment if a snapshot was asked for."""

    def rows(self, columns: tuple[str, ...], query: str, params: Sequence[object] = ()) -> list[Row]:
        """All rows of a query whose columns have these names."""
        ...

    def value(self, query: str, params: Sequence[object] = ()) -> Any:
        """The first column of the first row, None without one."""
        ...

    def select(self, columns: tuple[str, ...], query: CompilerElement) -> list[Row]:
        """All rows of an SQLAlchemy expression whose columns have these names."""
        ...


class Transaction(Protocol):
    """Statements of one group commit. `now` is the time of everything in it.

    Rows that a move judges by stay as they were read until the commit: the engine holds the write lock,
    or locks what `rows` and `rows_in` give (`stores/mysql/locking.py` says which).
    """

    @property
    def now(self) -> Millis:
        """The record's own time."""
        ...

    def run(self, statement: str, params: Sequence[object] = ()) -> int:
        """Execute; how many rows it matched."""
        ...

    def do(self, statement: str, params: Sequence[object] = ()) -> None:
        """Execute; an engine may send it together with what follows."""
        ...

    def value(self, query: str, params: Sequence[object] = ()) -> Any:
        """The first column of the first row, None without one."""
        ...

    def rows(self, columns: tuple[str, ...], query: str, params: Sequence[object] = ()) -> list[Row]:
        """All rows."""
        ...

    def rows_in(
        self,
        columns: tuple[str, ...],
        template: str,
        ids: Sequence[int],
        before: Sequence[object] = (),
        after: Sequence[object] = (),
    ) -> list[Row]:
        """All rows of a template with `{ids}`, in no order."""
        ...

    def do_in(
        self, template: str, ids: Sequence[int], before: Sequence[object] = (), after: Sequence[object] = ()
    ) -> None:
        """Execute a template with `{ids}`."""
        ...

    def do_cases(
        self,
        template: str,
        values: Mapping[int, tuple[object, ...]],
        before: Sequence[object],
        after: Sequence[object] = (),
    ) -> None:
        """Execute a template with as many `{cases}` as each id has values, then `{ids}`."""
        ...

    def insert(self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[object]]) -> None:
        """Insert rows, in their order."""
        ...

    def upsert(
        self,
        table: str,
        columns: tuple[str, ...],
        changed: tuple[str, ...],
        rows: Sequence[Sequence[object]],
        added: tuple[str, ...] = (),
    ) -> None:
        """Insert rows; where the key is there already write `changed`, and add `added` to what is there."""
        ...

    def add_up(self, statement: str, amounts: tuple[int, ...], key: int) -> None:
        """Add to the counters of one row: `statement` takes the amounts, then the key.

        May be put off until the commit, for rows that all transactions change should be held briefly.
        """
        ...

    def guard(self, name: str, *, is_exclusive: bool = False) -> None:
        """Until the commit nobody else holds this name exclusively; nobody holds it at all if `is_exclusive`."""
        ...

    def new_ids(self, name: str, count: int) -> Iterable[int]:
        """So many unused ids, ascending."""
        ...

    def new_id(self, name: str) -> int:
        """An unused id."""
        ...


class Access(ABC):
    """A way to write and a way to read: implemented by each engine's store."""

    _clock: Clock

    @abstractmethod
    async def _merge(self, kind: str, payload: Any) -> Any:
        """Have all jobs of this kind in the next transaction run as one."""

    @abstractmethod
    async def _write(self, move: Callable[[Transaction], T], *, is_loose: bool = False) -> T:
        """Run in the next transaction. Loose: each statement may stand alone and be done twice without harm."""

    @abstractmethod
    async def _read(self, query: Callable[[Reader], T], *, is_snapshot: bool = False, may_lag: bool = False) -> T:
        """Run on one of the readers.

        Args:
            query: what to ask.
            is_snapshot: all queries in it must see the same moment.
            may_lag: a replica may answer, if it has what this process wrote.
        """
