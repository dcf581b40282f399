"""Tasks that go to another model because theirs is down or refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.inside import Inside, inside, until

from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.model import Endpoint, ModelOptions
from llm_scheduler.domain.retry import RetryPolicy
from llm_scheduler.domain.status import DeadReason
from llm_scheduler.domain.task import TaskOptions

if TYPE_CHECKING:
    from pathlib import Path

QUICK = RetryPolicy(max_retries=1, initial_delay_s=0.01, max_delay_s=0.01)


def failing(code: str) -> dict[str, Any]:
    return {"errors": [{"every": 1, "code": code}]}


async def chain(it: Inside, *codes: str | None) -> list[Any]:
    """Models m0, m1, …; each fails with its code, or answers with its name. The first one falls back to the others."""
    models = [
        await it.add_model(f"m{number}", config=failing(code) if code else {"text": f"m{number}"}, retry=QUICK)
        for number, code in enumerate(codes)
    ]
    names = tuple(model.name for model in models[1:])
    models[0] = await it.models.change("m0", DEFAULT_TENANT, {"options": {"fallback_models": names}})
    return models


@pytest.mark.parametrize(
    "code", ["not_found", "permission_denied", "content_filtered", "context_length_exceeded", "insufficient_quota"]
)
async def test_a_task_that_its_model_refuses_is_served_by_the_next(tmp_path: Path, code: str) -> None:
    """Same task, same place, and it says where it came from and why."""
    async with inside(tmp_path) as it:
        models = await chain(it, code, None)
        [task_id] = await it.submit(models[0])
        task = await it.wait_for(task_id, "completed", "failed")

        assert (task.status, task.model_id, task.output, task.attempt) == ("completed", models[1].id, "m1", 2)
        assert (task.options.first_model, task.options.moved_for) == ("m0", code)
        said = [line.message for line in await it.store.logs(task.id)]
        assert any("moved from 'm0' to 'm1'" in line for line in said)
        assert not await it.broker.slots()


async def test_it_goes_through_the_list_once_and_is_a_dead_letter_of_the_last(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        models = await chain(it, "not_found", "server_error", "content_filtered")
        [task_id] = await it.submit(models[0], max_retries=1)
        task = await it.wait_for(task_id, "failed")

        # One at m0, two at m1 with its retries anew, one at m2.
        assert (task.model_id, task.attempt, task.dead_reason) == (models[2].id, 4, DeadReason.NOT_RETRYABLE)
        assert (task.options.first_model, task.options.moved_for) == ("m0", "retries_exhausted")


async def test_what_the_caller_must_mend_goes_nowhere(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        models = await chain(it, "invalid_request", None)
        [task_id] = await it.submit(models[0])
        task = await it.wait_for(task_id, "failed")

        assert (task.model_id, task.options.first_model) == (models[0].id, None)


async def test_a_tasks_own_list_counts_and_an_empty_one_keeps_it(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        models = await chain(it, "not_found", None, None)
        [own] = await it.submit(models[0], options=TaskOptions(fallback_models=("m2",)))
        [none] = await it.submit(models[0], options=TaskOptions(fallback_models=()))

        assert (await it.wait_for(own, "completed")).model_id == models[2].id
        assert (await it.wait_for(none, "failed")).model_id == models[0].id


async def test_a_model_that_does_not_take_the_type_is_passed_over(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        models = await chain(it, "not_found", None, None)
        await it.add_model("claude", "anthropic", config={"api_key": "sk-ant-0123456789"})
        names = ("claude", "m2")
        await it.models.change("m0", DEFAULT_TENANT, {"options": {"fallback_models": names}})
        [task_id] = await it.submit(models[0], type="embedding", input='{"input":"x"}')

        assert (await it.wait_for(task_id, "completed", "failed")).model_id == models[2].id


async def test_what_waits_for_a_model_that_is_out_of_order_moves_on_and_what_is_paused_waits(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        models = await chain(it, None, None)
        await it.models.pause("m0", DEFAULT_TENANT)
        ids = await it.submit(models[0], 5)
        await it.submit(models[0], options=TaskOptions(fallback_models=()))
        assert it.broker.waiting(models[0].id) == 6

        await it.models.pause("m0", DEFAULT_TENANT, is_unhealthy=True)
        tasks = [await it.wait_for(task_id, "completed") for task_id in ids]

        assert {(task.model_id, task.options.moved_for) for task in tasks} == {(models[1].id, "unhealthy")}
        assert it.broker.waiting(models[0].id) == 1


async def test_retries_beyond_the_budget_are_put_off_and_the_last_one_is_not_made(tmp_path: Path) -> None:
    """Sixty a minute are always allowed; with a share of nothing, that is all. Too few fail to open the circuit."""
    async with inside(tmp_path) as it:
        config = {"errors": [{"every": 3, "code": "server_error"}]}
        model = await it.add_model(config=config, retry=QUICK, max_workers=16, options=ModelOptions(retry_share=0.0))
        ids = await it.submit(model, 300, max_retries=1)
        tasks = [await it.wait_for(task_id, "completed", "failed") for task_id in ids]
        [refused, *_] = [task for task in tasks if task.dead_reason is DeadReason.RETRY_BUDGET]
        said = [line.message for line in await it.store.logs(refused.id)]

        assert sum(task.retry_count for task in tasks) == 60
        assert (refused.attempt, refused.retry_count) == (1, 0)
        assert "the model's retries are used up for now, and this was its last one" in said[-1]
        metrics = it.installation.meter.render().decode()
        assert 'retries_total{model="m",outcome="put_off"}' in metrics


async def test_every_endpoint_has_a_state_among_the_metrics(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        await it.add_model(endpoints=(Endpoint("a"), Endpoint("b", is_drained=True)))
        wanted = 'endpoint_state{endpoint="b",model="m",state="drained"} 1.0'

        await until(lambda: wanted in it.installation.meter.render().decode(), "it is observed")
