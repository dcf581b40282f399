"""Several stores on one database: who wins, and that nobody gets stuck."""

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from tests.contract.store_scene import Scene, mysql_store, opened
from tests.rig import mariadb

from llm_scheduler.domain.errors import ModelInUseError, ModelNotFoundError, NameTakenError
from llm_scheduler.domain.ids import DEFAULT_TENANT, ModelId, TaskId
from llm_scheduler.domain.model import Model
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.store import StartedTask, StartOrder, TaskFilter
from llm_scheduler.stores.mysql.address import parse
from llm_scheduler.stores.mysql.migrating import upgrade

OPEN = """
import asyncio, sys
from llm_scheduler.stores.mysql import DatabaseClock, MysqlStore

class Meter:
    def committed(self, batch_size):
        pass

async def main():
    store = MysqlStore(sys.argv[1], DatabaseClock(), Meter())
    await store.open()
    await store.ping()
    await store.close()

asyncio.run(main())
"""

START_ALL = """
import asyncio, sys
from tests.contract.store_scene import CountingMeter, StillClock
from llm_scheduler.ports.store import StartOrder
from llm_scheduler.stores.mysql import MysqlStore

async def main():
    store = MysqlStore(sys.argv[1], StillClock(), CountingMeter())
    await store.open()
    session = await store.open_session("racer", 1, "1.0")
    print("ready", flush=True)
    sys.stdin.readline()
    ids = [int(one) for one in sys.argv[2].split(",")]
    answers = await asyncio.gather(*(store.start(session, [StartOrder(one, 0)]) for one in ids))
    print(",".join(str(won.task_id) for (won,) in answers if won is not None), flush=True)
    await store.close()

asyncio.run(main())
"""


