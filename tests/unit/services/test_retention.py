"""Retention over a real record and a real archive, with a clock that stands still."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.contract.store_scene import MAKERS, CountingMeter, Scene, opened

from llm_scheduler.api.archived import archive_line
from llm_scheduler.domain.errors import ArchiveUnavailableError, StoreUnavailableError
from llm_scheduler.domain.ids import Millis, TaskId
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.retention import Archive, Over
from llm_scheduler.ports.store import TaskFilter
from llm_scheduler.services import retention as service
from llm_scheduler.services.retention import Retention
from llm_scheduler.stores.archive import reading
from llm_scheduler.stores.archive.writing import NdjsonArchive, NoArchive
from llm_scheduler.telemetry.prometheus import PrometheusMeter

DAY_S = 86_400


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened(MAKERS["sqlite"], tmp_path, CountingMeter()) as made:
        yield made


class Through:
    """A record that fails where it is told to, and counts."""

    def __init__(self, scene: Scene) -> None:
        self.inner, self.fails_at, self.calls = scene.store, "", []

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            self.calls.append(name)
            if name == self.fails_at:
                raise StoreUnavailableError("as told")
            return await getattr(self.inner, name)(*arguments)

        return call


def made(scene: Scene, folder: Path, *, archive: Archive | None = None, days: float = 30, store: Any = None):
    meter = PrometheusMeter()
    built = Retention(
        store or scene.store,
        archive or NdjsonArchive(folder),
        lambda whole: archive_line(whole, lambda model_id: f"m{model_id}"),
        scene.clock,
        meter,
        days,
    )
    return SimpleNamespace(step=built.step, meter=meter, retention=built)


def archived(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in reading.files(folder) for line in reading.lines(file)]


async def finished(scene: Scene, count: int, **changes: Any) -> Sequence[TaskId]:
    ids = await scene.submitted(count, **changes)
    for task_id in ids:
        await scene.complete(await scene.started(task_id))
    return ids


async def test_old_tasks_move_from_the_record_to_the_archive_and_young_ones_stay(scene: Scene, tmp_path: Path) -> None:
    old = await finished(scene, 5, metadata={"run": "é"}, input='{"messages":\n [1]}')
    (waiting,) = await scene.submitted()
    scene.clock.pass_s(31 * DAY_S)
    young = await finished(scene, 2)
    one = made(scene, tmp_path / "a")

    await one.step()

    assert sorted(await scene.listed(TaskFilter())) == sorted([waiting, *young])
    lines = archived(tmp_path / "a")
    assert [line["id"] for line in lines] == list(old)
    first = lines[0]
    assert (first["v"], first["status"], first["model"]) == (1, "completed", f"m{scene.model.id}")
    assert first["input"] == {"messages": [1]}
    assert first["output"] == {"text": "hello", "raw": {"a": 1}}
    assert first["metadata"] == {"run": "é"}
    assert [attempt["outcome"] for attempt in first["attempts"]] == ["completed"]
    assert first["logs"][0]["message"] == "submitted"
    assert "queue_position" not in first
    text = one.meter.render().decode()
    assert "tasks_archived_total 5.0" in text
    assert "tasks_retired_total 5.0" in text
    assert "retention_last_run_timestamp_seconds 1.8" in text


async def test_the_file_is_that_of_the_day_on_which_a_task_finished(scene: Scene, tmp_path: Path) -> None:
    first, second = await scene.submitted(2)
    await scene.complete(await scene.started(first))
    scene.clock.pass_s(2 * DAY_S)
    await scene.complete(await scene.started(second))
    scene.clock.pass_s(40 * DAY_S)

    await made(scene, tmp_path / "a").step()

    days = [file.day for file in reading.files(tmp_path / "a")]
    assert days == ["2027-01-15", "2027-01-17"]


async def test_a_revived_dead_letter_is_not_touched(scene: Scene, tmp_path: Path) -> None:
    dead, revived = await scene.submitted(2)
    for task_id in (dead, revived):
        await scene.fail(await scene.started(task_id))
    scene.clock.pass_s(31 * DAY_S)
    await scene.store.requeue([revived], statuses=[Status.FAILED])

    await made(scene, tmp_path / "a").step()

    assert await scene.listed(TaskFilter()) == [revived]
    assert [line["id"] for line in archived(tmp_path / "a")] == [dead]


async def test_without_an_archive_they_are_dropped(scene: Scene, tmp_path: Path) -> None:
    await finished(scene, 4)
    scene.clock.pass_s(31 * DAY_S)
    store = Through(scene)

    await made(scene, tmp_path / "a", archive=NoArchive(), store=store).step()

    assert await scene.listed(TaskFilter()) == []
    assert not (tmp_path / "a").exists()
    assert "whole" not in store.calls


@pytest.mark.parametrize("place", ["candidates", "whole", "retire", "forget"])
async def test_after_a_failure_anywhere_every_task_is_in_the_record_or_in_the_archive(
    scene: Scene, tmp_path: Path, place: str
) -> None:
    ids = await finished(scene, 6)
    scene.clock.pass_s(31 * DAY_S)
    store = Through(scene)
    store.fails_at = place
    one = made(scene, tmp_path / "a", store=store)

    with pytest.raises(StoreUnavailableError):
        await one.step()

    kept = set(await scene.listed(TaskFilter()))
    assert kept | {line["id"] for line in archived(tmp_path / "a")} == set(ids)
    assert "retention_errors_total 1.0" in one.meter.render().decode()
    store.fails_at = ""
    scene.clock.pass_s(61)
    await one.step()
    assert await scene.listed(TaskFilter()) == []
    assert {line["id"] for line in archived(tmp_path / "a")} == set(ids)


async def test_rows_stay_when_the_archive_cannot_be_written(scene: Scene, tmp_path: Path) -> None:
    ids = await finished(scene, 3)
    scene.clock.pass_s(31 * DAY_S)
    (tmp_path / "a").write_text("in the way")

    with pytest.raises(ArchiveUnavailableError):
        await made(scene, tmp_path / "a").step()

    assert sorted(await scene.listed(TaskFilter())) == list(ids)


async def test_rows_go_only_after_their_file_is_sealed(scene: Scene, tmp_path: Path) -> None:
    await finished(scene, 3)
    scene.clock.pass_s(31 * DAY_S)
    seen: list[str] = []

    class Watched(NdjsonArchive):
        async def seal(self) -> int:
            seen.append(f"seal with {len(await scene.listed(TaskFilter()))} in the record")
            return await super().seal()

    await made(scene, tmp_path, archive=Watched(tmp_path / "a")).step()

    assert seen == ["seal with 3 in the record"]


async def test_two_walks_at_once_remove_each_task_once_and_lose_none(scene: Scene, tmp_path: Path) -> None:
    ids = await finished(scene, 40)
    scene.clock.pass_s(31 * DAY_S)
    first, second = made(scene, tmp_path / "a"), made(scene, tmp_path / "a")

    await asyncio.gather(first.step(), second.step())

    assert await scene.listed(TaskFilter()) == []
    assert {line["id"] for line in archived(tmp_path / "a")} == set(ids)
    removed = [one.meter.registry.get_sample_value("tasks_retired_total") for one in (first, second)]
    assert sum(removed) == 40


async def test_a_stop_in_the_middle_leaves_no_half_file(scene: Scene, tmp_path: Path) -> None:
    await finished(scene, 3)
    scene.clock.pass_s(31 * DAY_S)
    reached = asyncio.Event()

    class Stuck(NdjsonArchive):
        async def seal(self) -> int:
            reached.set()
            await asyncio.Event().wait()
            return 0

    walk = asyncio.create_task(made(scene, tmp_path, archive=Stuck(tmp_path / "a")).step())
    await reached.wait()
    walk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await walk

    assert [path for path in (tmp_path / "a").rglob("*") if path.is_file()] == []
    assert len(await scene.listed(TaskFilter())) == 3


async def test_a_walk_ends_where_everything_is_young(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PAGE", 2)
    monkeypatch.setattr(service, "YOUNG_PAGES", 2)
    await finished(scene, 3)
    scene.clock.pass_s(31 * DAY_S)
    await finished(scene, 20)
    store = Through(scene)

    await made(scene, tmp_path / "a", store=store).step()

    assert len(await scene.listed(TaskFilter())) == 20
    assert store.calls.count("candidates") == 4


async def test_the_next_walk_comes_after_a_rest(scene: Scene, tmp_path: Path) -> None:
    store = Through(scene)
    one = made(scene, tmp_path / "a", store=store)
    for _ in range(3):
        await one.step()
        scene.clock.pass_s(5)
    assert store.calls.count("candidates") == 1

    scene.clock.pass_s(3_600)
    await one.step()
    assert store.calls.count("candidates") == 2


@pytest.mark.parametrize("days", [0.001, 1])
async def test_today_and_yesterday_are_kept_for_the_statistics(scene: Scene, tmp_path: Path, days: float) -> None:
    one = made(scene, tmp_path / "a", days=days).retention
    now = scene.clock.now()
    midnight = now - now % (DAY_S * 1000)

    assert one.cut().tasks == min(midnight, now) - DAY_S * 1000


async def test_large_tasks_are_read_a_few_at_a_time(scene: Scene, tmp_path: Path) -> None:
    await finished(scene, 6, input=f'{{"messages": "{"x" * 2_000_000}"}}')
    scene.clock.pass_s(31 * DAY_S)
    store = Through(scene)

    await made(scene, tmp_path / "a", store=store).step()

    assert store.calls.count("whole") == 3
    assert len(archived(tmp_path / "a")) == 6


class Ranged(Through):
    """A record of one range that can be dropped."""

    def __init__(self, scene: Scene, *, may_drop: bool, newest_at: Millis) -> None:
        super().__init__(scene)
        self.may_drop, self.newest_at = may_drop, newest_at

    async def id_ranges(self) -> Sequence[Any]:
        (whole,) = await self.inner.id_ranges()
        return [whole._replace(newest_at=self.newest_at, is_droppable=True)]

    async def over(self, *_: Any) -> Over:
        return Over(self.newest_at, 3)

    async def drop_range(self, *_: Any) -> bool:
        self.calls.append("drop_range")
        return self.may_drop


@pytest.mark.parametrize("may_drop", [True, False])
async def test_a_range_that_is_over_is_archived_before_it_is_dropped_and_else_goes_by_rows(
    scene: Scene, tmp_path: Path, may_drop: bool
) -> None:
    ids = await finished(scene, 3)
    created_at = scene.clock.now()
    scene.clock.pass_s(31 * DAY_S)
    store = Ranged(scene, may_drop=may_drop, newest_at=created_at)

    await made(scene, tmp_path / "a", store=store).step()

    assert store.calls.index("whole") < store.calls.index("drop_range")
    assert {line["id"] for line in archived(tmp_path / "a")} == set(ids)
    assert ("retire" in store.calls) is not may_drop


async def test_a_range_that_will_soon_be_over_is_left_to_be_dropped_as_one(scene: Scene, tmp_path: Path) -> None:
    await finished(scene, 3)
    scene.clock.pass_s(31 * DAY_S)
    soon = Ranged(scene, may_drop=True, newest_at=Millis(scene.clock.now() - 29 * DAY_S * 1000))
    later = Ranged(scene, may_drop=True, newest_at=Millis(scene.clock.now() - 20 * DAY_S * 1000))

    await made(scene, tmp_path / "a", store=soon).step()
    assert len(await scene.listed(TaskFilter())) == 3
    await made(scene, tmp_path / "a", store=later).step()

    assert await scene.listed(TaskFilter()) == []


async def test_only_what_the_archive_was_given_leaves_the_record(scene: Scene, tmp_path: Path) -> None:
    ids = await finished(scene, 3)
    scene.clock.pass_s(31 * DAY_S)

    class Blind(Through):
        async def whole(self, task_ids: Sequence[TaskId]) -> Any:
            return [one for one in await self.inner.whole(task_ids) if one.task.id != ids[1]]

    await made(scene, tmp_path / "a", store=Blind(scene)).step()

    assert await scene.listed(TaskFilter()) == [ids[1]]
