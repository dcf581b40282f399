"""How Alembic reaches the database: in SQLite one transaction around everything, else the connection it is handed."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import create_engine, event

from llm_scheduler.stores.tables import METADATA


def _leave_transactions_to_us(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # otherwise sqlite3 commits around every CREATE


def _begin(connection: Any) -> None:
    # IMMEDIATE: of two processes that start at once, the second waits and finds the work done.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _migrate_file() -> None:
    engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "")
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", _begin)
    with engine.begin() as connection:
        _migrate(connection, is_transactional=True)
    engine.dispose()


def _migrate(connection: Any, *, is_transactional: bool) -> None:
    context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=is_transactional)
    with context.begin_transaction():
        context.run_migrations()


_given = context.config.attributes.get("connection")
if _given is None:
    _migrate_file()
else:
    _migrate(_given, is_transactional=False)
