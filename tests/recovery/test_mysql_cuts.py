"""The connection to MariaDB is lost at each stage of a transaction: nothing is lost, nothing is done twice."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.contract.store_scene import CountingMeter, Scene, StillClock, mysql_url, opened
from tests.rig import mariadb
from tests.rig.traps import Fate, Proxy

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.ids import DEFAULT_TENANT, ModelId
from llm_scheduler.domain.model import Model
from llm_scheduler.domain.session import Vitals
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.store import Store, TaskFilter
from llm_scheduler.stores.mysql import MysqlStore

FATES = (Fate.CUT, Fate.LOSE_ANSWER, Fate.CUT_AFTER)
STAGES = (b"\x03BEGIN", b"INSERT INTO", b"FOR UPDATE", b"COMMIT")


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(mariadb.shared().port) as proxy:
        yield proxy


@asynccontextmanager
async def through(proxy: Proxy, folder: Path) -> AsyncIterator[Scene]:
    """A scene on the test's database, all of whose connections pass the proxy."""
    url = mysql_url(folder).replace(str(mariadb.shared().port), str(proxy.port))

    def make(_: Path, clock: StillClock, meter: CountingMeter) -> Store:
        return MysqlStore(url, clock, meter)

    async with opened(make, folder) as scene:
        await scene.submitted()  # so that blocks of ids are reserved, and the stages are those of a common batch
        yield scene


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("stage", STAGES)
async def test_a_submit_is_recorded_once(proxy: Proxy, tmp_path: Path, stage: bytes, fate: Fate) -> None:
    async with through(proxy, tmp_path) as scene:
        trap = proxy.trap(stage, fate)
        answers = await asyncio.gather(*(scene.submitted(2, metadata={"a": "b"}) for _ in range(5)))

        assert trap.sprung == (stage != b"FOR UPDATE")  # a submit locks nothing by itself
        ids = [one for answer in answers for one in answer]
        assert len(set(ids)) == 10
        assert sorted(await scene.listed(TaskFilter(metadata={"a": "b"}))) == sorted(ids)
        assert await scene.store.queued_count() == 11


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("stage", STAGES)
async def test_a_start_is_won_once(proxy: Proxy, tmp_path: Path, stage: bytes, fate: Fate) -> None:
    async with through(proxy, tmp_path) as scene:
        ids = await scene.submitted(5)
        trap = proxy.trap(stage, fate)

        started = await asyncio.gather(*(scene.start(task_id) for task_id in ids))

        assert trap.sprung == 1
        assert [one is not None and one.attempt for one in started] == [1] * 5
        assert [len(await scene.store.attempts(one)) for one in ids] == [1] * 5
        assert [await scene.said(one) for one in ids] == [["submitted", "started"]] * 5
        (model,) = await scene.store.models()
        assert model.total_requests == 5


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("stage", STAGES)
async def test_an_end_is_recorded_once(proxy: Proxy, tmp_path: Path, stage: bytes, fate: Fate) -> None:
    async with through(proxy, tmp_path) as scene:
        started = [await scene.started(task_id) for task_id in await scene.submitted(4)]
        trap = proxy.trap(stage, fate)

        answers = await asyncio.gather(
            *(scene.complete(one) for one in started[:2]), *(scene.retry_later(one) for one in started[2:])
        )

        assert trap.sprung == 1
        assert [one.is_accepted for one in answers] == [True] * 4
        tasks = [await scene.task(one.task_id) for one in started]
        assert [task.status for task in tasks] == [Status.COMPLETED] * 2 + [Status.SCHEDULED] * 2
        assert [task.failures for task in tasks] == [0, 0, 1, 1]
        assert [len(await scene.said(task.id)) for task in tasks] == [3] * 4
        (model,) = await scene.store.models()
        assert (model.total_requests, model.success_requests) == (4, 2)


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("stage", [b"\x03BEGIN", b"COMMIT", b"UPDATE"])
async def test_moves_by_hand_answer_as_if_nothing_had_happened(
    proxy: Proxy, tmp_path: Path, stage: bytes, fate: Fate
) -> None:
    async with through(proxy, tmp_path) as scene:
        one, two, three = await scene.submitted(3)
        await scene.fail(await scene.started(three))
        moves: list[tuple[Callable[[], object], object]] = [
            (lambda: scene.store.cancel([one, two]), 2),
            (lambda: scene.store.requeue([one, three], statuses=[Status.CANCELLED, Status.FAILED]), 2),
        ]
        for move, changed in moves:
            trap = proxy.trap(stage, fate)
            answer = await move()  # type: ignore[misc]
            assert trap.sprung == 1
            assert len(answer) == changed
            proxy.clear()
        trap = proxy.trap(stage, fate)
        added = await scene.store.add_model(Model(ModelId(0), DEFAULT_TENANT, "new", "scripted", {}))
        assert [model.id for model in await scene.store.models() if model.name == "new"] == [added.id]


@pytest.mark.parametrize("fate", FATES)
async def test_heartbeats_reads_and_ids_go_on(proxy: Proxy, tmp_path: Path, fate: Fate) -> None:
    async with through(proxy, tmp_path) as scene:
        for stage, call in (
            (b"UPDATE sessions", scene.store.ping),
            (b"next_id + 1", scene.store.ping),
            (b"SELECT COUNT", scene.store.queued_count),
            (b"CONSISTENT SNAPSHOT", lambda: scene.store.recent(60)),
            (b"LAST_INSERT_ID", lambda: scene.submitted(20_000)),
        ):
            trap = proxy.trap(stage, fate)
            await call()
            assert trap.sprung == (stage != b"UPDATE sessions"), stage
            proxy.clear()


