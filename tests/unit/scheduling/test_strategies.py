"""Where the built-in strategies put a task."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import Millis, ModelId, TaskId, TenantId
from llm_scheduler.domain.placement import ShareRule
from llm_scheduler.domain.task import WaitingTask
from llm_scheduler.ports.strategy import PlacementContext
from llm_scheduler.scheduling.strategies.registry import DEFAULT, STRATEGIES, find

tasks = st.builds(
    WaitingTask,
    task_id=st.integers(1, 2**53).map(TaskId),
    model_id=st.integers(1, 9).map(ModelId),
    tenant_id=st.integers(1, 9).map(TenantId),
    type=st.just("chat"),
    priority=st.integers(0, 9),
    attempt=st.integers(0, 9),
    est_tokens=st.integers(0, 10**7),
    queued_at=st.integers(0, 2**45).map(Millis),
    deadline_at=st.none(),
)
contexts = st.builds(PlacementContext, weight=st.floats(0.01, 1_000))


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@given(task=tasks, context=contexts)
def test_a_placement_names_tenant_weight_cost_and_time(name: str, task: WaitingTask, context: PlacementContext) -> None:
    placement = find(name).place(task, context)

    assert placement.share == task.tenant_id
    assert placement.weight == context.weight
    assert placement.cost == max(1, task.est_tokens)
    assert placement.order == task.queued_at


@pytest.mark.parametrize("name", ["fair", "priority"])
@given(task=tasks, context=contexts)
def test_priority_is_the_band(name: str, task: WaitingTask, context: PlacementContext) -> None:
    assert find(name).place(task, context).band == task.priority


@given(task=tasks, context=contexts)
def test_fifo_has_one_band(task: WaitingTask, context: PlacementContext) -> None:
    assert find("fifo").place(task, context).band == 0


def test_only_fair_takes_turns_by_what_tenants_got() -> None:
    assert {name: one.share_rule for name, one in STRATEGIES.items()} == {
        "fair": ShareRule.VIRTUAL_TIME,
        "fifo": ShareRule.HEAD_ORDER,
        "priority": ShareRule.HEAD_ORDER,
    }


def test_a_strategy_is_found_by_its_name() -> None:
    assert all(find(name).name == name for name in STRATEGIES)
    assert find(DEFAULT).name == "fair"


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match=r"'lifo'.*fair, fifo, priority") as caught:
        find("lifo")

    assert caught.value.loc == ("strategy",)
