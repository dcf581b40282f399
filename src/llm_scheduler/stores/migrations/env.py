"""How Alembic reaches the database: one transaction around everything, also in SQLite."""

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


def _migrate() -> None:
    url = context.config.get_main_option("sqlalchemy.url") or ""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", _begin)
    with engine.begin() as connection:
        context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


_migrate()
