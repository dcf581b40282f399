"""What the catalogue tells strategies: limits in force, options, service times, and what tenants have waiting."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.broker_scene import StillClock

from llm_scheduler.domain.errors import BrokerUnavailableError
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, TaskId, TenantId
from llm_scheduler.domain.model import Endpoint, Model, ModelOptions
from llm_scheduler.domain.task import WaitingTask
from llm_scheduler.domain.tenant import Tenant
from llm_scheduler.ports.broker import TenantBacklog
from llm_scheduler.services.backlogs import Backlogs, Behind
from llm_scheduler.services.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

LANE = ModelId(1)
MODEL = Model(LANE, DEFAULT_TENANT, "m", "scripted", {})


def waiting(number: int = 1, tenant: int = 1, **fields: object) -> WaitingTask:
    usual = WaitingTask(TaskId(number), LANE, TenantId(tenant), "chat", 5, 0, 1_000, Millis(10_000), None, 500)
    return usual._replace(**fields)


def catalogue(**fields: object) -> Catalogue:
    made = Catalogue({}, "fair")
    made.put(replace(MODEL, **fields))
    return made


class Sums:
    """A broker's sums by tenant, as a test sets them; counts how often it is asked."""

    def __init__(self, **costs: float) -> None:
        self.costs = costs
        self.asked = 0
        self.is_away = False

    async def read(self, _lane: ModelId) -> Sequence[TenantBacklog]:
        self.asked += 1
        if self.is_away:
            raise BrokerUnavailableError("away")
        return [TenantBacklog(TenantId(int(name[1:])), 1, cost) for name, cost in self.costs.items()]


def cost(**fields: object) -> float:
    return catalogue(**fields).entry(waiting()).placement.cost


def test_a_task_costs_by_the_limits_of_its_model() -> None:
    assert cost() == 1_000
    assert cost(rpm=60) == 1_000
    assert cost(tpm=6_000) == 10_000
    assert cost(options=ModelOptions(output_tpm=1_000)) == 30_000


def test_endpoints_limit_the_lane_when_each_has_a_limit() -> None:
    each = (Endpoint("a", rpm=30), Endpoint("b", rpm=10))

    assert cost(endpoints=each) == 1_500
    assert cost(rpm=20, endpoints=each) == 3_000
    assert cost(rpm=60, endpoints=(*each, Endpoint("c"))) == 1_000


def test_a_new_version_and_new_tenants_are_heeded_at_once() -> None:
    known = catalogue(rpm=60)
    assert known.entry(waiting()).placement[2:4] == (1.0, 1_000)

    known.put(replace(MODEL, rpm=30))
    assert known.entry(waiting()).placement[2:4] == (1.0, 2_000)

    known.replace([replace(MODEL, rpm=30)], [Tenant(DEFAULT_TENANT, "default", 3.0)])
    assert known.entry(waiting()).placement[2:4] == (3.0, 2_000)

    known.forget(LANE)
    assert known.entry(waiting()).placement.cost == 1_000


def test_an_expected_service_time_counts_once_it_has_moved_by_a_tenth() -> None:
    known, expected = catalogue(max_workers=2), [8.0]
    known.service_s = lambda _model_id: expected[0]
    assert known.entry(waiting()).placement.cost == 4_000

    expected[0] = 8.5
    assert known.entry(waiting()).placement.cost == 4_000

    expected[0] = 9.0
    assert known.entry(waiting()).placement.cost == 4_500


def test_options_reach_the_strategy_and_those_of_another_are_ignored() -> None:
    options = ModelOptions(strategy_options={"beta": 2.0, "ratio": 3.0})

    assert catalogue(strategy="shortest", options=options).entry(waiting()).placement.order == 12_000
    assert catalogue(strategy="fifo", options=options).entry(waiting()).placement.order == 10_000


