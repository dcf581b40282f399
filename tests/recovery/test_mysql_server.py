"""MariaDB is killed, frozen, shut down and told to end connections while stores write."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from tests.contract.store_scene import CountingMeter, Scene, StillClock, opened
from tests.rig.mariadb import MariaDb

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.ids import TaskId
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.store import StartedTask, Store, TaskFilter
from llm_scheduler.stores.mysql import DatabaseClock, MysqlStore


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    """A durable one of our own: a commit is on disk when it is answered."""
    server = MariaDb(tmp_path_factory.mktemp("maria"), ("--innodb-buffer-pool-size=128M",))
    server.start()
    yield server
    server.close()


@asynccontextmanager
async def record(server: MariaDb, folder: Path) -> AsyncIterator[Scene]:
    url = server.create("record")

    def make(_: Path, clock: StillClock, meter: CountingMeter) -> Store:
        return MysqlStore(url, clock, meter)

    async with opened(make, folder) as scene:
        yield scene


class Work:
    """Submits, starts and ends for ever, and remembers what was acknowledged."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.acknowledged: set[TaskId] = set()
        self.won: list[StartedTask] = []
        self.recorded: set[TaskId] = set()
        self.refused = 0
        self.is_over = False

    async def run(self) -> None:
        while not self.is_over:
            with suppress(StoreUnavailableError):
                for task_id in await self.scene.submitted(3, input="x" * 2000):
                    self.acknowledged.add(task_id)
                    if (started := await self.scene.start(task_id)) is not None:
                        self.won.append(started)
                        await self.record(started)
                continue
            self.refused += 1

    async def record(self, started: StartedTask) -> None:
        """Held by the worker until the record takes it."""
        while started.task_id not in self.recorded:
            try:
                answer = await self.scene.complete(started)
            except StoreUnavailableError:
                self.refused += 1
                await asyncio.sleep(0.05)
            else:
                assert answer.is_accepted
                self.recorded.add(started.task_id)

    async def check(self) -> None:
        """Nothing lost, nothing twice."""
        store = self.scene.store
        assert self.acknowledged <= await self._listed(TaskFilter())
        assert Counter(one.task_id for one in self.won).most_common(1)[0][1] == 1
        assert await self._listed(TaskFilter(statuses=(Status.COMPLETED,))) == self.recorded
        for started in self.won[:: max(len(self.won) // 50, 1)]:
            assert len(await store.attempts(started.task_id)) == 1
            assert await self.scene.said(started.task_id) == ["submitted", "started", "completed in 1.2 s"]
        (model,) = await store.models()
        # Starts whose outcome nobody learnt may be there too; a worker finds them as strays of its own.
        assert model.total_requests >= len(self.won)
        assert model.success_requests == len(self.recorded)

    async def _listed(self, where: TaskFilter) -> set[TaskId]:
        return {task_id for page in await self.scene.pages(where, 1000) for task_id in page}


async def until(condition: Callable[[], bool], within_s: float = 40) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - work goes on in other tasks
            await asyncio.sleep(0.02)


@asynccontextmanager
async def at_work(scene: Scene, lanes: int = 10) -> AsyncIterator[Work]:
    """Lanes that work; at the end what they were told is compared with the record."""
    work = Work(scene)
    running = [asyncio.create_task(work.run()) for _ in range(lanes)]
    try:
        yield work
        work.is_over = True
        await asyncio.gather(*running)
    finally:
        for one in running:
            one.cancel()
    await work.check()


async def more(work: Work, count: int = 50) -> None:
    """Until so many further tasks are through."""
    wanted = len(work.recorded) + count
    await until(lambda: len(work.recorded) >= wanted)


@pytest.mark.timeout(120)
async def test_after_kill_9_and_restart_nothing_is_lost_and_nothing_twice(server: MariaDb, tmp_path: Path) -> None:
    async with record(server, tmp_path) as scene, at_work(scene) as work:
        for _ in range(3):
            await more(work)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await more(work)


@pytest.mark.timeout(120)
async def test_a_shutdown_and_a_long_absence_are_survived(server: MariaDb, tmp_path: Path) -> None:
    async with record(server, tmp_path) as scene, at_work(scene) as work:
        await more(work)
        await asyncio.to_thread(server.process.stop)
        refused = work.refused
        await until(lambda: work.refused >= refused + 20)
        await asyncio.to_thread(server.start)
        await more(work)


@pytest.mark.timeout(120)
async def test_connections_that_an_operator_ends_are_replaced(server: MariaDb, tmp_path: Path) -> None:
    async with record(server, tmp_path) as scene, at_work(scene) as work:
        for _ in range(15):
            await more(work, 10)
            listed = await asyncio.to_thread(
                server.sql, "SELECT id FROM information_schema.processlist WHERE user = 'llms'"
            )
            kills = "; ".join(f"KILL {one}" for one in listed.split())
            with suppress(AssertionError):  # one may be gone already
                await asyncio.to_thread(server.sql, kills)
        await more(work)

        assert work.refused == 0


@pytest.mark.timeout(120)
async def test_a_frozen_server_is_reported_and_work_resumes_when_it_thaws(server: MariaDb, tmp_path: Path) -> None:
    async with record(server, tmp_path) as scene, at_work(scene) as work:
        await more(work)
        server.process.freeze()
        began_at_s = time.monotonic()
        try:
            async with asyncio.timeout(10):
                calls = (scene.store.ping(), scene.store.queued_count())
                answers = await asyncio.gather(*calls, return_exceptions=True)
        finally:
            server.process.thaw()
        assert [type(answer) for answer in answers] == [StoreUnavailableError] * 2
        assert time.monotonic() - began_at_s < 10
        await more(work)


async def test_the_clock_is_the_servers_whatever_the_hosts_says(server: MariaDb, tmp_path: Path) -> None:
    clock = DatabaseClock()
    store = MysqlStore(server.create("clock"), clock, CountingMeter())
    await store.open()
    try:
        theirs_ms = float(server.sql("SELECT UNIX_TIMESTAMP(SYSDATE(3)) * 1000"))
        assert abs(clock.now() - theirs_ms) < 1500
        session = await store.open_session("here", 1, "1.0")
        (row,) = await store.sessions()
        assert row.id == session
        assert abs(row.started_at - theirs_ms) < 3000
    finally:
        await store.close()
