"""Equal tasks from several stores on one database: one call for each question, and nobody waits for ever."""

import asyncio
import random
from pathlib import Path

from tests.contract.cached_scene import wish
from tests.contract.store_scene import Scene
from tests.unit.stores.mysql.test_races import several

from llm_scheduler.domain.status import TERMINAL, Status
from llm_scheduler.ports.store import TaskFilter

ROUNDS, EACH = 10, 12


async def asked(scene: Scene, name: str, seed: int, bad: float = 0.0) -> int:
    """Submit one; whoever leads runs at once. Whether it was called."""
    rng = random.Random(seed)
    await asyncio.sleep(rng.random() * 0.05)
    (done,) = await scene.store.submit([scene.new(cache=wish(name))])
    if done.status is not Status.QUEUED:
        return 0
    started = await scene.start(done.task_id)
    if started is None:
        return 0
    if rng.random() < bad:
        await scene.fail(started)
    else:
        await scene.complete(started, output=f"answer to {name}")
    return 1


async def test_one_call_for_each_question_whoever_asks_and_nobody_is_left(tmp_path: Path) -> None:
    """No sweep: who joins a leader is seen by its end, or sees it."""
    async with several(tmp_path, 3) as scenes:
        for number in range(ROUNDS):
            name = f"q{number}"
            calls = await asyncio.gather(
                *(asked(scene, name, seed) for seed in range(EACH) for scene in scenes),
            )

            assert sum(calls) == 1
            assert await scenes[0].store.counts(TaskFilter()) == {Status.COMPLETED: (number + 1) * EACH * len(scenes)}


async def test_every_end_of_a_leader_is_survived_whoever_races_it(tmp_path: Path) -> None:
    """Failures, cancels, deletions and sweeps of three stores at once; afterwards every task comes to an end."""
    async with several(tmp_path, 3) as scenes:
        store = scenes[0].store

        async def meddle(scene: Scene, seed: int) -> None:
            rng = random.Random(seed)
            for _ in range(30):
                tasks = (await scene.store.tasks(TaskFilter(), limit=40)).items
                some = [task.id for task in rng.sample(tasks, min(3, len(tasks)))]
                await rng.choice(
                    [
                        lambda some=some: scene.store.cancel(some),
                        lambda some=some: scene.store.requeue(some, statuses=[Status.CANCELLED, Status.FAILED]),
                        lambda some=some: scene.store.delete(some[:1]),
                        lambda: scene.store.regroup(10),
                        lambda: scene.store.drop_answers(10),
                    ]
                )()

        for number in range(4):
            name = f"q{number}"
            await asyncio.gather(
                *(asked(scene, name, seed, 0.5) for seed in range(EACH) for scene in scenes),
                *(meddle(scene, seed) for seed, scene in enumerate(scenes)),
            )
        for _ in range(200):
            while (await store.regroup(100)).is_cut:
                pass
            waiting = (await store.tasks(TaskFilter(statuses=(Status.QUEUED,)), limit=500)).items
            if not waiting:
                break
            for task in waiting:
                started = await scenes[0].start(task.id, task.attempt)
                assert started is not None
                await scenes[0].complete(started)

        counts = await store.counts(TaskFilter())
        assert counts.keys() <= TERMINAL, counts
