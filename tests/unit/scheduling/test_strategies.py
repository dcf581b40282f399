"""Where the built-in strategies put a task."""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import Millis, ModelId, TaskId, TenantId
from llm_scheduler.domain.placement import ShareRule
from llm_scheduler.domain.task import WaitingTask
from llm_scheduler.ports.strategy import PlacementContext
from llm_scheduler.scheduling.bottleneck import cost_ms, exact_ms
from llm_scheduler.scheduling.classes import start_within_ms
from llm_scheduler.scheduling.strategies.registry import DEFAULT, STRATEGIES, checked_options, find

NAMES = sorted(STRATEGIES)
EXACT = 2**53
"""Whole numbers below it are exact in a float."""
limits = st.none() | st.integers(1, 10**9)
tasks = st.builds(
    WaitingTask,
    task_id=st.integers(1, EXACT - 1).map(TaskId),
    model_id=st.integers(1, 9).map(ModelId),
    tenant_id=st.integers(1, 10**9).map(TenantId),
    type=st.just("chat"),
    priority=st.integers(0, 9),
    attempt=st.integers(0, 9),
    est_tokens=st.integers(0, 10**8),
    queued_at=st.integers(0, 2**42).map(Millis),
    deadline_at=st.none() | st.integers(0, 2**42).map(Millis),
    est_output=st.integers(0, 10**6),
)
contexts = st.builds(
    PlacementContext,
    weight=st.floats(0.01, 1_000),
    rpm=limits,
    tpm=limits,
    concurrency=st.integers(0, 10_000),
    service_s=st.just(0.0) | st.floats(0.001, 10_000),
    tenant_backlog_ms=st.floats(0, 1e15),
    active_tenants=st.integers(0, 10_000),
    input_tpm=limits,
    output_tpm=limits,
    output_tokens=st.just(0.0) | st.floats(0.5, 10**5),
)


def task(**fields: object) -> WaitingTask:
    """One of 1 000 tokens, half of them output."""
    usual = WaitingTask(TaskId(1), ModelId(1), TenantId(1), "chat", 5, 0, 1_000, Millis(10_000), None, 500)
    return usual._replace(**fields)


@pytest.mark.parametrize("name", NAMES)
@given(task=tasks, context=contexts)
def test_the_same_question_has_the_same_answer(name: str, task: WaitingTask, context: PlacementContext) -> None:
    assert find(name).place(task, context) == find(name).place(task, context)


@pytest.mark.parametrize("name", NAMES)
@given(task=tasks, context=contexts)
def test_every_number_is_whole_and_exact_in_a_float(name: str, task: WaitingTask, context: PlacementContext) -> None:
    band, share, weight, cost, order = find(name).place(task, context)

    assert all(isinstance(number, int) and 0 <= number < EXACT for number in (band, share, cost, order))
    assert cost >= 1
    assert weight > 0


@pytest.mark.parametrize("name", NAMES)
@given(task=tasks, context=contexts, later=st.integers(0, 10**9))
def test_who_came_later_never_goes_first(name: str, task: WaitingTask, context: PlacementContext, later: int) -> None:
    """All else alike, in one share: by band, then order."""
    first = find(name).place(task, context)
    second = find(name).place(task._replace(queued_at=Millis(task.queued_at + later)), context)

    assert (first.band, first.order) <= (second.band, second.order)
    assert first.share == second.share


@pytest.mark.parametrize("name", ["fair", "priority", "tenant_first", "deadline", "backlog"])
@given(task=tasks, context=contexts)
def test_a_higher_priority_never_goes_later(name: str, task: WaitingTask, context: PlacementContext) -> None:
    places = [find(name).place(task._replace(priority=number), context) for number in range(10)]

    assert all((one.band, one.order) <= (next_.band, next_.order) for one, next_ in pairwise(places))


@pytest.mark.parametrize("name", ["fair", "priority"])
@given(task=tasks, context=contexts)
def test_priority_is_the_band(name: str, task: WaitingTask, context: PlacementContext) -> None:
    placement = find(name).place(task, context)

    assert placement[:3] == (task.priority, task.tenant_id, context.weight)
    assert placement.order == task.queued_at


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"fair", "priority"}))
@given(task=tasks, context=contexts)
def test_the_others_have_one_band(name: str, task: WaitingTask, context: PlacementContext) -> None:
    assert find(name).place(task, context).band == 0


