"""`llms db` on MariaDB: upgrade, check, backup and restore, and what people are told when it fails."""

import asyncio
import gzip
import hashlib
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from click.testing import CliRunner
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from structlog.testing import capture_logs
from tests.contract.store_scene import CountingMeter, Scene, StillClock, opened
from tests.live import wait_until
from tests.rig import mariadb

from llm_scheduler.cli.main import main
from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.ports.store import Store, TaskFilter
from llm_scheduler.stores import schema
from llm_scheduler.stores.mysql import MysqlStore, backup, examining, migrating, partitions
from llm_scheduler.stores.mysql.address import Address, parse
from llm_scheduler.stores.tables import METADATA


def fresh(name: str) -> Address:
    return parse(mariadb.shared().create(name))


def maker(url: str):
    def make(_: Path, clock: StillClock, meter: CountingMeter) -> Store:
        return MysqlStore(url, clock, meter)

    return make


async def fill(scene: Scene) -> None:
    """Some of everything."""
    done, failed, *_ = await scene.submitted(9, metadata={"a": "b"}, deadline_at=scene.clock.now() + 10**6)
    await scene.submitted(2, input="'; DROP TABLE tasks; -- \\ \n\0 🦊", idempotency_key=None)
    await scene.submitted(1, idempotency_key="k", fingerprint="f")
    await scene.complete(await scene.started(done))
    await scene.fail(await scene.started(failed))
    await scene.store.roll_up("2027-01-15")
    await scene.store.add_action("cancel", "{}", 3)


INDEXES = ("add_index", "remove_index")


async def test_the_migrations_lead_to_the_tables() -> None:
    address = fresh("migrated")
    await asyncio.to_thread(migrating.upgrade, address)
    await asyncio.to_thread(migrating.upgrade, address)

    def differences(connection: Connection) -> list[Any]:
        found = compare_metadata(MigrationContext.configure(connection), METADATA)
        # The indexes of partitioned tables end in the id here, and a log's key begins with its task.
        return [one for one in found if one[0] not in INDEXES or one[1].table.name not in partitions.TABLES]

    engine = create_async_engine(mariadb.shared().url("migrated").replace("mysql://", "mysql+asyncmy://"))
    async with engine.connect() as connection:
        found = await connection.run_sync(differences)
    await engine.dispose()
    assert found == []


@pytest.mark.parametrize("revision", schema.REVISIONS)
def test_an_upgrade_goes_on_from_every_revision_also_where_it_was_cut_off(revision: str) -> None:
    """MySQL commits each change by itself: the revision may be behind what is there."""
    address = fresh("stepwise")
    migrating.upgrade(address, revision)
    migrating.upgrade(address)
    mariadb.shared().sql(f"UPDATE alembic_version SET version_num = '{revision}'", "stepwise")  # noqa: S608

    migrating.upgrade(address)

    assert examining.check(address).is_current


async def test_a_backup_holds_everything_and_fills_an_empty_database(tmp_path: Path) -> None:
    server = mariadb.shared()
    async with opened(maker(server.create("source")), tmp_path) as scene:
        await fill(scene)
        counts = await asyncio.to_thread(backup.backup, parse(server.url("source")), tmp_path / "copy.gz")
        await scene.submitted()

    assert (counts["tasks"], counts["results"], counts["attempts"]) == (12, 1, 2)
    target = fresh("target")
    assert await asyncio.to_thread(backup.restore, target, tmp_path / "copy.gz") == counts
    found = await asyncio.to_thread(examining.check, target)
    assert (found.is_current, found.problems, found.counts["tasks"]) == (True, (), 12)
    sums = ", ".join(f"`{name}`" for name in sorted(METADATA.tables.keys() - {"tasks"}))
    assert server.sql(f"CHECKSUM TABLE {sums}", "source").replace("source.", "") == server.sql(
        f"CHECKSUM TABLE {sums}", "target"
    ).replace("target.", "")

    async with opened(maker(server.url("target")), tmp_path) as scene:
        before = await scene.listed(TaskFilter())
        assert min(await scene.submitted()) > max(before)  # blocks of ids are restored too
        again = await scene.store.submit([scene.new(idempotency_key="k", fingerprint="f")])
        assert not again[0].is_new
    with pytest.raises(StoreUnusableError, match="is not empty"):
        await asyncio.to_thread(backup.restore, target, tmp_path / "copy.gz")