async def test_a_commit_that_arrived_but_hangs_is_waited_for_not_done_twice(proxy: Proxy, tmp_path: Path) -> None:
    """The old connection is half-open: the server does not know that its client is gone."""
    async with through(proxy, tmp_path) as scene:
        (task_id,) = await scene.submitted()
        trap = proxy.trap(b"COMMIT", Fate.CUT_AFTER)
        won = await scene.start(task_id)

        assert trap.sprung == 1
        assert won is not None
        assert [one.attempt for one in await scene.store.attempts(task_id)] == [1]


async def test_a_transaction_that_a_lost_connection_left_open_is_ended(proxy: Proxy, tmp_path: Path) -> None:
    """SWALLOW leaves the server with an open transaction that holds the rows' locks; nobody would ever end it."""
    async with through(proxy, tmp_path) as scene:
        (task_id,) = await scene.submitted()
        trap = proxy.trap(b"INSERT INTO attempts", Fate.SWALLOW)
        stuck = asyncio.ensure_future(scene.start(task_id))
        assert await asyncio.to_thread(trap.wait, 5)

        began_at_s = time.monotonic()
        proxy.leave_server()
        won = await stuck

        assert won is not None
        assert time.monotonic() - began_at_s < 2.5
        ended = await scene.complete(won)
        assert (ended.is_accepted, ended.status) == (True, Status.COMPLETED)


async def test_without_a_server_callers_are_told_within_seconds_and_it_resumes(proxy: Proxy, tmp_path: Path) -> None:
    async with through(proxy, tmp_path) as scene:
        (task_id,) = await scene.submitted()
        proxy.refuse()
        began_at_s = time.monotonic()
        answers = await asyncio.gather(
            scene.submitted(), scene.start(task_id), scene.status(task_id), scene.store.ping(), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [StoreUnavailableError] * 4
        assert time.monotonic() - began_at_s < 6
        assert "p@ss" not in str(answers)

        began_at_s = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            await scene.submitted()
        assert time.monotonic() - began_at_s < 0.5  # once it is known to be away nobody waits for it

        proxy.accept()
        await scene.store.ping()
        assert await scene.start(task_id) is not None
        assert await scene.store.queued_count() == 1


async def test_a_frozen_server_holds_nobody_for_long(proxy: Proxy, tmp_path: Path) -> None:
    async with through(proxy, tmp_path) as scene:
        (task_id,) = await scene.submitted()
        await scene.status(task_id)
        proxy.freeze()
        began_at_s = time.monotonic()
        answers = await asyncio.gather(
            scene.submitted(), scene.start(task_id), scene.status(task_id), scene.store.ping(), return_exceptions=True
        )
        took_s = time.monotonic() - began_at_s
        proxy.thaw()

        assert [type(answer) for answer in answers] == [StoreUnavailableError] * 4
        assert took_s < 8
        await scene.store.ping()
        assert await scene.start(task_id) is not None


async def test_while_the_outcome_of_a_commit_is_unknown_others_are_not_held(proxy: Proxy, tmp_path: Path) -> None:
    async with through(proxy, tmp_path) as scene:
        task_id, other_id = await scene.submitted(2)
        trap = proxy.trap(b"COMMIT", Fate.MUTE)
        unknown = asyncio.ensure_future(scene.start(task_id))
        assert await asyncio.to_thread(trap.wait, 5)
        proxy.freeze()

        began_at_s = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            await scene.store.cancel([other_id])
        took_s = time.monotonic() - began_at_s
        is_still_unknown = not unknown.done()
        proxy.thaw()

        assert took_s < 8
        assert is_still_unknown
        assert await unknown is not None
        assert [one.attempt for one in await scene.store.attempts(task_id)] == [1]


async def test_a_heartbeat_does_not_wait_for_a_batch_that_hangs(proxy: Proxy, tmp_path: Path) -> None:
    async with through(proxy, tmp_path) as scene:
        (task_id,) = await scene.submitted()
        trap = proxy.trap(b"INSERT INTO task_logs", Fate.HOLD)
        cancelling = asyncio.ensure_future(scene.store.cancel([task_id]))
        try:
            assert await asyncio.to_thread(trap.wait, 5)
            async with asyncio.timeout(5):
                answer = await scene.store.beat(scene.session, Vitals(running=1, cpu_percent=0.0, rss_bytes=0))
            assert answer.is_alive
            assert not cancelling.done()
        finally:
            trap.release()
        assert [moved.task_id for moved in await cancelling] == [task_id]


async def test_it_closes_though_all_who_waited_have_left(proxy: Proxy, tmp_path: Path) -> None:
    async with through(proxy, tmp_path) as scene:
        (task_id,) = await scene.submitted()
        trap = proxy.trap(b"INSERT INTO attempts", Fate.HOLD)
        running = asyncio.ensure_future(scene.start(task_id))
        assert await asyncio.to_thread(trap.wait, 5)
        waiting = asyncio.ensure_future(scene.store.cancel([task_id]))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(scene.store.close())
        await asyncio.sleep(0)
        waiting.cancel()
        trap.release()
        async with asyncio.timeout(5):
            await closing
        assert await running is not None
