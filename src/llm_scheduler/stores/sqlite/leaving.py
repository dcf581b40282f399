"""An embedded installation's file, read for a move: nobody writes to it meanwhile."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import TYPE_CHECKING, Any, Final

import orjson

from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.stores import schema
from llm_scheduler.stores.tables import METADATA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

COPIED: Final = (
    "tenants",
    "users",
    "memberships",
    "api_keys",
    "logins",
    "signing_keys",
    "access_changes",
    "audit_log",
    "models",
    "sessions",
    "system_stats",
    "actions",
    "predictions",
    "states",
    "prices",
    "budgets",
    "reservations",
    "idempotency_keys",
    "response_cache",
    "task_cache",
    "task_deadlines",
    "fading_payloads",
    "task_metadata",
    "results",
    "attempts",
    "task_logs",
    # Last: a half-done move has parts of tasks, never tasks without their parts.
    "tasks",
)
ASLEEP: Final = {"sessions": {"alive": "0", "running": "0"}, "models": {"current_workers": "0"}}
"""What is true of running processes only."""
LARGEST_BATCH: Final = 2 * 2**20
"""Characters, about; a row that is larger goes alone."""
MOST_ROWS: Final = 1_000
PUT_BACK: Final = (
    # Nobody knows what the calls cost that were under way: all that was put aside for them is spent.
    "UPDATE budgets SET spent_microusd = spent_microusd + (SELECT COALESCE(SUM(amount_microusd), 0) FROM reservations "
    "WHERE budget_id = budgets.id AND attempt > 0), reserved_microusd = 0, updated_at = :now "
    "WHERE id IN (SELECT budget_id FROM reservations WHERE attempt > 0)",
    "DELETE FROM reservations WHERE attempt > 0",
    "UPDATE attempts SET outcome = CASE (SELECT cancel FROM tasks WHERE id = task_id) WHEN 1 THEN 'cancelled' "
    "ELSE 'returned' END, ended_at = :now WHERE ended_at IS NULL",
    "DELETE FROM task_deadlines WHERE task_id IN (SELECT id FROM tasks WHERE status = 'running' AND cancel = 1)",
    "UPDATE tasks SET status = 'cancelled', owner = NULL, updated_at = :now, completed_at = :now "
    "WHERE status = 'running' AND cancel = 1",
    "UPDATE tasks SET status = 'queued', owner = NULL, updated_at = :now WHERE status = 'running'",
)


def columns_of(table: str) -> tuple[str, ...]:
    """All, in the order of the tables."""
    return tuple(column.name for column in METADATA.tables[table].columns)


def key_of(table: str) -> tuple[str, ...]:
    """The primary key, by which rows are walked."""
    return tuple(column.name for column in METADATA.tables[table].primary_key)


class Source:
    """The open file."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            StoreUnusableError: missing, damaged, not ours, or of another version.
        """
        examined = schema.check(path)
        if examined.problems:
            raise StoreUnusableError(f"{path} is damaged: {examined.problems[0]}")
        if examined.revision != schema.HEAD:
            raise StoreUnusableError(f"{path} is at revision {examined.revision}; first run: llms db upgrade")
        self._path = path
        self._connection = sqlite3.connect(path, isolation_level=None)

    def close(self) -> None:
        """Let go."""
        self._connection.close()

    def running(self) -> int:
        """Tasks that a server which did not stop in good order left running."""
        return self._value("SELECT COUNT(*) FROM tasks WHERE status = 'running'")

    def put_back(self, now: int) -> int:
        """Such tasks wait again, no failure or crash counted; how many they were."""
        count = self.running()
        self._connection.execute("BEGIN IMMEDIATE")
        for statement in PUT_BACK:
            self._connection.execute(statement, {"now": now} if ":now" in statement else {})
        self._connection.execute("COMMIT")
        return count

    def counts(self) -> dict[str, int]:
        """Rows by table."""
        return {table: self._value(f"SELECT COUNT(*) FROM {table}") for table in COPIED}  # noqa: S608 - our names

    def mark(self) -> str:
        """Tells this state of this installation from others: any start of a server changes it."""
        facts = [
            self._connection.execute(query).fetchall()
            for query in (
                "SELECT name, next_id FROM id_blocks ORDER BY name",
                "SELECT id, started_at, heartbeat_at FROM sessions ORDER BY id",
                "SELECT id, created_at, version FROM models ORDER BY id",
            )
        ]
        return hashlib.sha256(orjson.dumps(facts)).hexdigest()

    def next_ids(self) -> dict[str, int]:
        """The first id of each table that is certainly unused."""
        reserved: dict[str, int] = dict(self._connection.execute("SELECT name, next_id FROM id_blocks").fetchall())
        return {
            name: max(next_id, (self._value(f"SELECT MAX(id) FROM {name}") or 0) + 1)  # noqa: S608 - our names
            for name, next_id in reserved.items()
            if name in METADATA.tables
        } | {name: next_id for name, next_id in reserved.items() if name not in METADATA.tables}

    def batches(self, table: str, after: Sequence[object] | None) -> Iterator[list[tuple[Any, ...]]]:
        """The rows after a key, by key, as they are to be written."""
        key = ", ".join(f"`{name}`" for name in key_of(table))
        shown = ", ".join(ASLEEP.get(table, {}).get(name, f"`{name}`") for name in columns_of(table))
        beyond = "" if after is None else f"WHERE ({key}) > ({', '.join('?' * len(after))})"
        cursor = self._connection.execute(
            f"SELECT {shown} FROM {table} {beyond} ORDER BY {key}",  # noqa: S608 - our names
            tuple(after or ()),
        )
        batch: list[tuple[Any, ...]] = []
        size = 0
        for row in cursor:
            length = sum(len(value) for value in row if isinstance(value, str))
            if batch and (size + length > LARGEST_BATCH or len(batch) == MOST_ROWS):
                yield batch
                batch, size = [], 0
            batch.append(row)
            size += length
        if batch:
            yield batch

    def _value(self, query: str) -> Any:
        return self._connection.execute(query).fetchone()[0]