async def test_a_backup_is_of_one_moment_while_others_write(tmp_path: Path) -> None:
    server = mariadb.shared()
    async with opened(maker(server.create("busy")), tmp_path) as scene:
        await scene.submitted(3000)
        is_over = False

        async def write() -> None:
            while not is_over:
                await scene.complete(await scene.started((await scene.submitted())[0]))

        writing = asyncio.ensure_future(write())
        await asyncio.sleep(0)
        counts = await asyncio.to_thread(backup.backup, parse(server.url("busy")), tmp_path / "copy.gz")
        is_over = True
        await writing

    rows: dict[str, list[list]] = {}
    name = ""
    for line in gzip.decompress((tmp_path / "copy.gz").read_bytes()).splitlines():
        one = orjson.loads(line)
        if isinstance(one, dict):
            name = one.get("table", "")
            rows.setdefault(name, [])
        else:
            rows[name].append(one)
    assert {name: len(found) for name, found in rows.items() if name} == counts
    done = sum(row.count("completed") for row in rows["tasks"])
    assert done == counts["results"] == sum(row.count("completed") for row in rows["attempts"])


@pytest.mark.parametrize("cut", [0.5, 0.999])
def test_a_file_that_is_cut_off_or_foreign_fills_nothing(tmp_path: Path, cut: float) -> None:
    migrating.upgrade(fresh("whole"))
    path, half, foreign = tmp_path / "copy.gz", tmp_path / "half.gz", tmp_path / "foreign.gz"
    backup.backup(parse(mariadb.shared().url("whole")), path)
    content = gzip.decompress(path.read_bytes())
    half.write_bytes(gzip.compress(content[: int(len(content) * cut)]))
    foreign.write_bytes(gzip.compress(b'{"songs": []}\n'))
    target = fresh("untouched")

    for file in (half, foreign):
        with pytest.raises(StoreUnusableError, match=r"whole|cut off|is not a file"):
            backup.restore(target, file)
    assert mariadb.shared().sql("SHOW TABLES", "untouched") == ""
    with pytest.raises(StoreUnusableError, match="exists already"):
        backup.backup(target, path)


def test_check_tells_damage_from_settings_that_may_cost_data() -> None:
    server = mariadb.shared()
    address = fresh("examined")
    migrating.upgrade(address)
    server.sql("DROP TABLE task_logs", "examined")
    server.sql("CREATE TABLE task_logs (id BIGINT PRIMARY KEY) COLLATE utf8mb4_general_ci", "examined")
    server.sql("ALTER TABLE actions ENGINE = MyISAM", "examined")

    found = examining.check(address)

    assert sorted(one.split(":")[0] for one in found.problems) == ["actions", "task_logs"]
    assert any("innodb_flush_log_at_trx_commit is 0: a power cut may lose" in one for one in found.warnings)


def run(url: str, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["db", *arguments], env={"LLMS_DATABASE_URL": url, "NO_COLOR": "1"})
    return result.exit_code, result.output


def test_the_command_line_takes_care_of_mysql(tmp_path: Path) -> None:
    server = mariadb.shared()
    url = server.create("cared")

    assert run(url, "upgrade") == (0, f"The database is at revision {schema.HEAD}.\n")
    assert run(url, "upgrade") == (0, f"The database is at revision {schema.HEAD}.\n")
    code, said = run(url, "check", "--json")
    report = orjson.loads(said)
    assert (code, report["is_sound"], report["is_current"], report["rows_tasks"]) == (0, True, True, 0)
    assert report["database"] == f"mysql://llms@127.0.0.1:{server.port}/cared"
    assert run(url, "backup", str(tmp_path / "b.gz"))[0] == 0
    code, said = run(server.create("cared_too"), "restore", str(tmp_path / "b.gz"))
    assert (code, "rows restored" in said) == (0, True)


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (lambda url: url.replace("ss%2F", "wrong"), "refuses this user or password"),
        (lambda url: url.replace("/advised", "/nothing"), "CREATE DATABASE `nothing` CHARACTER SET utf8mb4"),
        (lambda url: url.replace("127.0.0.1:", "127.0.0.1:1"), "cannot be re"),
        (lambda url: url.replace("127.0.0.1", "no.such.host.invalid"), "cannot be reached"),
        (lambda url: url + "?colour=red", "unknown option colour"),
    ],
)
@pytest.mark.parametrize("command", ["upgrade", "check"])
def test_trouble_is_explained_without_the_password(command: str, change, advice: str) -> None:
    code, said = run(change(mariadb.shared().create("advised")), command)

    assert code != 0
    assert advice in " ".join(said.split())
    assert "p@ss" not in said
    assert "p%40ss" not in said
    assert "Traceback" not in said


def test_a_process_that_waits_for_anothers_upgrade_says_so() -> None:
    server = mariadb.shared()
    address = fresh("awaited")
    name = "llm_scheduler_schema." + hashlib.sha256(b"awaited").hexdigest()[:16]
    holder = subprocess.Popen(
        [*server.client, "-e", f"SELECT GET_LOCK('{name}', 1); SELECT SLEEP(7)"], stdout=subprocess.DEVNULL
    )
    try:
        wait_until("the lock is held", lambda: server.sql(f"SELECT IS_USED_LOCK('{name}')") != "NULL\n")
        with capture_logs() as said:
            migrating.upgrade(address)
    finally:
        holder.wait()
    assert [line["event"] for line in said] == ["schema_wait"]
    assert examining.check(address).is_current
