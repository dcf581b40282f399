"""Opening: what is refused, and with which advice; and what a kill -9 leaves behind."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.contract.store_scene import CountingMeter, StillClock, opened, sqlite_store

from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.stores import schema
from llm_scheduler.stores.sqlite import SqliteStore
from llm_scheduler.stores.sqlite.store import _use_wal

WRITE_FOR_EVER = """
import asyncio, sys
from pathlib import Path
from tests.contract.store_scene import opened, sqlite_store

async def main():
    async with opened(sqlite_store, Path(sys.argv[1])) as scene:
        async def write():
            while True:
                (task_id,) = await scene.submitted(input="x" * 2000)
                started = await scene.started(task_id)
                await scene.complete(started)
                print(task_id, flush=True)
        await asyncio.gather(*(write() for _ in range(20)))

asyncio.run(main())
"""

OPEN_AND_CLOSE = """
import asyncio, sys
from pathlib import Path
from tests.contract.store_scene import CountingMeter, StillClock, sqlite_store

async def main():
    store = sqlite_store(Path(sys.argv[1]), StillClock(), CountingMeter())
    await store.open()
    await store.ping()
    await store.close()

asyncio.run(main())
"""


def store_at(path: Path) -> SqliteStore:
    return SqliteStore(path, StillClock(), CountingMeter())


async def refusal(path: Path) -> str:
    with pytest.raises(StoreUnusableError) as caught:
        await store_at(path).open()
    return str(caught.value)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    path.write_bytes(b"not a database at all" * 1000)

    assert "restore a backup or move the file away" in await refusal(path)


async def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    async with opened(sqlite_store, tmp_path):
        pass
    path = tmp_path / "record.db"
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xff" * 3996
    path.write_bytes(content)

    assert "damaged" in await refusal(path)


async def newer(folder: Path, *, floor: str) -> Path:
    """A record that a later release has upgraded, and that programs from `floor` on may use."""
    async with opened(sqlite_store, folder) as scene:
        await scene.submitted()
    path = folder / "record.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("UPDATE schema_floor SET revision = ?", (floor,))
        connection.execute("ALTER TABLE tasks ADD COLUMN mood TEXT DEFAULT 'calm'")
    return path


async def test_a_database_that_a_newer_program_changed_too_far_is_refused(tmp_path: Path) -> None:
    said = await refusal(await newer(tmp_path, floor="9998"))

    assert f"at revision 9999, this program knows {schema.HEAD}: upgrade the program" in said


async def test_during_a_rolling_upgrade_an_older_program_works_on_the_newer_schema(tmp_path: Path) -> None:
    path = await newer(tmp_path, floor=schema.HEAD)

    async with opened(sqlite_store, tmp_path) as scene:
        await scene.complete(await scene.started((await scene.submitted())[0]))

    found = schema.check(path)
    assert (found.revision, found.is_current, found.counts["tasks"]) == ("9999", False, 2)


async def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE songs (id INTEGER)")

    assert "another program's database (it holds: songs)" in await refusal(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]


async def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert "give this user the right" in await refusal(tmp_path / "file" / "record.db")
    assert "give this user the right" in await refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)

    assert "give this user the right" in await refusal(folder / "record.db")


async def test_several_stores_of_one_process_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    """Alembic's module globals got mixed up when two threads upgraded at the same moment."""
    stores = [store_at(tmp_path / "record.db") for _ in range(3)]
    await asyncio.gather(*(store.open() for store in stores))
    for store in stores:
        await store.ping()
        await store.close()


def test_two_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN_AND_CLOSE, str(tmp_path)]
    processes = [subprocess.Popen(command, cwd=Path.cwd()) for _ in range(3)]

    assert [process.wait() for process in processes] == [0, 0, 0]
    assert schema.check(tmp_path / "record.db").is_current


async def test_the_folder_is_made(tmp_path: Path) -> None:
    store = store_at(tmp_path / "a" / "b" / "record.db")
    await store.open()
    await store.close()

    assert (tmp_path / "a" / "b" / "record.db").exists()


def test_after_a_kill_everything_acknowledged_is_there(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert writer.stdout is not None
    told = [int(writer.stdout.readline()) for _ in range(200)]
    writer.kill()
    told += [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    writer.stdout.close()
    writer.wait()

    assert schema.check(tmp_path / "record.db").problems == ()
    with closing(sqlite3.connect(tmp_path / "record.db")) as connection:
        query = "SELECT t.id FROM tasks t JOIN results r ON r.task_id = t.id WHERE t.status = 'completed'"
        kept = {row[0] for row in connection.execute(query)}
    assert set(told) <= kept


async def test_check_counts_and_a_backup_is_a_whole_copy(tmp_path: Path) -> None:
    async with opened(sqlite_store, tmp_path) as scene:
        await scene.submitted(5)
        schema.backup(tmp_path / "record.db", tmp_path / "copy.db")
        await scene.submitted()

    copy = schema.check(tmp_path / "copy.db")
    assert (copy.revision, copy.is_current, copy.problems, copy.counts["tasks"]) == (schema.HEAD, True, (), 5)
    with pytest.raises(StoreUnusableError, match="exists already"):
        schema.backup(tmp_path / "record.db", tmp_path / "copy.db")
    with pytest.raises(StoreUnusableError, match="does not exist"):
        schema.check(tmp_path / "nothing.db")


def test_openers_of_a_new_file_wait_for_one_another(tmp_path: Path) -> None:
    """SQLite says busy at once, whatever its timeout, to whoever switches the journal while another does."""
    refused: list[Exception] = []

    def switch(path: Path, gate: threading.Barrier) -> None:
        with closing(sqlite3.connect(path, timeout=5)) as connection:
            gate.wait()
            try:
                _use_wal(connection)
            except sqlite3.OperationalError as error:
                refused.append(error)

    for number in range(100):
        gate = threading.Barrier(4)
        threads = [threading.Thread(target=switch, args=(tmp_path / f"{number}.db", gate)) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    assert not refused
