"""Lists and figures from a replica; a second database stands in for it, copied by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.contract.store_scene import CountingMeter, Scene, StillClock, opened
from tests.rig import mariadb
from tests.rig.traps import Proxy

from llm_scheduler.domain.status import Status
from llm_scheduler.ports.store import Store, TaskFilter
from llm_scheduler.stores.mysql import MysqlStore, replica
from llm_scheduler.stores.tables import METADATA


@asynccontextmanager
async def replicated(folder: Path, port: int | None = None) -> AsyncIterator[Scene]:
    """A store whose replica is a database that `copy` brings up to date; it knows tasks as of another name."""
    server = mariadb.shared()
    url, read_url = server.create("main"), server.create("copy")

    def plain(_: Path, clock: StillClock, meter: CountingMeter) -> Store:
        return MysqlStore(read_url, clock, meter)

    def make(_: Path, clock: StillClock, meter: CountingMeter) -> Store:
        there = read_url if port is None else server.url("copy", port)
        return MysqlStore(url, clock, meter, read_url=there)

    async with opened(plain, folder):
        pass
    async with opened(make, folder) as scene:
        yield scene


async def copy() -> None:
    """What replication does, all at once; tasks are marked, so that one sees where an answer comes from."""
    tables = sorted(METADATA.tables)
    copies = [f"DELETE FROM copy.{name}; INSERT INTO copy.{name} SELECT * FROM main.{name}" for name in tables]  # noqa: S608
    await asyncio.to_thread(mariadb.shared().sql, "; ".join([*copies, "UPDATE copy.tasks SET type = 'copied'"]))


async def types(scene: Scene) -> set[str]:
    return {task.type for task in (await scene.store.tasks(TaskFilter(), limit=10)).items}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "UNMARKED_S", 0.2)
    monkeypatch.setattr(replica, "AWAY_S", 0.2)


async def test_lists_come_from_the_replica_when_it_has_all_that_was_written_here(tmp_path: Path) -> None:
    async with replicated(tmp_path) as scene:
        (one,) = await scene.submitted()
        assert await types(scene) == {"chat"}  # not copied yet: the primary answers
        await copy()
        assert await types(scene) == {"copied"}

        await scene.complete(await scene.started(one))
        assert await scene.store.counts(TaskFilter()) == {Status.COMPLETED: 1}
        assert (await scene.store.recent(60)).completed == 1
        assert await types(scene) == {"chat"}
        await copy()
        assert await types(scene) == {"copied"}


async def test_single_tasks_and_decisions_never_come_from_the_replica(tmp_path: Path) -> None:
    async with replicated(tmp_path) as scene:
        (one,) = await scene.submitted()
        await copy()

        assert (await scene.task(one)).type == "chat"
        assert [task.type for task in await scene.store.waiting_page(None, 10)] == ["chat"]
        mariadb.shared().sql("DELETE FROM copy.tasks; DELETE FROM copy.models; DELETE FROM copy.sessions")
        assert await scene.store.queued_count() == 1
        assert len(await scene.store.models()) == 1
        assert len(await scene.store.sessions()) == 1
        assert await scene.store.promote(10) == []
        await scene.started(one)
        assert len(await scene.store.running()) == 1
        assert len(await scene.store.recent_starts(60)) == 1
        assert len(await scene.store.logs(one)) == 2


async def test_a_change_without_a_mark_is_seen_at_once(tmp_path: Path) -> None:
    async with replicated(tmp_path) as scene:
        (one,) = await scene.submitted()
        await copy()
        assert await types(scene) == {"copied"}

        await scene.store.set_priority([one], 1)

        assert [task.priority for task in (await scene.store.tasks(TaskFilter(), limit=10)).items] == [1]
        await asyncio.sleep(0.25)
        assert await types(scene) == {"copied"}


async def test_a_replica_that_is_away_costs_a_list_nothing_but_a_moment(tmp_path: Path) -> None:
    with Proxy(mariadb.shared().port) as proxy:
        async with replicated(tmp_path, proxy.port) as scene:
            await scene.submitted()
            await copy()
            assert await types(scene) == {"copied"}
            proxy.refuse()
            async with asyncio.timeout(6):
                assert await types(scene) == {"chat"}
                assert await types(scene) == {"chat"}
            proxy.accept()
            async with asyncio.timeout(10):
                while await types(scene) != {"copied"}:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.02)
