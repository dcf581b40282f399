"""Group commit: many operations, one transaction; trouble of one or of the disk."""

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.contract.store_scene import CountingMeter, opened, sqlite_store

from llm_scheduler.domain.errors import InvalidInputError, StoreUnavailableError
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.tenant import Tenant
from llm_scheduler.ports.store import TaskFilter
from llm_scheduler.stores.sqlite import connection as connections
from llm_scheduler.stores.sqlite.readers import Readers

MEGABYTE = "x" * 1_000_000


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """No file may grow any more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(file.stat().st_size for file in folder.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_operations_that_wait_together_share_a_commit(tmp_path: Path) -> None:
    meter = CountingMeter()
    async with opened(sqlite_store, tmp_path, meter) as scene:
        meter.batches.clear()

        await asyncio.gather(*(scene.submitted() for _ in range(1000)))

        assert sum(meter.batches) == 1000
        assert len(meter.batches) < 100
        assert max(meter.batches) <= 256


async def test_a_poisonous_operation_fails_alone_among_all_kinds(tmp_path: Path) -> None:
    meter = CountingMeter()
    async with opened(sqlite_store, tmp_path, meter) as scene:
        one, two = [await scene.started(task_id) for task_id in await scene.submitted(2)]
        meter.batches.clear()

        answers = await asyncio.gather(
            scene.submitted(3),
            scene.submitted(input="\udcff"),
            scene.submitted(est_tokens=2**70),
            scene.complete(one, output="\udcff"),
            scene.complete(two),
            scene.store.save_tenant(Tenant(DEFAULT_TENANT, "still")),
            return_exceptions=True,
        )

        assert [isinstance(answer, InvalidInputError) for answer in answers] == [False, True, True, True, False, False]
        assert await scene.store.queued_count() == 3
        assert len(await scene.store.running()) == 1
        ids = await scene.submitted(2)
        assert len(set(await scene.listed(TaskFilter()))) == 7
        assert max(ids) == (await scene.listed(TaskFilter()))[0]


async def test_a_caller_that_goes_away_breaks_no_batch(tmp_path: Path) -> None:
    async with opened(sqlite_store, tmp_path) as scene:
        leaving = [asyncio.ensure_future(scene.submitted()) for _ in range(10)]
        staying = [asyncio.ensure_future(scene.submitted()) for _ in range(10)]
        await asyncio.sleep(0)
        for one in leaving:
            one.cancel()

        answers = await asyncio.gather(*staying)

        assert len({task_id for (task_id,) in answers}) == 10


async def test_on_a_full_disk_nothing_is_acknowledged_and_it_recovers(tmp_path: Path) -> None:
    async with opened(sqlite_store, tmp_path) as scene:
        await scene.submitted()
        with full_disk(tmp_path):
            answers = await asyncio.gather(*(scene.submitted(input=MEGABYTE) for _ in range(5)), return_exceptions=True)
            assert all(isinstance(answer, StoreUnavailableError) for answer in answers)
            with pytest.raises(StoreUnavailableError, match="disk"):
                await scene.submitted(input=MEGABYTE)
            assert await scene.store.queued_count() == 1

        await scene.store.ping()
        await scene.submitted(3, input=MEGABYTE)
        assert await scene.store.queued_count() == 4


async def test_while_another_process_holds_the_lock_callers_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_TIMEOUT_MS", 50)
    async with opened(sqlite_store, tmp_path) as scene:
        with closing(sqlite3.connect(tmp_path / "record.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailableError, match="locked"):
                await scene.submitted()
            other.execute("ROLLBACK")

        assert len(await scene.submitted()) == 1


async def test_a_query_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n"
    async with opened(sqlite_store, tmp_path):
        readers = Readers(tmp_path / "record.db", time_limit_s=0.1)
        try:
            with pytest.raises(StoreUnavailableError, match="too long"):
                await readers.read(lambda reader: reader.value(endless))
            assert await readers.read(lambda reader: reader.value("SELECT 1")) == 1
        finally:
            readers.close()


async def test_a_refused_list_leaves_no_row_behind(tmp_path: Path) -> None:
    """The poison stands beyond the first statement's rows, and others are in the same batch."""
    async with opened(sqlite_store, tmp_path) as scene:
        tasks = [*(scene.new() for _ in range(300)), scene.new(input="\ud800")]

        refused, _ = await asyncio.gather(scene.store.submit(tasks), scene.submitted(), return_exceptions=True)

        assert isinstance(refused, InvalidInputError)
        assert await scene.store.queued_count() == 1


async def test_ids_of_a_block_that_was_rolled_back_are_not_given_twice(tmp_path: Path) -> None:
    """The very first submit reserves the block, and its transaction is rolled back."""
    async with opened(sqlite_store, tmp_path) as scene:
        await asyncio.gather(scene.submitted(input="\ud800"), scene.submitted(), return_exceptions=True)
        with pytest.raises(InvalidInputError):
            await scene.submitted(20_000, input="\ud800")
        first = await scene.submitted(20_001)

    async with opened(sqlite_store, tmp_path) as scene:
        assert min(await scene.submitted()) > max(first)
        assert await scene.store.queued_count() == 20_003


def test_a_commit_is_on_disk_when_it_returns(tmp_path: Path) -> None:
    with closing(connections.open_writer(tmp_path / "record.db")) as connection:
        pragmas = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]

    assert pragmas == ["wal", 2]  # 2 = FULL: the log is synchronised before COMMIT answers