def test_who_takes_turns_by_what_shares_got() -> None:
    fair = {name for name, one in STRATEGIES.items() if one.share_rule is ShareRule.VIRTUAL_TIME}

    assert fair == {"fair", "wfq", "tenant_first"}


@given(
    one=st.tuples(st.integers(1, 10**9), st.integers(0, 9)), other=st.tuples(st.integers(1, 10**9), st.integers(0, 9))
)
def test_wfq_gives_every_class_of_every_tenant_a_share_of_its_own(one: tuple[int, int], other: tuple[int, int]) -> None:
    shares = [
        find("wfq").place(task(tenant_id=TenantId(tenant), priority=priority), PlacementContext(1.0)).share
        for tenant, priority in (one, other)
    ]

    assert (shares[0] == shares[1]) == (one == other)


def test_wfq_weighs_classes_64_to_8_to_1_unless_told_otherwise() -> None:
    def weights(context: PlacementContext) -> list[float]:
        return [find("wfq").place(task(priority=priority), context).weight for priority in (0, 5, 9)]

    assert weights(PlacementContext(1.0)) == [64, 8, 1]
    assert weights(PlacementContext(0.5)) == [32, 4, 0.5]
    assert weights(PlacementContext(1.0, options={"ratio": 4.0})) == [16, 4, 1]
    assert weights(PlacementContext(3.0, options={"ratio": 1.0})) == [3, 3, 3]


@given(priority=st.integers(1, 9), context=contexts)
def test_wfq_weighs_each_priority_less_than_the_one_before(priority: int, context: PlacementContext) -> None:
    higher, lower = (find("wfq").place(task(priority=one), context).weight for one in (priority - 1, priority))

    assert higher > lower


@given(
    early=st.integers(0, 2**42 - 1).map(Millis), late=st.integers(0, 2**42 - 1).map(Millis), priority=st.integers(0, 8)
)
def test_inside_a_tenant_priority_is_strict_under_tenant_first(early: Millis, late: Millis, priority: int) -> None:
    """Whatever their times: until the year 2109."""
    place = find("tenant_first").place
    higher = place(task(priority=priority, queued_at=late), PlacementContext(1.0))
    lower = place(task(priority=priority + 1, queued_at=early), PlacementContext(1.0))

    assert higher.order < lower.order
    assert higher.share == lower.share == 1


def test_a_deadline_is_the_tasks_own_else_its_classs() -> None:
    def order(options: dict[str, float] | None = None, **fields: object) -> int:
        return find("deadline").place(task(**fields), PlacementContext(1.0, options=options or {})).order

    assert order(deadline_at=Millis(12_345)) == 12_345
    assert [order(priority=priority) - 10_000 for priority in (0, 5, 9)] == [10_000, 60_000, 600_000]
    assert [order(priority=priority) - 10_000 for priority in (1, 7)] == [20_000, 330_000]
    assert order({"medium_s": 0.5}) == 10_500


@given(task=tasks, context=contexts, earlier=st.integers(1, 10**9))
def test_an_earlier_deadline_goes_first(task: WaitingTask, context: PlacementContext, earlier: int) -> None:
    late = Millis(10**10)
    places = [
        find("deadline").place(task._replace(deadline_at=at), context).order for at in (Millis(late - earlier), late)
    ]

    assert places[0] < places[1]


@given(task=tasks, context=contexts, more=st.integers(0, 10**6), beta=st.floats(0, 1e12))
def test_shortest_never_puts_the_longer_first(
    task: WaitingTask, context: PlacementContext, more: int, beta: float
) -> None:
    context = context._replace(options={"beta": beta})
    short, long = (
        find("shortest").place(task._replace(est_tokens=task.est_tokens + extra), context).order for extra in (0, more)
    )

    assert short <= long


def test_shortest_ages_by_beta_and_in_the_pure_form_not_at_all() -> None:
    """At 60 000 tokens a minute 1 000 tokens are one second."""

    def order(queued_at: int, tokens: int, beta: float) -> int:
        context = PlacementContext(1.0, tpm=60_000, options={"beta": beta})
        return find("shortest").place(task(queued_at=Millis(queued_at), est_tokens=tokens), context).order

    assert order(0, 1_000, 300) == 300_000
    assert order(0, 2_000, 300) < order(300_001, 1_000, 300)
    assert order(0, 2_000, 300) > order(299_999, 1_000, 300)
    assert order(0, 1_000, 1e9) == order(10**9, 1_000, 1e9) < order(0, 1_001, 1e9)
    assert order(7, 99_999, 0) == 7


