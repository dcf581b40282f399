"""Tasks that ask for the cache, in one line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.contract.store_scene import Scene

from llm_scheduler.domain.ids import TaskId
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import CacheWish
from llm_scheduler.ports.store import Submitted

HOUR = 3600
DIGEST = "d" * 16


def wish(name: str = "a", ttl_s: int = HOUR, digest: str = DIGEST) -> CacheWish:
    """Equal names are equal tasks."""
    return CacheWish(digest + name.encode().hex().zfill(48)[-48:], ttl_s)


class Cached:
    """A scene whose tasks ask for the cache."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.store = scene, scene.store

    async def submit(self, *names: str, **changes: Any) -> list[Submitted]:
        ttl_s = changes.pop("ttl_s", HOUR)
        return list(await self.store.submit([self.scene.new(cache=wish(name, ttl_s), **changes) for name in names]))

    async def group(self, followers: int = 3, name: str = "a", **changes: Any) -> list[TaskId]:
        """A leader and so many followers, submitted together."""
        return [one.task_id for one in await self.submit(*[name] * (followers + 1), **changes)]

    async def run(self, task_id: TaskId, expected: int = 0, **changes: Any) -> None:
        """Start and complete."""
        await self.scene.complete(await self.scene.started(task_id, expected), **changes)

    async def statuses(self, ids: Sequence[TaskId]) -> list[Status]:
        return [await self.scene.status(task_id) for task_id in ids]

    async def follows(self, task_id: TaskId) -> TaskId | None:
        use = (await self.scene.task(task_id)).cache
        return None if use is None else use.leader_id

    async def source(self, task_id: TaskId) -> TaskId | None:
        use = (await self.scene.task(task_id)).cache
        return None if use is None else use.source_id
