"""Money along a task's whole way: priced, reserved, held, told of, and on again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.inside import Inside, inside, until
from tests.stubs.servers import running

from llm_scheduler.domain.budget import Period, PriceRow
from llm_scheduler.domain.ids import DEFAULT_TENANT, EPOCH, TaskId
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


async def held_for(it: Inside, task_id: int) -> str:
    task = await it.installation.tasks.get(TaskId(task_id), DEFAULT_TENANT)
    [reason] = (await it.installation.explaining.explain(task)).reasons
    return reason.detail


async def test_what_a_held_task_waits_for_is_told_by_the_budgets_as_they_are(tmp_path: Path) -> None:
    """It named for ever the budgets that had no room when it was held."""
    async with inside(tmp_path) as it:
        await spends(it, 0)
        await it.installation.budgets.add(new_budget(DEFAULT_TENANT, "second", Period.TOTAL, 30))
        [task_id] = await it.submit(await it.add_model())
        await it.wait_for(task_id, "held")
        assert "$0.0001" in await held_for(it, task_id)
        assert "'b' and 'second'" in await held_for(it, task_id)

        await it.installation.budgets.top_up("b", DEFAULT_TENANT, 500)

        assert "no room for it in 'second'." in await held_for(it, task_id)


async def test_held_tasks_are_judged_anew_when_prices_change(tmp_path: Path) -> None:
    """What a task might cost stayed what it was when it was held: a lower price let nothing go on."""
    async with inside(tmp_path) as it:
        await spends(it, 150)
        model = await it.add_model()
        [paid, held] = await it.submit(model, 2)
        await it.wait_for(held, "held")
        await it.wait_for(paid, "completed")

        dearer = PRICED._replace(rates=Rates(request_nanousd=900_000))
        await it.installation.budgets.save_prices([dearer])

        async def is_held_anew() -> bool:
            return "$0.0009" in await held_for(it, held)

        await until(is_held_anew, "it tells of the new price")
        await it.installation.budgets.save_prices([PRICED._replace(rates=Rates(request_nanousd=20_000))])
        await it.wait_for(held, "completed")


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
