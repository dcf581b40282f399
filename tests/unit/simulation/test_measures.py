"""Figures of runs, beside cases worked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.simulation.lane import load, request, run

from llm_scheduler.simulation.fairness import Fairness, Served, fair_shares, fairness, jain
from llm_scheduler.simulation.measures import measured, quantile

amounts = st.floats(0.001, 1e6)


def test_quantiles_lie_between_values_in_proportion() -> None:
    assert quantile([0, 10], 0.5) == 5
    assert quantile([0, 1, 2, 3], 0.99) == pytest.approx(2.97)
    assert quantile([7], 0.99) == 7
    assert quantile([], 0.5) == 0


def test_waits_are_told_by_class_and_of_all_but_the_bulk() -> None:
    done = run(
        load(
            request(0, 20, priority=0, tenant="bulk"),
            request(0, 50, priority=5, tenant="a"),
            request(0, 1, priority=9, tenant="b"),
        ),
        "priority",
        workers=1,
    )

    found = measured(done)

    assert [found.by_class[name].mean_s for name in ("high", "medium", "low")] == [0, 20, 70]
    assert found.others.mean_s == 45
    assert found.all.longest_s == 70
    assert found.completion_mean_s == pytest.approx((20 + 70 + 71) / 3)


def test_promises_are_kept_by_those_that_start_within_what_their_class_is_promised() -> None:
    late_high = run(load(request(0, 11), request(0, 1, priority=0)), "fifo", workers=1)
    same_medium = run(load(request(0, 11), request(0, 1, priority=5)), "fifo", workers=1)

    assert measured(late_high).all.in_time == 0.5
    assert measured(same_medium).all.in_time == 1


def test_use_counts_what_starts_while_anything_waits() -> None:
    """Four calls of 10 s on one slot, all at 0: three wait till 30 s, and three calls start in that time."""
    done = run(load(*(request(0, 10) for _ in range(4))), "fifo", workers=1)

    found = measured(done)

    assert found.backlog_s == 30
    assert found.utilisation == {"workers": 1.0}
    assert found.binding == "workers"


def test_the_limit_that_binds_is_the_one_that_is_used_most() -> None:
    done = run(load(*(request(0, 1, tokens=600) for _ in range(30))), "fifo", rpm=600, tpm=6_000, burst_s=1)

    found = measured(done)

    assert found.binding == "tokens"
    assert found.utilisation["tokens"] == pytest.approx(1.0, abs=0.05)
    assert found.utilisation["requests"] == pytest.approx(1 / 60, abs=0.01)


def test_without_a_queue_there_is_nothing_to_compete_for() -> None:
    found = measured(run(load(request(0), request(5)), "fair", workers=9))

    assert found.fairness == Fairness(1.0, 1.0)
    assert found.backlog_s == 0
    assert found.utilisation == {"workers": 0.0}


def test_fair_shares_give_what_one_does_not_want_to_the_others() -> None:
    assert fair_shares({"a": 1, "b": 10, "c": 10}, 9, {}) == {"a": 1, "b": 4, "c": 4}
    assert fair_shares({"a": 10, "b": 10}, 9, {"a": 2}) == {"a": 6, "b": 3}


def test_one_who_gets_everything_is_seen_in_both_figures() -> None:
    """In the first minute `a` gets 3 of its 6 and `b` nothing of its 6: shares of 1.5 each."""
    a = [Served("a", 0, 1, 1.0) for _ in range(3)] + [Served("a", 0, 70, 1.0) for _ in range(3)]
    b = [Served("b", 0, 100, 1.0) for _ in range(6)]

    found = fairness([*a, *b], {})

    assert found.worst_share == 0
    assert found.jain == pytest.approx(jain([2.0, 0.0]))


@given(values=st.lists(amounts, min_size=1, max_size=20), factor=amounts)
def test_jain_lies_between_one_nth_and_one_and_does_not_depend_on_the_unit(values: list[float], factor: float) -> None:
    index = jain(values)

    assert 1 / len(values) - 1e-9 <= index <= 1 + 1e-9
    assert jain([value * factor for value in values]) == pytest.approx(index)


@given(demands=st.dictionaries(st.text("abcdef", min_size=1, max_size=2), amounts, min_size=1), total=amounts)
def test_fair_shares_use_all_there_is_and_give_nobody_more_than_they_want(
    demands: dict[str, float], total: float
) -> None:
    shares = fair_shares(demands, total, {})

    assert sum(shares.values()) == pytest.approx(min(total, sum(demands.values())))
    assert all(shares[name] <= demands[name] + 1e-9 for name in demands)
    short = [shares[name] for name in demands if shares[name] < demands[name] - 1e-9 * demands[name]]
    assert not short or max(shares.values()) <= max(short) * (1 + 1e-6)
