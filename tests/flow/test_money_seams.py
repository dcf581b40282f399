"""Money where it meets endpoints, circuits, plugins and lists that break."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.inside import Inside, inside
from tests.stubs.servers import running

from llm_scheduler.domain.budget import Period, PriceRow
from llm_scheduler.domain.ids import DEFAULT_TENANT, EPOCH
from llm_scheduler.domain.model import Endpoint, ModelOptions
from llm_scheduler.domain.money import Rates
from llm_scheduler.domain.task import TaskOptions
from llm_scheduler.services.budgets import new_budget
from llm_scheduler.services.fallback import check_names, onward

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.ports.provider import Answer

KEY = {"api_key": "sk-test-0000000000", "model": "stub:normal"}


def price(model: str, output_nanousd: int) -> PriceRow:
    rates = Rates(output_nanousd=output_nanousd)
    return PriceRow(0, None, "*", model, "default", EPOCH, rates, "test", EPOCH)


async def budget_of(it: Inside, microusd: int) -> None:
    await it.installation.budgets.add(new_budget(DEFAULT_TENANT, "b", Period.TOTAL, microusd))


class Essay:
    """A long request out of a short task."""

    name = "essay"

    def check(self, value: str | dict[str, object]) -> dict[str, object]:
        return {"topic": str(value)}

    def estimate(self, body: Mapping[str, object]) -> tuple[int, int]:
        assert set(body) == {"topic"}
        return 10, 10

    def to_call(self, body: Mapping[str, object]) -> tuple[str, dict[str, object]]:
        messages = [{"role": "user", "content": f"At length on {body['topic']}: " + "more " * 500}]
        return "chat", {"messages": messages, "max_tokens": 50_000}

    def finish(self, answer: Answer, body: Mapping[str, object]) -> Answer:
        return answer


def plugged(it: Inside) -> None:
    it.installation.catalogue.task_types = {"essay": Essay()}


async def test_a_call_that_money_denies_is_nobodys_failure(tmp_path: Path) -> None:
    """Its price is unknown: no circuit counts it, and no endpoint rests for it."""
    async with running() as stub, inside(tmp_path) as it:
        ways = tuple(Endpoint(name, {"base_url": stub.base_url}) for name in "abc")
        model = await it.add_model("m", "openai", config=KEY, endpoints=ways)
        await budget_of(it, 10**6)
        ids = await it.submit(model, 30)

        denied = [await it.wait_for(task_id, "failed") for task_id in ids]
        state = await it.broker.state(model.id)

        assert {task.error.code for task in denied if task.error is not None} == {"price_unknown"}
        assert [(gate.failures, gate.holds) for gate in state.gates] == [(0, ())] * 3
        assert (await stub.stats())["calls"] == 0


async def test_the_endpoint_that_is_called_decides_the_price(tmp_path: Path) -> None:
    """It calls a dearer model, and asks for three answers: by the model's own price it would fit."""
    async with running() as stub, inside(tmp_path) as it:
        config = KEY | {"base_url": stub.base_url}
        ways = (Endpoint("a", {"extra_body": {"n": 3}, "model": "dear"}),)
        options = ModelOptions(max_output_tokens=10)
        model = await it.add_model("m", "openai", config=config, endpoints=ways, options=options)
        await it.installation.budgets.save_prices([price("stub:normal", 1_000), price("dear", 1_000_000)])
        await budget_of(it, 50)
        (task_id,) = await it.submit(model)

        held = await it.wait_for(task_id, "held")

        assert held.error is not None
        assert "$0.03" in held.error.message
        assert (await stub.stats())["calls"] == 0


async def test_a_plugins_task_is_reserved_for_as_the_request_that_it_becomes(tmp_path: Path) -> None:
    async with running() as stub, inside(tmp_path) as it:
        plugged(it)
        model = await it.add_model("m", "openai", config=KEY | {"base_url": stub.base_url})
        await it.installation.budgets.save_prices([price("stub:normal", 1_000)])
        await budget_of(it, 50)
        (task_id,) = await it.submit(model, type="essay", input='{"topic": "x"}')

        held = await it.wait_for(task_id, "held")
        await it.installation.budgets.top_up("b", DEFAULT_TENANT, 10**6)
        done = await it.wait_for(task_id, "completed")

        assert held.error is not None
        assert "$0.05" in held.error.message
        assert done.input == '{"topic": "x"}'
        (request,) = await stub.requests()
        assert request["body"]["max_tokens"] == 50_000
        assert (await it.installation.budgets.get("b", DEFAULT_TENANT)).reserved_microusd == 0


async def test_a_price_list_that_breaks_costs_no_answer(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        model = await it.add_model(options=ModelOptions(price_model="x"))

        def broken(*_: object) -> Any:
            raise ValueError("the list is broken")

        it.installation.prices._listed = broken
        (task_id,) = await it.submit(model)
        done = await it.wait_for(task_id, "completed")

        assert done.cost_microusd == 0


async def test_a_plugins_task_falls_back_like_any_other(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        plugged(it)
        await it.add_model("spare")
        model = await it.add_model("m", options=ModelOptions(fallback_models=("spare",)))
        catalogue = it.installation.catalogue

        check_names(catalogue, DEFAULT_TENANT, "m", ("spare",), "essay")
        found = onward(catalogue, _Waiting(model), "not_found")

        assert found is not None
        assert found.model.name == "spare"


class _Waiting:
    def __init__(self, model: Model) -> None:
        self.tenant_id: TenantId = DEFAULT_TENANT
        self.model_id = model.id
        self.type, self.options = "essay", TaskOptions()


async def test_while_nothing_is_held_the_record_is_asked_now_and_then_only(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        await budget_of(it, 10**6)
        asked = 0
        release_held = it.store.release_held

        async def counted(*arguments: Any) -> Any:
            nonlocal asked
            asked += 1
            return await release_held(*arguments)

        it.store.release_held = counted  # type: ignore[method-assign]
        await it.installation.budgets.release()
        await it.installation.budgets.release()
        known = asked
        for _ in range(20):
            await it.installation.budgets.release()

        assert asked == known
