"""An embedded installation moves to MySQL: whole, once, and also when it is killed on the way."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.contract.store_scene import MAKERS, CountingMeter, Scene, opened
from tests.rig import mariadb
from tests.rig.mariadb import MariaDb

from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, TaskId
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import LogLevel, TaskLog, Usage
from llm_scheduler.ports.store import TaskFilter
from llm_scheduler.security.folderlock import FolderLock
from llm_scheduler.stores.mysql import MysqlStore
from llm_scheduler.stores.mysql.address import parse
from llm_scheduler.stores.mysql.server import Server
from llm_scheduler.stores.sqlite.leaving import ASLEEP, COPIED, columns_of
from llm_scheduler.stores.tables import METADATA

NAME = "moved"
ODD = "é 漢字 🎉 ' \" \\ \t \n \x01 %s ? {ids} `;--"


@pytest.fixture
def server() -> Iterator[MariaDb]:
    shared = mariadb.shared()
    shared.create(NAME)
    yield shared
    shared.sql(f"DROP DATABASE IF EXISTS {NAME}")


async def fill(scene: Scene, many: int) -> list[TaskId]:
    """Tasks of every kind; the ids of those that a worker runs."""
    text = json.dumps({"messages": [ODD]}, ensure_ascii=False)
    first = await scene.submitted(many // 4, metadata={"run": "é", "other": "x" * 500})
    await scene.submitted(many // 4, input=text, run_at=Millis(scene.clock.now() + 10**9))
    await scene.submitted(many // 4, timeout_s=0.1, priority=9)
    await scene.submitted(many - 3 * (many // 4) - 10, deadline_at=Millis(scene.clock.now() + 10**8))
    keyed = [scene.new(idempotency_key=f"k{number} {ODD[:9]}", fingerprint="f") for number in range(8)]
    await scene.store.submit(keyed)
    await scene.submitted(2, input=json.dumps({"a": "ü" * 700_000}, ensure_ascii=False))
    started = [await scene.started(task_id) for task_id in first[: many // 20]]
    third = len(started) // 3
    await asyncio.gather(
        *(scene.complete(one, output=ODD, raw=text, usage=Usage(1, 2**40)) for one in started[:third]),
        *(scene.fail(one) for one in started[third:-3]),
    )
    await scene.store.cancel([started[-1].task_id, first[-1]])
    await scene.store.log([TaskLog(first[0], LogLevel.INFO, ODD, scene.clock.now(), {"a": [1, ODD]})])
    await scene.store.take_key(DEFAULT_TENANT, "reply", "f")
    await scene.store.keep_reply(DEFAULT_TENANT, "reply", "{}")
    await scene.store.add_action("cancel", '{"status": "queued"}', None)
    await scene.store.roll_up("2027-01-15")
    return [one.task_id for one in started[-3:]]


def made(folder: Path, many: int) -> list[TaskId]:
    """A data folder as a server leaves it that was killed."""

    async def run() -> list[TaskId]:
        async with opened(MAKERS["sqlite"], folder, CountingMeter()) as scene:
            return await fill(scene, many)

    running = asyncio.run(run())
    (folder / "record.db").rename(folder / "llm-scheduler.db")
    return running


def command(folder: Path, url: str, *more: str) -> subprocess.Popen[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("LLMS_")}
    return subprocess.Popen(
        [sys.executable, "-m", "llm_scheduler", "db", "move", "--to", url, "--json", *more],
        env=environ | {"LLMS_DATA_DIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def moved(folder: Path, url: str, *more: str) -> dict[str, Any]:
    process = command(folder, url, *more)
    out, said = process.communicate(timeout=50)
    assert process.returncode == 0, said
    return json.loads(out)


def refused(folder: Path, url: str, *more: str) -> str:
    process = command(folder, url, *more)
    out, _ = process.communicate(timeout=50)
    assert process.returncode == 1
    return json.loads(out)["error"]["detail"]


def here(folder: Path, table: str) -> list[Any]:
    shown = ", ".join(ASLEEP.get(table, {}).get(name, f"`{name}`") for name in columns_of(table))
    with closing(sqlite3.connect(folder / "llm-scheduler.db")) as connection:
        return sorted(connection.execute(f"SELECT {shown} FROM {table}").fetchall(), key=repr)  # noqa: S608


def there(url: str, table: str) -> list[Any]:
    async def read() -> list[Any]:
        connection = await Server(parse(url)).connect()
        names = ", ".join(f"`{name}`" for name in columns_of(table))
        answer = await connection.execute(f"SELECT {names} FROM {table}")  # noqa: S608
        await connection.close()
        return sorted((tuple(row) for row in answer.rows), key=repr)

    return asyncio.run(read())


def assert_equal(folder: Path, url: str) -> None:
    for table in COPIED:
        assert there(url, table) == here(folder, table), table


def test_every_table_is_moved_or_named_here() -> None:
    assert set(COPIED) == METADATA.tables.keys() - {"id_blocks", "schema_floor"}
    assert len(COPIED) == len(set(COPIED))


def test_twenty_thousand_mixed_tasks_are_moved_and_equal(server: MariaDb, tmp_path: Path) -> None:
    running = made(tmp_path, 20_000)
    url = server.url(NAME)

    report = moved(tmp_path, url)

    assert report["rows"]["tasks"] == 20_000
    assert report["put_back"] == 3
    assert not report["is_resumed"]
    assert_equal(tmp_path, url)
    assert "llms_move" not in server.sql("SHOW TABLES", NAME)
    assert server.sql("SELECT COUNT(*) FROM sessions WHERE alive = 1", NAME) == "0\n"
    statuses = server.sql(
        f"SELECT status, failures, crashes, attempt FROM tasks WHERE id IN ({','.join(map(str, running))}) ORDER BY id",  # noqa: S608
        NAME,
    )
    assert statuses.splitlines() == ["queued\t0\t0\t1", "queued\t0\t0\t1", "cancelled\t0\t0\t1"]


async def test_the_moved_installation_serves(server: MariaDb, tmp_path: Path) -> None:
    running = await asyncio.to_thread(made, tmp_path, 400)
    await asyncio.to_thread(moved, tmp_path, server.url(NAME))
    largest = max(row[0] for row in here(tmp_path, "tasks"))

    async with opened(lambda _, clock, meter: MysqlStore(server.url(NAME), clock, meter), tmp_path) as scene:
        assert scene.model.name == "m"
        assert sum((await scene.store.counts(TaskFilter())).values()) == 400
        assert len(await scene.listed(TaskFilter(metadata={"run": "é"}), 50)) == 50
        (task_id,) = await scene.submitted()
        assert task_id > largest
        again = await scene.store.submit([scene.new(idempotency_key=f"k3 {ODD[:9]}", fingerprint="f")])
        assert not again[0].is_new
        await scene.complete(await scene.started(running[0], 1))
        assert await scene.status(running[0]) is Status.COMPLETED
        assert [one.outcome for one in await scene.store.attempts(running[0])] == ["returned", "completed"]


@pytest.mark.parametrize("place", ["attempts: ", "tasks: ", "checking results: "])
def test_a_move_that_was_killed_goes_on(server: MariaDb, tmp_path: Path, place: str) -> None:
    made(tmp_path, 4_000)
    url = server.url(NAME)
    process = command(tmp_path, url)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(place):
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    report = moved(tmp_path, url)

    assert report["is_resumed"]
    assert_equal(tmp_path, url)


def test_a_copy_that_differs_is_told(server: MariaDb, tmp_path: Path) -> None:
    made(tmp_path, 200)
    url = server.url(NAME)
    process = command(tmp_path, url)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("tasks: "):
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    server.sql("UPDATE attempts SET cost_microusd = cost_microusd + 1 ORDER BY task_id LIMIT 1", NAME)

    assert "The copy of attempts differs" in refused(tmp_path, url)


def test_a_database_that_is_not_empty_is_refused(server: MariaDb, tmp_path: Path) -> None:
    made(tmp_path, 100)
    url = server.url(NAME)
    moved(tmp_path, url)

    assert "not empty" in refused(tmp_path, url)
    assert_equal(tmp_path, url)


def test_another_programs_database_is_refused(server: MariaDb, tmp_path: Path) -> None:
    made(tmp_path, 100)
    server.sql("CREATE TABLE orders (id INT)", NAME)

    assert "another program" in refused(tmp_path, server.url(NAME))
    assert server.sql("SHOW TABLES", NAME) == "orders\n"


def test_the_half_of_another_move_is_refused(server: MariaDb, tmp_path: Path) -> None:
    made(tmp_path, 100)
    url = server.url(NAME)
    process = command(tmp_path, url)
    assert process.stderr is not None
    next(line for line in process.stderr if line.startswith("results: "))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with closing(sqlite3.connect(tmp_path / "llm-scheduler.db")) as connection, connection:
        connection.execute(
            "INSERT INTO sessions SELECT 999, host, pid, version, started_at, heartbeat_at, 0, 0, 0, 0, role "
            "FROM sessions LIMIT 1"
        )

    assert "another move" in refused(tmp_path, url)


def test_a_dry_run_writes_nothing(server: MariaDb, tmp_path: Path) -> None:
    made(tmp_path, 100)
    before = here(tmp_path, "tasks")

    report = moved(tmp_path, server.url(NAME), "--dry-run")

    assert (report["put_back"], report["occupied"], report["rows"]["tasks"]) == (3, [], 100)
    assert server.sql("SHOW TABLES", NAME) == ""
    assert here(tmp_path, "tasks") == before


def test_a_running_server_is_in_the_way(server: MariaDb, tmp_path: Path) -> None:
    made(tmp_path, 100)
    lock = FolderLock(tmp_path).acquire()
    try:
        assert "Another server uses the data folder" in refused(tmp_path, server.url(NAME))
    finally:
        lock.release()


def test_a_row_that_does_not_fit_is_named(server: MariaDb, tmp_path: Path) -> None:
    made(tmp_path, 100)
    with closing(sqlite3.connect(tmp_path / "llm-scheduler.db")) as connection, connection:
        connection.execute("UPDATE tasks SET error_message = ? WHERE id = 7", ("x" * 70_000,))

    said = refused(tmp_path, server.url(NAME))

    assert "tasks [7]" in said
    assert "error_message" in said