def test_only_lanes_of_strategies_that_read_backlogs_keep_them() -> None:
    def keeps(strategy: str) -> bool:
        model = replace(MODEL, strategy=strategy)
        return catalogue(strategy=strategy).rules(model).keeps_backlog

    assert keeps("backlog")
    assert not keeps("fair")


async def test_tasks_of_one_batch_stand_behind_each_other() -> None:
    known, sums = catalogue(strategy="backlog"), Sums(t2=7_000.0)
    known.backlogs = Backlogs(sums.read, StillClock())

    entries = await known.placed([waiting(1), waiting(2), waiting(3, tenant=2), waiting(4, tenant=3)])

    behind = [entry.placement.order - 70_000 for entry in entries]
    assert behind == [0, 2 * 1_000, 2 * 7_000, 0]
    assert sums.asked == 1


async def test_looking_where_a_task_would_stand_is_not_placing_it() -> None:
    known = catalogue(strategy="backlog")
    known.backlogs = Backlogs(Sums().read, StillClock())

    assert {known.entry(waiting(number)).placement.order for number in range(3)} == {70_000}


async def test_sums_are_asked_for_again_after_a_quarter_of_a_second() -> None:
    sums, clock = Sums(t1=5.0), StillClock()
    backlogs = Backlogs(sums.read, clock)
    await backlogs.freshen([LANE])
    sums.costs["t1"] = 9.0

    clock.advance_ms(249)
    await backlogs.freshen([LANE])
    assert backlogs.behind(LANE, TenantId(1)) == Behind(5.0, 1)

    clock.advance_ms(1)
    await backlogs.freshen([LANE])
    assert backlogs.behind(LANE, TenantId(1)) == Behind(9.0, 1)
    assert backlogs.behind(LANE, TenantId(2)) == Behind(0.0, 2)


async def test_an_index_that_is_away_leaves_what_was_known() -> None:
    sums, clock = Sums(t1=5.0), StillClock()
    backlogs = Backlogs(sums.read, clock)
    await backlogs.freshen([LANE])
    sums.is_away = True
    clock.advance_ms(250)

    await backlogs.freshen([LANE])

    assert backlogs.behind(LANE, TenantId(1)) == Behind(5.0, 1)
    assert sums.asked == 2


async def test_a_lane_that_is_placed_anew_counts_from_nothing() -> None:
    """Else every task would stand behind itself and all that came after it."""
    known, sums, clock = catalogue(strategy="backlog"), Sums(t1=5_000.0), StillClock()
    known.backlogs = Backlogs(sums.read, clock)
    await known.backlogs.freshen([LANE])

    with known.counting_anew(LANE):
        clock.advance_ms(1_000)
        orders = [entry.placement.order for entry in await known.placed([waiting(1), waiting(2)])]
        assert sums.asked == 1
    await known.placed([waiting(3)])

    assert orders == [70_000, 71_000]
    assert sums.asked == 2


async def test_an_answer_that_comes_while_a_lane_is_placed_anew_is_not_used() -> None:
    answer: asyncio.Future[Sequence[TenantBacklog]] = asyncio.get_running_loop().create_future()

    async def read(_lane: ModelId) -> Sequence[TenantBacklog]:
        return await answer

    backlogs = Backlogs(read, StillClock())
    asking = asyncio.create_task(backlogs.freshen([LANE]))
    await asyncio.sleep(0)
    backlogs.count_anew(LANE)
    answer.set_result([TenantBacklog(TenantId(1), 1, 5.0)])
    await asking

    assert backlogs.behind(LANE, TenantId(1)) == Behind(0.0, 1)


@pytest.mark.parametrize("strategy", ["fair", "shortest"])
async def test_no_other_strategy_makes_the_broker_sum(strategy: str) -> None:
    known, sums = catalogue(strategy=strategy), Sums()
    known.backlogs = Backlogs(sums.read, StillClock())

    await known.placed([waiting(1)])

    assert sums.asked == 0
