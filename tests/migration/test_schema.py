"""From an empty database to head, and both engines' grammar."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateIndex, CreateTable
from tests.migration.comparing import differences

from llm_scheduler.domain.status import Status
from llm_scheduler.ports.store import TaskFilter
from llm_scheduler.stores import cache_statements, filters, schema, statements
from llm_scheduler.stores.tables import METADATA

FORBIDDEN = re.compile(r"RETURNING|->|ON CONFLICT|excluded|INSERT OR|json_|\bAS new\b|\|\|", re.IGNORECASE)
KNOWN = filters.Known((1, 2), (1, 2, 3), ("chat", "embedding"))


def written() -> Iterator[tuple[str, str]]:
    """Every hand-written statement with its name."""
    for name, value in (*vars(statements).items(), *vars(cache_statements).items()):
        if isinstance(value, str) and value.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            yield name, value
    yield from (("DELETE_TASKS", one) for one in statements.DELETE_TASKS)
    yield "insert", statements.insert("tasks", statements.TASK_NEW, 3)
    yield (
        "upsert",
        statements.upsert("attempts", statements.ATTEMPT_ROW, statements.ATTEMPT_END, 2, "mysql"),
    )


def test_the_migrations_lead_to_the_tables(tmp_path: Path) -> None:
    url = schema.sqlite_url(tmp_path / "record.db")
    schema.upgrade(url)
    schema.upgrade(url)

    engine = create_engine(url)
    with engine.connect() as connection:
        found = differences(connection)
    engine.dispose()

    assert found == []


def test_the_migrated_tables_are_those_of_the_metadata_word_for_word(tmp_path: Path) -> None:
    migrated, direct = tmp_path / "migrated.db", tmp_path / "direct.db"
    schema.upgrade(schema.sqlite_url(migrated))
    engine = create_engine(schema.sqlite_url(direct))
    METADATA.create_all(engine)
    engine.dispose()

    def words(path: Path) -> set[str]:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql NOT LIKE '%alembic_version%'")
            return {" ".join(row[0].split()) for row in rows}

    assert words(migrated) == words(direct)


def test_the_program_knows_every_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    revisions = [one.revision for one in ScriptDirectory.from_config(config).walk_revisions()]

    assert tuple(reversed(revisions)) == schema.REVISIONS


def test_the_default_tenant_is_made(tmp_path: Path) -> None:
    schema.upgrade(schema.sqlite_url(tmp_path / "record.db"))

    with closing(sqlite3.connect(tmp_path / "record.db")) as connection:
        assert connection.execute("SELECT id, name FROM tenants").fetchall() == [(1, "default")]


def test_every_table_compiles_for_mysql_with_binary_text() -> None:
    for table in METADATA.sorted_tables:
        ddl = str(CreateTable(table).compile(dialect=mysql.dialect()))
        assert "COLLATE utf8mb4_bin" in ddl
        assert "ENGINE=InnoDB" in ddl
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=mysql.dialect()))


@pytest.mark.parametrize(("name", "statement"), list(written()))
def test_hand_written_statements_keep_to_the_common_grammar(name: str, statement: str) -> None:
    filled = statements.with_ids(statement, 2)

    assert FORBIDDEN.search(filled) is None, name
    assert "{" not in filled, name
    assert str(text(filled).compile(dialect=mysql.dialect()))


@pytest.mark.parametrize(("name", "statement"), list(written()))
def test_hand_written_statements_fit_the_tables(name: str, statement: str) -> None:
    filled = statements.with_ids(statement, 2)
    if name == "upsert":
        filled = statements.upsert("attempts", statements.ATTEMPT_ROW, statements.ATTEMPT_END, 2, "sqlite")
    engine = create_engine("sqlite://")
    METADATA.create_all(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"EXPLAIN {filled}", (0,) * filled.count("?"))
    engine.dispose()


@pytest.mark.parametrize(
    "where",
    [
        TaskFilter(),
        TaskFilter(statuses=tuple(Status), metadata={"a": "b", "c": "d"}),
        TaskFilter(statuses=(Status.QUEUED,), q="50%"),
        TaskFilter(priority=3, created_after=None),
    ],
)
def test_filters_compile_for_mysql(where: TaskFilter) -> None:
    order = filters.PageOrder(50, filters.Cursor(1, 1), is_ascending=False)
    for query in (filters.page(where, order, KNOWN), filters.counts(where, KNOWN)):
        assert "SELECT" in str(query.compile(dialect=mysql.dialect()))
