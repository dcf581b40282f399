"""Money along a task's whole way: priced, reserved, held, told of, and on again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.inside import Inside, inside, until
from tests.stubs.servers import running

from llm_scheduler.domain.budget import Period, PriceRow
from llm_scheduler.domain.ids import DEFAULT_TENANT, EPOCH
from llm_scheduler.domain.model import ModelOptions
from llm_scheduler.domain.money import Rates
from llm_scheduler.domain.retry import RetryPolicy
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import Usage
from llm_scheduler.ports.feed import TaskChanged
from llm_scheduler.services.budgets import new_budget

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stubs.servers import StubServer

PRICED = PriceRow(0, None, "*", "m", "default", EPOCH, Rates(request_nanousd=100_000), "test", EPOCH)
"""100 micro-USD a call."""


async def spends(it: Inside, limit: int, **fields: Any) -> None:
    await it.installation.budgets.save_prices([PRICED])
    await it.installation.budgets.add(new_budget(DEFAULT_TENANT, "b", Period.TOTAL, limit, **fields))


async def purse(it: Inside) -> tuple[int, int]:
    budget = await it.installation.budgets.get("b", DEFAULT_TENANT)
    return budget.spent_microusd, budget.reserved_microusd


async def openai(it: Inside, stub: StubServer, behaviour: str = "normal", **fields: Any) -> Any:
    config = {"base_url": stub.base_url, "api_key": "sk-test-0000000000", "model": f"stub:{behaviour}"}
    return await it.add_model("m", "openai", config=config, **fields)


async def test_a_budget_holds_what_it_cannot_pay_and_a_top_up_lets_it_go_on(tmp_path: Path) -> None:
    """Two of five fit; the news of it reach who watches, and the metrics."""
    async with inside(tmp_path) as it:
        await spends(it, 250)
        model = await it.add_model(config={"delay_ms": 20})
        async with it.installation.feed.watch() as news:
            ids = await it.submit(model, 5)
            told: set[int] = set()
            async with asyncio.timeout(20):
                async for one in news:
                    if isinstance(one, TaskChanged) and one.status is Status.HELD:
                        told.add(one.task_id)
                    if len(told) == 3:
                        break
        assert told == set(ids[2:])
        for task_id in ids[:2]:
            await it.wait_for(task_id, "completed")
        assert await purse(it) == (200, 0)

        await it.installation.budgets.top_up("b", DEFAULT_TENANT, 300)
        for task_id in ids[2:]:
            await it.wait_for(task_id, "completed")

        assert [(await it.task(one)).cost_microusd for one in ids] == [100] * 5
        assert await purse(it) == (500, 0)
        metrics = it.installation.meter.render().decode()
        assert 'cost_microusd_total{model="m"} 500.0' in metrics
        assert 'budget_marks_total{percent="100"}' in metrics
        await it.installation.budgets.check()
        assert "budget_reservation_gap_microusd 0.0" in it.installation.meter.render().decode()


async def test_a_covered_call_without_a_price_fails_and_says_what_to_do(tmp_path: Path) -> None:
    """Nothing is sent, nothing is spent; once there is a price it can be queued again."""
    async with running() as stub, inside(tmp_path) as it:
        model = await openai(it, stub)
        await it.installation.budgets.add(new_budget(DEFAULT_TENANT, "b", Period.TOTAL, 10**6))
        [task_id] = await it.submit(model)
        failed = await it.wait_for(task_id, "failed")

        assert failed.error is not None
        assert failed.error.code == "price_unknown"
        assert "PUT /api/v1/prices" in failed.error.message
        assert ((await stub.stats())["calls"], await purse(it)) == (0, (0, 0))

        await it.installation.budgets.save_prices([PRICED])
        await it.tasks.retry(failed.id, DEFAULT_TENANT)
        assert (await it.wait_for(task_id, "completed")).cost_microusd == 100


async def test_a_call_that_names_no_bound_is_sent_with_the_models(tmp_path: Path) -> None:
    """Only where a budget covers it."""
    async with running() as stub, inside(tmp_path) as it:
        model = await openai(it, stub, options=ModelOptions(max_output_tokens=77))
        [before] = await it.submit(model)
        await it.wait_for(before, "completed")
        await spends(it, 10**6)
        [after] = await it.submit(model)
        await it.wait_for(after, "completed")

        assert [request["body"].get("max_tokens") for request in await stub.requests()] == [None, 77]


async def test_what_a_failed_call_takes_of_its_budget_is_what_it_may_have_cost(tmp_path: Path) -> None:
    """A refusal nothing, a cut stream all of it."""
    for behaviour, spent in (("error:400", 0), ("cut", 100)):
        async with running() as stub, inside(tmp_path / behaviour.partition(":")[0]) as it:
            model = await openai(it, stub, behaviour, retry=RetryPolicy(max_retries=0))
            await spends(it, 10**6)
            body = '{"messages": [{"role": "user", "content": "say 50 words"}]}'
            [task_id] = await it.submit(model, max_retries=0, input=body)
            await it.wait_for(task_id, "failed")

            assert await purse(it) == (spent, 0), behaviour


async def test_a_cancelled_call_has_spent_what_was_put_aside(tmp_path: Path) -> None:
    """The provider may have answered all the same."""
    async with running() as stub, inside(tmp_path) as it:
        model = await openai(it, stub, "hang")
        await spends(it, 10**6)
        [task_id] = await it.submit(model)
        running_task = await it.wait_for(task_id, "running")
        await until(lambda: _calls(stub), "the call has arrived")
        assert await purse(it) == (0, 100)

        await it.tasks.cancel(running_task.id, DEFAULT_TENANT)
        await it.wait_for(task_id, "cancelled")

        assert await purse(it) == (100, 0)


async def _calls(stub: StubServer) -> bool:
    return (await stub.stats())["calls"] > 0


async def test_without_a_budget_a_cost_is_counted_and_nothing_is_reserved(tmp_path: Path) -> None:
    """By task, attempt, model and day."""
    async with inside(tmp_path) as it:
        await it.installation.budgets.save_prices(
            [PRICED._replace(rates=Rates(input_nanousd=1_000_000, output_nanousd=2_000_000))]
        )
        model = await it.add_model()
        [task_id] = await it.submit(model)
        task = await it.wait_for(task_id, "completed")
        [attempt] = await it.store.attempts(task.id)
        [row] = await it.store.usage("day", None, None)

        assert task.usage != Usage()
        cost = task.usage.prompt_tokens * 1000 + task.usage.completion_tokens * 2000
        assert (task.cost_microusd, attempt.cost_microusd, row.cost_microusd) == (cost, cost, cost)
        assert await it.store.balance() == (0, 0)
