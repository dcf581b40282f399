"""Random walks over equal tasks: whatever hands do to them, nobody waits for a task that is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

import pytest
from tests.contract import store_scene
from tests.contract.cached_scene import DIGEST, Cached
from tests.contract.store_scene import Scene

from llm_scheduler.domain.ids import Millis, TaskId
from llm_scheduler.domain.session import Vitals
from llm_scheduler.domain.status import TERMINAL, Status
from llm_scheduler.domain.task import Task
from llm_scheduler.ports.store import StartedTask, TaskFilter

scene = store_scene.scene
NAMES = ("a", "b")
STEPS = 120


class Walk:
    """What may happen, each at random; `calls` are the answers that were paid for, by key."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene, self.store, self.cached, self.rng = scene, scene.store, Cached(scene), Random(seed)
        self.names: dict[TaskId, str] = {}
        self.edited: set[TaskId] = set()
        self.running: list[StartedTask] = []
        self.late: list[StartedTask] = []
        self.paid: Counter[str] = Counter()
        self.others_config = False

    async def tasks(self, *statuses: Status) -> list[Task]:
        return list((await self.store.tasks(TaskFilter(statuses=statuses), limit=500, is_ascending=True)).items)

    async def some(self, *statuses: Status) -> list[TaskId]:
        ids = [task.id for task in await self.tasks(*statuses)]
        return self.rng.sample(ids, min(len(ids), self.rng.randint(1, 2)))

    async def submit(self) -> None:
        names = self.rng.choices(NAMES, k=self.rng.randint(1, 4))
        changes: dict[str, Millis] = {}
        if self.rng.random() < 0.2:
            changes["run_at"] = Millis(self.scene.clock.now() + self.rng.randint(1, 9_000))
        elif self.rng.random() < 0.2:
            changes["deadline_at"] = Millis(self.scene.clock.now() + self.rng.randint(1, 9_000))
        answers = await self.cached.submit(*names, ttl_s=self.rng.choice([3, 30]), **changes)
        self.names |= {done.task_id: name for done, name in zip(answers, names, strict=True)}

    async def start(self) -> None:
        for task in await self.tasks(Status.QUEUED):
            if self.rng.random() < 0.6:
                started = await self.scene.start(task.id, task.attempt)
                assert started is not None
                self.running.append(started)

    def taken(self, calls: list[StartedTask]) -> StartedTask | None:
        return calls.pop(self.rng.randrange(len(calls))) if calls else None

    async def complete(self) -> None:
        started = self.taken(self.running)
        if started is not None:
            await self.answer(started)

    async def answer(self, started: StartedTask) -> None:
        name = "edited" if started.task_id in self.edited else self.names[started.task_id]
        digest = self.rng.choice([DIGEST, DIGEST, "e" * 16])
        recorded = await self.scene.complete(started, output=f"answer to {name}", config_digest=digest)
        self.paid[name] += recorded.is_accepted and recorded.status is Status.COMPLETED

    async def fail(self) -> None:
        started = self.taken(self.running)
        if started is not None:
            await (self.scene.fail if self.rng.random() < 0.5 else self.scene.retry_later)(started)

    async def crash(self) -> None:
        """Every running call is lost; some answers come late all the same."""
        self.late += self.running
        self.running.clear()
        self.scene.session = await self.scene.lose_worker()
        await self.store.rescue(self.rng.choice([1, 9]), 100)

    async def salvage(self) -> None:
        started = self.taken(self.late)
        if started is not None:
            await self.answer(started)

    async def cancel(self) -> None:
        await self.store.cancel(await self.some(*(set(Status) - TERMINAL)))

    async def requeue(self) -> None:
        ids = await self.some(Status.FAILED, Status.CANCELLED)
        is_edit = self.rng.random() < 0.3
        if is_edit:
            self.edited |= set(ids)
        await self.store.requeue(
            ids, statuses=[Status.FAILED, Status.CANCELLED], input='{"other": 1}' if is_edit else None
        )

    async def delete(self) -> None:
        await self.store.delete(await self.some(*TERMINAL))

    async def tick(self) -> None:
        self.scene.clock.pass_s(self.rng.choice([0.5, 2, 4]))
        await self.store.beat(self.scene.session, Vitals(0, 0.0, 0))
        await self.store.promote(100)
        await self.store.expire(100)
        await self.store.drop_answers(100)

    async def sweep(self) -> None:
        while (await self.store.regroup(self.rng.choice([1, 3, 100]))).is_cut:
            pass

    async def check(self, *, is_swept: bool) -> None:
        every = {task.id: task for task in await self.tasks()}
        for task in every.values():
            use = task.cache
            if task.status is Status.BLOCKED:
                assert use is not None
                assert use.leader_id is not None
                if is_swept:
                    leader = every.get(use.leader_id)
                    assert leader is not None
                    assert leader.status not in TERMINAL
            if task.status is Status.COMPLETED:
                name = "edited" if task.id in self.edited else self.names[task.id]
                assert task.output == f"answer to {name}"
                assert (task.usage.total_tokens == 0) == (use is not None and use.source_id is not None)

    async def finish(self) -> None:
        """Let everything end well."""
        self.running += self.late
        for _ in range(40):
            while self.running:
                await self.answer(self.running.pop())
            await self.tick()
            await self.sweep()
            await self.start()


@pytest.mark.parametrize("seed", range(10))
async def test_a_random_walk_keeps_its_word(scene: Scene, seed: int) -> None:
    """Every answer is to the question asked; only copies are free; in the end nobody waits."""
    walk = Walk(scene, seed)
    steps: list[Callable[[], Awaitable[None]]] = [
        *[walk.submit] * 4,
        *[walk.start] * 3,
        *[walk.complete] * 3,
        walk.fail,
        walk.crash,
        walk.salvage,
        walk.cancel,
        walk.requeue,
        walk.delete,
        walk.tick,
        walk.sweep,
    ]
    for _ in range(STEPS):
        step = walk.rng.choice(steps)
        await step()
        await walk.check(is_swept=step == walk.sweep)

    await walk.finish()
    counts = await scene.store.counts(TaskFilter())

    assert counts.keys() <= TERMINAL, counts
    assert walk.paid.total() > 0