@asynccontextmanager
async def several(folder: Path, count: int) -> AsyncIterator[list[Scene]]:
    """Stores on one database, each with a session of its own, as if of different processes."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(opened(mysql_store, folder)) for _ in range(count)]


async def test_of_two_stores_that_start_the_same_tasks_each_task_has_one_winner(tmp_path: Path) -> None:
    async with several(tmp_path, 2) as (one, two):
        ids = await one.submitted(300)
        orders = [[StartOrder(task_id, 0)] for task_id in ids]
        answers = await asyncio.gather(
            *(one.store.start(one.session, order) for order in orders),
            *(two.store.start(two.session, order) for order in reversed(orders)),
        )

        won = Counter(started.task_id for (started,) in answers if started is not None)
        assert won == dict.fromkeys(ids, 1)
        assert {len(await one.store.attempts(task_id)) for task_id in ids[:20]} == {1}


def test_of_two_processes_that_start_the_same_tasks_each_task_has_one_winner(tmp_path: Path) -> None:
    async def prepared() -> list[TaskId]:
        async with opened(mysql_store, tmp_path) as scene:
            return await scene.submitted(200)

    ids = asyncio.run(prepared())
    command = [sys.executable, "-c", START_ALL, mariadb.shared().url("contract"), ",".join(map(str, ids))]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [racer.communicate(timeout=30)[0].strip() for racer in racers]

    assert sorted(int(one) for line in won for one in line.split(",") if one) == ids


async def test_stores_that_hammer_the_same_tasks_get_through(tmp_path: Path) -> None:
    """Starts, ends, cancels, requeues and sweeps of four stores over forty tasks, in any order."""
    async with several(tmp_path, 4) as scenes:
        ids = await scenes[0].submitted(40)
        accepted: Counter[TaskId] = Counter()

        async def hammer(scene: Scene, seed: int) -> None:
            rng = random.Random(seed)
            for _ in range(25):
                some = rng.sample(ids, 10)
                await scene.store.requeue(some, statuses=[Status.CANCELLED, Status.FAILED])
                tasks = {task_id: (await scene.task(task_id)).attempt for task_id in some[:4]}
                started = await scene.store.start(
                    scene.session, [StartOrder(task_id, attempt) for task_id, attempt in tasks.items()]
                )
                ends = [
                    scene.end(one, Status.FAILED, counts_failure=True)
                    for one in started
                    if isinstance(one, StartedTask)
                ]
                if rng.random() < 0.3:
                    await scene.store.cancel(some)
                await scene.store.set_priority(some, rng.randrange(10))
                answers, *_ = await asyncio.gather(
                    asyncio.gather(*(scene.store.record(end) for end in ends)),
                    scene.store.rescue(3, 100),
                    scene.store.promote(100),
                )
                for end, answer in zip(ends, answers, strict=True):
                    accepted[end.task_id] += answer.is_accepted

        await asyncio.gather(*(hammer(scene, seed) for seed, scene in enumerate(scenes)))

        ended = Counter({one: sum(a.outcome is not None for a in await scenes[0].store.attempts(one)) for one in ids})
        assert ended == accepted
        assert await scenes[0].store.running() == []


async def test_two_sweepers_share_the_work_without_waiting(tmp_path: Path) -> None:
    async with several(tmp_path, 3) as (one, two, three):
        ids = await one.submitted(60, run_at=one.clock.now() + 1000)
        for scene in (one, two, three):
            scene.clock.pass_s(2)

        found = await asyncio.gather(*(scene.store.promote(20) for scene in (one, two, three) for _ in range(3)))

        promoted = [task.task_id for part in found for task in part]
        assert len(promoted) == len(set(promoted))
        while rest := await one.store.promote(100):
            promoted += [task.task_id for task in rest]
        assert sorted(promoted) == ids


async def test_of_two_rescuers_each_task_is_taken_by_one(tmp_path: Path) -> None:
    async with several(tmp_path, 2) as (one, two):
        for task_id in await one.submitted(30):
            await one.started(task_id)
        await one.store.close_session(one.session)

        found = await asyncio.gather(*(scene.store.rescue(3, 100) for scene in (one, two, one, two)))

        rescued = [task.task_id for waiting, _ in found for task in waiting]
        assert len(rescued) == len(set(rescued)) == 30
        assert {(await one.task(task_id)).crashes for task_id in rescued} == {1}


async def test_an_idempotency_key_used_by_two_stores_at_once_makes_one_task(tmp_path: Path) -> None:
    async with several(tmp_path, 3) as scenes:
        answers = await asyncio.gather(
            *(
                scene.store.submit([scene.new(idempotency_key=f"k{i}", fingerprint="f"), scene.new()])
                for i in range(20)
                for scene in scenes
            )
        )

        by_key = [{answers[3 * i + n][0].task_id for n in range(3)} for i in range(20)]
        assert [len(one) for one in by_key] == [1] * 20
        assert sum(answer[0].is_new for answer in answers) == 20
        assert await scenes[0].store.queued_count() == 20 + 60


async def test_a_model_name_is_taken_by_one_of_many(tmp_path: Path) -> None:
    async with several(tmp_path, 3) as scenes:
        new = Model(ModelId(0), DEFAULT_TENANT, "wanted", "scripted", {})
        answers = await asyncio.gather(*(scene.store.add_model(new) for scene in scenes), return_exceptions=True)

        assert sorted(type(answer).__name__ for answer in answers) == ["Model", "NameTakenError", "NameTakenError"]
        with pytest.raises(NameTakenError):
            await scenes[1].store.add_model(new)


async def test_no_task_is_left_without_its_model(tmp_path: Path) -> None:
    """A model is removed while others submit to it: either they are refused, or it stays."""
    async with several(tmp_path, 2) as (one, two):
        for round_ in range(15):
            model = await one.store.add_model(Model(ModelId(0), DEFAULT_TENANT, f"m{round_}", "scripted", {}))

            async def submit(scene: Scene, model_id: ModelId) -> list[TaskId]:
                try:
                    return await scene.submitted(20, model_id=model_id)
                except ModelNotFoundError:
                    return []

            async def remove(model_id: ModelId) -> None:
                try:
                    await two.store.remove_model(model_id)
                except ModelInUseError:
                    return

            submits = [submit(one, model.id) for _ in range(5)]
            await asyncio.gather(*submits[:2], remove(model.id), *submits[2:], remove(model.id))

            is_there = any(known.id == model.id for known in await one.store.models())
            assert is_there or await one.listed(TaskFilter(model_id=model.id)) == []


async def test_ids_of_several_processes_never_meet(tmp_path: Path) -> None:
    async with several(tmp_path, 3) as scenes:
        parts = await asyncio.gather(*(scene.submitted(7_000) for scene in scenes for _ in range(2)))

        assert len({task_id for part in parts for task_id in part}) == 42_000
        assert all(part == sorted(part) for part in parts)


async def test_what_one_store_commits_the_other_sees_at_once(tmp_path: Path) -> None:
    async with several(tmp_path, 2) as (one, two):
        for _ in range(20):
            (task_id,) = await one.submitted()
            assert await two.status(task_id) is Status.QUEUED
            await two.started(task_id)
            assert await one.status(task_id) is Status.RUNNING
            assert task_id in [slot.task_id for slot in await one.store.running()]


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("count", "leftover"), [(8, False), (2, True)])
def test_eight_processes_may_open_an_empty_database_at_once(count: int, leftover: bool) -> None:
    server = mariadb.shared()
    url = server.create("opening")
    if leftover:  # a first upgrade that was cut off half-way
        upgrade(parse(url), "0001")
        server.sql("DROP TABLE tasks; DELETE FROM alembic_version", "opening")
    processes = [
        subprocess.Popen([sys.executable, "-c", OPEN, url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(count)
    ]
    said = [process.communicate(timeout=150)[0] for process in processes]

    assert [process.returncode for process in processes] == [0] * count, said
    assert server.sql("SELECT COUNT(*), MAX(name) FROM tenants", "opening") == "1\tdefault\n"
