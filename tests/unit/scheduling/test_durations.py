"""What is left of calls that run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.domain.placement import ShareRule
from llm_scheduler.scheduling.durations import LEAST_SAMPLE, Durations
from llm_scheduler.scheduling.eta import Ahead, expected_wait

SECONDS = st.lists(st.floats(0.001, 1e4), min_size=1, max_size=60)


def test_what_is_left_is_the_mean_of_those_that_took_longer() -> None:
    known = Durations([1, 1, 10, 30])

    assert known.left_s(0) == pytest.approx(10.5)
    assert known.left_s(5) == pytest.approx(15)
    assert known.left_s(10) == pytest.approx(20)
    assert known.mean_left_s == pytest.approx((1 + 1 + 100 + 900) / 2 / 42)


def test_of_a_call_that_outran_all_nothing_more_is_known_than_of_any() -> None:
    known = Durations([1, 2, 3])

    assert known.left_s(3) == known.left_s(1000) == known.mean_left_s


@given(SECONDS, st.floats(0, 2e4))
def test_nothing_ends_before_now(seconds: list[float], age_s: float) -> None:
    assert Durations(seconds).left_s(age_s) >= -1e-6


def test_old_calls_of_a_mixed_kind_are_the_long_ones() -> None:
    known = Durations([1.0] * 90 + [100.0] * 10)

    assert known.surplus_s([0.5] * 4) < 0 < known.surplus_s([2.0] * 4)


def test_calls_that_are_all_alike_are_the_nearer_to_their_end_the_older_they_are() -> None:
    known = Durations([10.0] * 50)

    assert known.surplus_s([1.0]) == pytest.approx(2)
    assert known.surplus_s([5.0]) == pytest.approx(0)
    assert known.surplus_s([9.0]) == pytest.approx(-2)


def test_a_few_calls_tell_nothing() -> None:
    assert Durations().surplus_s([1.0, 2.0]) == 0
    assert Durations([1.0] * (LEAST_SAMPLE - 1)).surplus_s([50.0]) == 0


@given(st.floats(0, 1e6), st.floats(-1e7, 1e7))
def test_what_runs_moves_the_estimate_by_no_more_than_what_waits(band_ms: float, running_ms: float) -> None:
    def likely_s(running: float) -> float:
        return expected_wait(Ahead(0, band_ms, band_ms, 500, running), 0.0, ShareRule.HEAD_ORDER).likely_s

    assert likely_s(0) == pytest.approx(band_ms / 1000 + 0.5)
    assert 0.5 <= likely_s(running_ms) <= 2 * band_ms / 1000 + 0.5 + 1e-6
    assert likely_s(min(running_ms, 0)) <= likely_s(0) <= likely_s(max(running_ms, 0))
