"""What a task is told about its waiting, from the record and the index as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.inside import Inside, inside, until

from llm_scheduler.domain.errors import WaitTooLongError
from llm_scheduler.domain.ids import DEFAULT_TENANT, TaskId
from llm_scheduler.domain.model import ModelOptions
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import NewTask
from llm_scheduler.services.models import new_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llm_scheduler.domain.model import Model
    from llm_scheduler.services.explain import Explanation

BODY = '{"messages":[{"role":"user","content":"Hi"}]}'


async def model_of(it: Inside, **fields: object) -> Model:
    config = {"delay_ms": 60_000}
    known = {"tenant_id": DEFAULT_TENANT, "name": "m", "type": "scripted", "config": config, "max_workers": 1}
    return await it.installation.models.add(new_model(**{**known, **fields}))


def asked(model: Model, priority: int = 5, **fields: object) -> NewTask:
    task = NewTask(DEFAULT_TENANT, model.id, "chat", BODY, priority, 3, 100, est_output=50)
    return replace(task, **fields)


async def submitted(it: Inside, tasks: Sequence[NewTask]) -> list[TaskId]:
    return [one.task_id for one in await it.installation.submissions.submit(tasks)]


async def explained(it: Inside, task_id: TaskId) -> Explanation:
    task = await it.installation.tasks.get(task_id, DEFAULT_TENANT)
    return await it.installation.explaining.explain(task)


def codes(found: Explanation) -> list[str]:
    return [one.code for one in found.reasons]


async def test_a_full_model_higher_priorities_and_those_before_it_are_named(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        model = await model_of(it, strategy="priority")
        first, *_, last = await submitted(it, [asked(model), asked(model, 0), asked(model), asked(model)])

        async def runs() -> bool:
            return (await it.store.running()) != []

        await until(runs, "one runs", 10)
        running = next(iter(await it.store.running())).task_id
        found = await explained(it, last)

        assert found.strategy == "priority"
        assert codes(found)[0] == "concurrency"
        assert found.ahead is not None
        assert found.ahead + (found.ahead_in_earlier_bands or 0) == 2
        facts = {str(one.code): dict(one.facts) for one in found.reasons}
        assert facts["priority" if found.ahead == 1 else "order"]["tasks"] in {1, 2}
        assert found.likely_at is None  # no call was ever seen to end, and there is no limit: nobody knows
        assert (await explained(it, running)).reasons == ()
        assert first <= running


async def test_a_paused_model_has_no_expected_start(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        model = await model_of(it)
        await it.installation.models.pause("m", DEFAULT_TENANT)
        (task_id,) = await submitted(it, [asked(model)])

        found = await explained(it, task_id)

        assert codes(found) == ["paused"]
        assert "llms models resume m" in found.reasons[0].detail
        assert (found.earliest_at, found.latest_at) == (None, None)


async def test_a_used_up_limit_says_until_when(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        model = await model_of(it, max_workers=50, rpm=1)
        await submitted(it, [asked(model)])

        async def runs() -> bool:
            return (await it.store.running()) != []

        await until(runs, "one runs", 10)
        (task_id,) = await submitted(it, [asked(model)])
        found = await explained(it, task_id)
        now = it.installation.clock.now()

        assert codes(found) == ["requests"]
        assert found.reasons[0].facts == {}
        assert found.reasons[0].until is not None
        assert 30_000 < found.reasons[0].until - now <= 62_000
        assert found.likely_at is not None
        assert found.likely_at >= found.reasons[0].until - 1_000


async def test_a_task_for_later_waits_for_its_time(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        model = await model_of(it)
        run_at = it.installation.clock.now() + 3_600_000
        (task_id,) = await submitted(it, [asked(model, run_at=run_at)])

        found = await explained(it, task_id)

        assert found.task.status is Status.SCHEDULED
        assert codes(found)[0] == "run_at"
        assert found.reasons[0].until == run_at
        assert found.earliest_at is not None
        assert found.earliest_at >= run_at


async def test_what_would_wait_too_long_is_refused_by_class_and_leaves_no_trace(tmp_path: Path) -> None:
    """At 60 calls a minute, twenty that wait take twenty seconds."""
    async with inside(tmp_path) as it:
        model = await model_of(it, rpm=60, strategy="fifo", options=ModelOptions(max_wait_s={"high": 5, "low": 600}))
        await it.installation.models.pause("m", DEFAULT_TENANT)
        await submitted(it, [asked(model, 9) for _ in range(20)])
        await it.installation.models.resume("m", DEFAULT_TENANT)

        with pytest.raises(WaitTooLongError, match=r"class high .* 5 s are allowed") as refused:
            await submitted(it, [asked(model, 0)])
        accepted = await submitted(it, [asked(model, 9), asked(model, 5)])

        assert refused.value.retry_after_s >= 1
        assert len(accepted) == 2
        assert await it.store.queued_count() + len(await it.store.running()) == 22
