"""The server's time from the monotonic clock."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.stores.mysql.clock import DatabaseClock

HOUR_MS = 3_600_000


def wall_ms() -> float:
    return time.time_ns() / 1_000_000


@pytest.mark.parametrize("ahead_ms", [-HOUR_MS, 0, HOUR_MS])
def test_the_first_anchor_counts_whatever_the_machines_own_clock_says(ahead_ms: int) -> None:
    clock = DatabaseClock()
    at_s = time.monotonic()

    clock.anchor(wall_ms() + ahead_ms, at_s, at_s)

    assert clock.now() == pytest.approx(wall_ms() + ahead_ms, abs=500)


def test_before_the_first_anchor_it_is_the_systems_time() -> None:
    assert DatabaseClock().now() == pytest.approx(wall_ms(), abs=500)
    assert DatabaseClock().is_stale


def test_an_answer_that_took_long_moves_it_only_by_what_is_not_its_way() -> None:
    clock = DatabaseClock()
    at_s = time.monotonic()
    clock.anchor(1_000_000, at_s, at_s)

    clock.anchor(1_000_100, at_s, at_s + 0.2)  # fits an unchanged clock: asked at 0, answered at 100, back at 200
    assert clock.now() == pytest.approx(1_000_000 + (time.monotonic() - at_s) * 1000, abs=2)

    clock.anchor(1_000_000 + HOUR_MS, at_s, at_s + 30)  # says nothing
    assert clock.now() < 1_000_000 + HOUR_MS / 2
    assert not clock.is_stale


def test_it_stands_still_when_the_server_steps_back() -> None:
    clock = DatabaseClock()
    at_s = time.monotonic()
    clock.anchor(1_000_000, at_s, at_s)
    before = clock.now()

    clock.anchor(900_000, at_s, at_s)

    assert clock.now() == before


@given(st.lists(st.tuples(st.integers(-(10**6), 10**6), st.floats(0, 3)), max_size=20))
def test_it_never_runs_backwards(anchors: list[tuple[int, float]]) -> None:
    clock = DatabaseClock()
    last = clock.now()
    for step_ms, trip_s in anchors:
        at_s = time.monotonic()
        clock.anchor(last + step_ms, at_s - trip_s, at_s)
        now = clock.now()
        assert now >= last
        last = now
