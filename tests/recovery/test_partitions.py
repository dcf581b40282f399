"""Ranges of tasks on a real MariaDB: dropped as one when they are over, and never with a task that lives."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.store_scene import NOON, CountingMeter, Scene, StillClock
from tests.live import wait_until
from tests.rig import mariadb
from tests.rig.mariadb import MariaDb

from llm_scheduler.api.archived import archive_line
from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, TaskId
from llm_scheduler.domain.model import Model
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.retention import IdRange
from llm_scheduler.ports.store import TaskFilter
from llm_scheduler.services.retention import Retention
from llm_scheduler.stores.archive import reading
from llm_scheduler.stores.archive.writing import NdjsonArchive
from llm_scheduler.stores.mysql import MysqlStore, partitions
from llm_scheduler.telemetry.prometheus import PrometheusMeter

DAY_S = 86_400
NAME = "ranges"
MILLION = 1_000_000


class Ranged(Scene):
    """A scene whose tasks get ids on both sides of a million."""

    server: MariaDb

    def sql(self, text: str) -> str:
        return self.server.sql(text, NAME)

    async def finished(self, count: int) -> list[TaskId]:
        ids = await self.submitted(count, metadata={"a": "b"}, idempotency_key=None)
        for task_id in ids:
            await self.complete(await self.started(task_id))
        return ids

    def rows(self, table: str) -> int:
        return int(self.sql(f"SELECT COUNT(*) FROM {table}"))  # noqa: S608

    def parts(self, table: str = "tasks") -> list[str]:
        return self.sql(
            "SELECT partition_name FROM information_schema.partitions WHERE table_schema = 'ranges' "  # noqa: S608
            f"AND table_name = '{table}' ORDER BY partition_ordinal_position"
        ).split()

    async def range_of(self, task_id: int) -> IdRange:
        return next(one for one in await self.store.id_ranges() if one.first <= task_id < one.past)


@pytest.fixture
async def scene() -> AsyncIterator[Ranged]:
    server = mariadb.shared()
    server.create(NAME)
    clock = StillClock()
    store = MysqlStore(server.url(NAME), clock, CountingMeter())
    await store.open()
    server.sql("UPDATE id_blocks SET next_id = 999998 WHERE name = 'tasks'", NAME)
    model = await store.add_model(Model(ModelId(0), DEFAULT_TENANT, "m", "scripted", {}))
    made = Ranged(store, clock, model, await store.open_session("here", 1, "1.0"))
    made.server = server
    yield made
    await store.close()
    server.sql(f"DROP DATABASE {NAME}")


def retention(scene: Ranged, folder: Path) -> Retention:
    archive = NdjsonArchive(folder)
    return Retention(scene.store, archive, lambda whole: archive_line(whole, str), scene.clock, PrometheusMeter(), 30)


def archived(folder: Path) -> list[int]:
    return [json.loads(line)["id"] for file in reading.files(folder) for line in reading.lines(file)]


async def test_a_range_that_is_over_is_archived_and_dropped_from_every_table(scene: Ranged, tmp_path: Path) -> None:
    ids = await scene.finished(6)
    assert (ids[0], ids[-1]) == (999_998, 1_000_003)
    scene.clock.pass_s(31 * DAY_S)

    await retention(scene, tmp_path).step()

    assert archived(tmp_path) == ids
    assert await scene.listed(TaskFilter()) == []
    for table in partitions.TABLES:
        assert "p1000000" not in scene.parts(table)
        assert scene.rows(table) == 0


async def test_a_range_with_one_unfinished_task_stays_and_the_others_go_by_rows(scene: Ranged, tmp_path: Path) -> None:
    (held,) = await scene.submitted()
    ids = await scene.finished(4)
    scene.clock.pass_s(31 * DAY_S)

    await retention(scene, tmp_path).step()

    assert archived(tmp_path) == ids
    assert "p1000000" in scene.parts()
    assert await scene.listed(TaskFilter()) == [held]

    await scene.complete(await scene.started(held))
    scene.clock.pass_s(31 * DAY_S)
    await retention(scene, tmp_path).step()
    assert "p1000000" not in scene.parts()
    assert sorted(archived(tmp_path)) == [held, *ids]


@pytest.mark.parametrize("how", ["requeued", "requeued and cancelled", "requeued and completed", "submitted"])
async def test_a_range_in_which_a_task_moved_since_it_was_seen_is_not_dropped(scene: Ranged, how: str) -> None:
    ids = await scene.submitted(4)
    for task_id in ids:
        await scene.fail(await scene.started(task_id))
    scene.clock.pass_s(31 * DAY_S)
    within = await scene.range_of(999_999)
    over = await scene.store.over(within, Millis(scene.clock.now() - 30 * DAY_S * 1000))
    assert over is not None
    assert over.tasks == 2
    scene.clock.pass_s(5)
    if how == "submitted":  # by a process that had kept its block of ids
        scene.sql("UPDATE id_blocks SET next_id = 10 WHERE name = 'tasks'")
        other = MysqlStore(scene.server.url(NAME), scene.clock, CountingMeter())
        await other.open()
        await other.submit([scene.new()])
        await other.close()
    else:
        await scene.store.requeue([ids[1]], statuses=[Status.FAILED])
    if how == "requeued and cancelled":
        await scene.store.cancel([ids[1]])
    if how == "requeued and completed":
        await scene.complete(await scene.started(ids[1], 1))

    assert not await scene.store.drop_range(within, over.seen_at)

    assert "p1000000" in scene.parts()
    assert len(await scene.listed(TaskFilter())) == (5 if how == "submitted" else 4)


async def test_a_revival_that_waits_for_the_drop_finds_the_task_gone(scene: Ranged) -> None:
    """Whoever comes second loses: there is no moment at which a revived task is dropped."""
    ids = await scene.submitted(3)
    for task_id in ids:
        await scene.fail(await scene.started(task_id))
    scene.clock.pass_s(31 * DAY_S)
    within = await scene.range_of(999_999)
    over = await scene.store.over(within, scene.clock.now())
    assert over is not None

    dropped, revived = await asyncio.gather(
        scene.store.drop_range(within, over.seen_at),
        scene.store.requeue([ids[0]], statuses=[Status.FAILED]),
    )

    kept = await scene.store.task(ids[0])
    assert (kept is None) is dropped
    assert bool(revived) is not dropped


async def test_a_long_query_puts_the_drop_off_without_stopping_the_others(
    scene: Ranged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "TRIES", 2)
    monkeypatch.setattr(partitions, "PAUSE_S", 0.1)
    await scene.finished(3)
    scene.clock.pass_s(31 * DAY_S)
    within = await scene.range_of(999_999)
    over = await scene.store.over(within, scene.clock.now())
    assert over is not None
    query = threading.Thread(target=scene.sql, args=("SELECT COUNT(*), SLEEP(6) FROM tasks LIMIT 1",))
    query.start()
    try:
        wait_until("the query runs", lambda: "SLEEP(6)" in scene.server.sql("SHOW FULL PROCESSLIST"))

        with pytest.raises(StoreUnavailableError, match="long query"):
            await scene.store.drop_range(within, over.seen_at)

        assert query.is_alive()
        assert len(await scene.submitted()) == 1
    finally:
        query.join()


async def test_a_drop_that_was_cut_off_is_finished_later(scene: Ranged) -> None:
    await scene.finished(3)
    scene.sql("ALTER TABLE tasks DROP PARTITION p1000000")

    await scene.store.make_ranges()

    for table in partitions.TABLES:
        assert "p1000000" not in scene.parts(table)


async def test_leftovers_stay_when_a_late_task_lives_below(scene: Ranged) -> None:
    await scene.finished(3)
    scene.sql("ALTER TABLE tasks DROP PARTITION p1000000")
    scene.sql("UPDATE tasks SET id = 17 WHERE id = 1000000")

    await scene.store.make_ranges()

    assert "p1000000" in scene.parts("attempts")


async def test_ranges_are_made_ahead_of_the_ids(scene: Ranged) -> None:
    await scene.store.make_ranges()
    assert await scene.store.make_ranges() == 0
    scene.sql("UPDATE id_blocks SET next_id = 3200000 WHERE name = 'tasks'")

    assert await scene.store.make_ranges() == 2

    for table in partitions.TABLES:
        assert scene.parts(table)[-3:] == ["p4000000", "p5000000", "pmax"]
    assert await scene.store.make_ranges() == 0


async def test_a_last_range_that_is_full_is_left_alone(scene: Ranged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "MOST_REST", 2)
    await scene.submitted(1)
    scene.sql("UPDATE tasks SET id = 3100000")
    for number in range(3):
        steps = [
            "CREATE TEMPORARY TABLE one AS SELECT * FROM tasks LIMIT 1",
            f"UPDATE one SET id = {3_200_000 + number}",  # noqa: S608 - a number
            "INSERT INTO tasks SELECT * FROM one",
        ]
        scene.sql("; ".join(steps))
    scene.sql("UPDATE id_blocks SET next_id = 3300000 WHERE name = 'tasks'")

    await scene.store.make_ranges()

    assert scene.parts()[-1] == "pmax"
    assert "p4000000" not in scene.parts()


async def test_a_table_that_was_never_cut_is_one_range(scene: Ranged) -> None:
    scene.sql("ALTER TABLE tasks REMOVE PARTITIONING")
    ids = await scene.finished(3)

    (only,) = await scene.store.id_ranges()

    assert not only.is_droppable
    page = await scene.store.candidates(only, Millis(NOON + MILLION), 0, 10)
    assert [one.task_id for one in page.found] == ids


async def test_two_droppers_at_once_drop_once_and_neither_fails_for_long(scene: Ranged, tmp_path: Path) -> None:
    ids = await scene.finished(5)
    scene.clock.pass_s(31 * DAY_S)
    walks: list[Any] = [retention(scene, tmp_path / str(number)).step() for number in range(2)]

    await asyncio.gather(*walks, return_exceptions=True)
    scene.clock.pass_s(61)
    await retention(scene, tmp_path / "2").step()

    assert await scene.listed(TaskFilter()) == []
    assert {one for number in range(3) for one in archived(tmp_path / str(number))} == set(ids)
