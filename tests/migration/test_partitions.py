"""On MySQL the large tables lie in ranges of task ids, whatever state a migration left them in."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from tests.migration.comparing import differences
from tests.rig import mariadb
from tests.rig.mariadb import MariaDb

from llm_scheduler.stores.mysql import migrating
from llm_scheduler.stores.mysql.address import parse

NAME = "partitions"
TABLES = ("tasks", "attempts", "results", "task_logs", "task_metadata")
PARTS = (
    "SELECT table_name, partition_name FROM information_schema.partitions "
    "WHERE table_schema = 'partitions' AND partition_name IS NOT NULL ORDER BY table_name, partition_ordinal_position"
)


@pytest.fixture
def server() -> Iterator[MariaDb]:
    shared = mariadb.shared()
    shared.create(NAME)
    yield shared
    shared.sql(f"DROP DATABASE {NAME}")


def parts(server: MariaDb) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in server.sql(PARTS).splitlines():
        table, part = line.split("\t")
        found.setdefault(table, []).append(part)
    return found


def upgrade(server: MariaDb, target: str = "head") -> None:
    migrating.upgrade(parse(server.url(NAME)), target)


def test_every_large_table_has_the_same_ranges(server: MariaDb) -> None:
    upgrade(server)

    assert parts(server) == {name: ["p1000000", "p2000000", "pmax"] for name in TABLES}


def test_ranges_begin_beyond_the_ids_that_are_given_out(server: MariaDb) -> None:
    upgrade(server, "0004")
    server.sql("UPDATE id_blocks SET next_id = 3000001 WHERE name = 'tasks'", NAME)

    upgrade(server)

    assert parts(server)["tasks"] == [f"p{number}000000" for number in range(1, 6)] + ["pmax"]


def test_rows_that_are_there_stay(server: MariaDb) -> None:
    upgrade(server, "0004")
    server.sql(
        "INSERT INTO task_logs (id, task_id, tenant_id, level, created_at, message) "
        "VALUES (5, 7, 1, 'info', 1, 'a'), (6, 1500000, 1, 'info', 1, 'b')",
        NAME,
    )

    upgrade(server)

    assert server.sql("SELECT message FROM task_logs PARTITION (p2000000)", NAME) == "b\n"
    assert server.sql("SELECT COUNT(*) FROM task_logs", NAME) == "2\n"


def test_a_migration_that_was_cut_off_is_taken_up_again(server: MariaDb) -> None:
    upgrade(server)
    server.sql("ALTER TABLE tasks REMOVE PARTITIONING; UPDATE alembic_version SET version_num = '0004'", NAME)
    server.sql(
        "ALTER TABLE tasks "
        + ", ".join(
            f"DROP INDEX {name}_id, ADD INDEX {name} ({columns})"
            for name, columns in (
                ("ix_tasks_tenant_created", "tenant_id, created_at"),
                ("ix_tasks_type_priority_created", "tenant_id, type, priority, created_at"),
                ("ix_tasks_status_model_created", "tenant_id, status, model_id, created_at"),
                ("ix_tasks_status_eligible", "status, eligible_at"),
            )
        ),
        NAME,
    )

    upgrade(server)

    assert parts(server)["tasks"] == ["p1000000", "p2000000", "pmax"]


def test_the_tables_are_those_of_the_metadata(server: MariaDb) -> None:
    upgrade(server)
    host = f"{mariadb.USER}:p%40ss%2Fw%3Ard@127.0.0.1:{server.port}"

    async def compared() -> list[object]:
        engine = create_async_engine(f"mysql+asyncmy://{host}/{NAME}")
        async with engine.connect() as connection:
            found = await connection.run_sync(differences)
        await engine.dispose()
        return found

    assert asyncio.run(compared()) == []


def test_lists_are_read_from_an_index_in_order(server: MariaDb) -> None:
    """Across partitions an index that does not name the id does not count as sorted: a page would sort all rows."""
    upgrade(server)
    for query in (
        "SELECT id FROM tasks WHERE tenant_id = 1 ORDER BY created_at DESC, id DESC LIMIT 50",
        "SELECT id FROM tasks WHERE status = 'queued' ORDER BY eligible_at, id LIMIT 50",
    ):
        plan = server.sql(f"EXPLAIN {query}", NAME)
        assert not re.search("filesort|temporary", plan), plan
