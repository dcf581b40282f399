"""A whole installation inside the test's own process and event loop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from llm_scheduler.app.installation import Installation
from llm_scheduler.app.keys import open_keys
from llm_scheduler.domain.ids import DEFAULT_TENANT, TenantId
from llm_scheduler.domain.task import NewTask
from llm_scheduler.services.models import new_model
from llm_scheduler.settings import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.task import Task

BODY = '{"messages":[{"role":"user","content":"hello"}]}'


class Inside:
    """Shorthand for what flows do again and again."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.store, self.broker, self.tasks = installation.store, installation.broker, installation.tasks
        self.models = installation.models

    async def add_model(self, name: str = "m", kind: str = "scripted", **fields: Any) -> Model:
        fields.setdefault("config", {})
        return await self.models.add(new_model(tenant_id=DEFAULT_TENANT, name=name, type=kind, **fields))

    async def submit(
        self, model: Model | ModelId, count: int = 1, *, tenant_id: int = DEFAULT_TENANT, **fields: Any
    ) -> list[int]:
        """Submit equal tasks; their ids."""
        values: dict[str, Any] = {"type": "chat", "input": BODY, "priority": 5, "max_retries": 3, "est_tokens": 100}
        values |= fields
        task = NewTask(tenant_id=TenantId(tenant_id), model_id=getattr(model, "id", model), **values)  # type: ignore[arg-type]
        return [done.task_id for done in await self.installation.submissions.submit([task] * count)]

    async def task(self, task_id: int) -> Task:
        found = await self.store.task(task_id)  # type: ignore[arg-type]
        assert found is not None
        return found

    async def wait_for(self, task_id: int, *statuses: str, within_s: float = 20) -> Task:
        """The task, once it has one of these statuses."""
        await until(lambda: self._is(task_id, statuses), f"task {task_id} is {statuses}", within_s)
        return await self.task(task_id)

    async def _is(self, task_id: int, statuses: tuple[str, ...]) -> bool:
        return (await self.task(task_id)).status in statuses


async def until(condition: Callable[[], Any], what: str, within_s: float = 20) -> None:
    """Wait for a condition (plain or async); fail with `what` when time is up."""
    async with asyncio.timeout(within_s + 1):
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        while True:
            answer = condition()
            if await answer if asyncio.iscoroutine(answer) else answer:
                return
            assert loop.time() < end, f"not within {within_s} s: {what}"
            await asyncio.sleep(0.005)


@asynccontextmanager
async def inside(folder: Path, **settings: Any) -> AsyncIterator[Inside]:
    """An open installation, drained and closed at the end."""
    chosen, _ = load({"data_dir": folder, **settings}, {})
    installation = Installation(chosen, open_keys(chosen))
    await installation.open()
    try:
        yield Inside(installation)
    finally:
        await installation.drain(0)
        await installation.close()
