"""How long a task that is submitted now is expected to wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.scheduling.expected_wait import MEMORY_S, MOST_SHARE, ArrivalLoad, expected_wait_s

bands = st.dictionaries(st.integers(0, 9), st.floats(0, 1e9)).map(lambda found: tuple(found.items()))


def test_what_stands_in_its_band_and_before_is_what_it_waits_for() -> None:
    waiting = ((0, 2_000.0), (5, 3_000.0), (9, 60_000.0))

    assert expected_wait_s(waiting, 5) == 5
    assert expected_wait_s(waiting, 0) == 2
    assert expected_wait_s((), 5) == 0


def test_what_will_push_in_makes_it_longer() -> None:
    assert expected_wait_s(((5, 3_000.0),), 5, 0.5) == 6


def test_the_share_of_steady_arrivals_is_found() -> None:
    """A task of 300 ms each second takes 30 %, for the bands behind it only."""
    load = ArrivalLoad()
    for second in range(1_000):
        load.note(0, 300, second)

    assert load.share_before(5, 1_000) == pytest.approx(0.3, rel=0.02)
    assert load.share_before(0, 1_000) == 0


def test_it_is_known_early_and_fades_when_arrivals_end() -> None:
    load = ArrivalLoad()
    for second in range(30):
        load.note(0, 300, second)

    assert load.share_before(5, 30) == pytest.approx(0.3, rel=0.15)
    assert load.share_before(5, 30 + 5 * MEMORY_S) < 0.01


def test_nothing_is_said_before_anything_came() -> None:
    assert ArrivalLoad().share_before(5, 0) == 0


@given(waiting=bands, band=st.integers(0, 9), share=st.floats(0, 5))
def test_it_is_finite_and_grows_with_the_band_and_with_what_pushes_in(
    waiting: tuple[tuple[int, float], ...], band: int, share: float
) -> None:
    found = expected_wait_s(waiting, band, share)

    assert 0 <= found <= sum(cost for _, cost in waiting) / 1000 / (1 - MOST_SHARE) + 1e-6
    assert found <= expected_wait_s(waiting, band + 1, share)
    assert expected_wait_s(waiting, band) <= found
