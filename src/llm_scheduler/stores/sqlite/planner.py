"""What SQLite's planner believes about the tables.

Without figures it takes `status = 'queued'` for a handful of rows and would walk the whole queue where
64 ids are given. These are the figures of a large installation; they are written once, so that plans do
not change with the day's data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

# Rows in the table, then rows per value of the first column, of the first two, and so on.
FIGURES: Final = frozenset(
    {
        ("tasks", "ix_tasks_tenant_created", "2000000 1000000 2"),
        ("tasks", "ix_tasks_type_priority_created", "2000000 1000000 500000 100000 2"),
        ("tasks", "ix_tasks_status_model_created", "2000000 1000000 250000 100000 2"),
        ("tasks", "ix_tasks_status_eligible", "2000000 300000 2"),
        ("attempts", "ix_attempts_ended", "2000000 5"),
        ("attempts", "attempts", "2000000 2 1"),
        ("task_logs", "ix_task_logs_task", "6000000 3"),
        ("task_deadlines", "ix_task_deadlines_at", "100000 2"),
        ("task_metadata", "task_metadata", "2000000 1000000 200000 1000 2 1"),
    }
)


def teach(connection: sqlite3.Connection) -> None:
    """Write the figures, unless they are there; connections opened later use them."""
    connection.execute("BEGIN IMMEDIATE")
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").fetchone():
        connection.execute("ANALYZE")
    written = frozenset(connection.execute("SELECT tbl, idx, stat FROM sqlite_stat1"))
    if written != FIGURES:
        connection.execute("DELETE FROM sqlite_stat1")
        connection.executemany("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", sorted(FIGURES))
    connection.execute("COMMIT")
