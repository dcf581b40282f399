"""How many calls may be retries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.scheduling.retry_budget import FLOOR_PER_S, WINDOW_S, RetryBudget

Step = tuple[int, bool]
STEPS = st.lists(st.tuples(st.integers(0, 90), st.booleans()), max_size=400)


@given(steps=STEPS, share=st.floats(0, 1))
def test_within_any_minute_retries_stay_below_the_share_of_the_calls_and_the_floor(
    steps: list[Step], share: float
) -> None:
    """Compared with a plain list of everything that happened."""
    budget, now_s = RetryBudget(), 0
    calls, retries = list[int](), list[int]()
    for passed_s, is_retry in steps:
        now_s += passed_s
        recent_calls = sum(at > now_s - WINDOW_S for at in calls)
        recent_retries = sum(at > now_s - WINDOW_S for at in retries)
        if not is_retry:
            budget.called(now_s)
            calls.append(now_s)
            continue
        has_room = recent_retries + 1 <= share * recent_calls + WINDOW_S * FLOOR_PER_S
        assert budget.takes(now_s, share) is has_room
        if has_room:
            retries.append(now_s)


@given(calls=st.integers(0, 5_000))
def test_without_a_share_every_retry_has_room(calls: int) -> None:
    budget = RetryBudget()

    assert all(budget.takes(0.5, None) for _ in range(calls % 300 + 100))


def test_an_outage_is_not_multiplied() -> None:
    """A thousand calls a minute that all fail make 160 retries of a minute, not three thousand."""
    budget, allowed = RetryBudget(), 0
    for call in range(1_000):
        budget.called(call * 0.06)
        allowed += budget.takes(call * 0.06, 0.1)

    assert allowed == 160


def test_a_clock_that_goes_back_empties_nothing() -> None:
    budget = RetryBudget()
    for _ in range(WINDOW_S):
        assert budget.takes(100.0, 0)

    assert not budget.takes(50.0, 0)
    assert budget.takes(160.0, 0)