def test_backlog_stands_behind_what_the_tenant_has_waiting_times_the_active_tenants() -> None:
    def order(context: PlacementContext, **fields: object) -> int:
        return find("backlog").place(task(**fields), context).order

    assert order(PlacementContext(1.0)) == 10_000 + 60_000
    assert order(PlacementContext(1.0, tenant_backlog_ms=5_000.0, active_tenants=3)) == 10_000 + 60_000 + 15_000
    assert order(PlacementContext(2.0, tenant_backlog_ms=5_000.0, active_tenants=3)) == 10_000 + 60_000 + 7_500
    assert order(PlacementContext(1.0, tenant_backlog_ms=5_000.0, active_tenants=3), attempt=1) == 70_000


def test_only_backlog_asks_for_backlogs() -> None:
    assert {name for name, one in STRATEGIES.items() if one.reads_backlog} == {"backlog"}


@given(task=tasks, context=contexts)
def test_a_task_costs_what_the_strained_limit_takes(task: WaitingTask, context: PlacementContext) -> None:
    """At least what each limit by itself takes, and no more than the greatest of them."""
    alone = [
        context._replace(
            **{"rpm": None, "tpm": None, "input_tpm": None, "output_tpm": None, "concurrency": 0, **{name: value}}
        )
        for name in ("rpm", "tpm", "input_tpm", "output_tpm", "concurrency")
        if (value := getattr(context, name))
    ]
    singles = [exact_ms(task, one) for one in alone if exact_ms(task, one) != task.est_tokens]

    assert all(exact_ms(task, context) >= single for single in singles)
    assert cost_ms(task, context) == max(1, round(exact_ms(task, context)))


def test_the_cost_is_bottleneck_time_in_milliseconds() -> None:
    def cost(**context: float) -> int:
        return cost_ms(task(), PlacementContext(1.0, **context))  # type: ignore[arg-type]

    assert cost() == 1_000, "nothing known: tokens"
    assert cost(rpm=0, tpm=0) == 1_000, "a lane that is closed has no pace"
    assert cost(rpm=600) == 100
    assert cost(tpm=60_000) == 1_000
    assert cost(rpm=600, tpm=60_000) == 1_000
    assert cost(rpm=6, tpm=60_000) == 10_000
    assert cost(input_tpm=60_000, output_tpm=3_000) == 10_000
    assert cost(service_s=8.0, concurrency=4) == 2_000
    assert cost(service_s=8.0, concurrency=4, output_tokens=250.0) == 4_000, (
        "twice the usual output takes twice as long"
    )
    assert cost(rpm=1_000_000) == 1


@given(high=st.floats(0, 10**6), medium=st.floats(0, 10**6), low=st.floats(0, 10**6))
def test_priorities_between_classes_start_between_them(high: float, medium: float, low: float) -> None:
    options = {"high_s": high, "medium_s": medium, "low_s": low}
    within = [start_within_ms(priority, options) for priority in range(10)]

    assert [within[0], within[5], within[9]] == [round(one * 1000) for one in (high, medium, low)]
    assert within[:6] in (sorted(within[:6]), sorted(within[:6], reverse=True))
    assert within[5:] in (sorted(within[5:]), sorted(within[5:], reverse=True))


def test_a_strategy_is_found_by_its_name() -> None:
    assert all(find(name).name == name for name in STRATEGIES)
    assert find(DEFAULT).name == "fair"


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match=r"'lifo'.*fair, fifo, mine, priority") as caught:
        find("lifo", {"mine": find("fifo")})

    assert caught.value.loc == ("strategy",)


def test_options_are_checked_by_name_and_range() -> None:
    given_ = MappingProxyType({"beta": 300.0})

    assert checked_options(find("shortest"), given_) is given_
    with pytest.raises(InvalidInputError, match=r"no option 'alpha'.*Known options: beta") as caught:
        checked_options(find("shortest"), {"alpha": 1.0})
    assert caught.value.loc == ("strategy_options", "alpha")
    with pytest.raises(InvalidInputError, match="Known options: none"):
        checked_options(find("fair"), {"beta": 1.0})
    for wrong in (-1.0, 1e13, float("nan")):
        with pytest.raises(InvalidInputError, match="from 0 to 1e\\+12"):
            checked_options(find("shortest"), {"beta": wrong})
