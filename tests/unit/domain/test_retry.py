"""How long a failed task waits."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.domain.retry import RetryPolicy

policies = st.builds(
    RetryPolicy,
    initial_delay_s=st.floats(0, 86_400),
    max_delay_s=st.floats(0, 604_800),
    backoff_factor=st.floats(1, 100),
)
failures = st.integers(1, 10_000)


@given(policy=policies, failures=failures, seed=st.integers())
def test_delay_never_leaves_its_bounds(policy: RetryPolicy, failures: int, seed: int) -> None:
    """However often a task failed, its wait stays between zero and the cap."""
    assert 0 <= policy.delay_s(failures, Random(seed)) <= policy.max_delay_s


@given(policy=policies, failures=failures, seed=st.integers())
def test_the_bound_never_shrinks_from_one_failure_to_the_next(policy: RetryPolicy, failures: int, seed: int) -> None:
    """The same draw is a longer wait, or as long, after one more failure."""
    assert policy.delay_s(failures, Random(seed)) <= policy.delay_s(failures + 1, Random(seed))


@given(policy=policies, failures=failures, seed=st.integers(), retry_after_s=st.floats(0, 1e6))
def test_a_task_never_comes_before_the_providers_retry_after(
    policy: RetryPolicy, failures: int, seed: int, retry_after_s: float
) -> None:
    drawn_s = policy.delay_s(failures, Random(seed))

    assert policy.delay_s(failures, Random(seed), retry_after_s) == max(drawn_s, retry_after_s)


def test_the_bound_grows_by_the_factor_up_to_the_cap() -> None:
    policy = RetryPolicy(initial_delay_s=2.0, backoff_factor=3.0, max_delay_s=60.0)

    longest = [max(policy.delay_s(number, Random(seed)) for seed in range(2_000)) for number in (1, 2, 3, 4, 5)]

    assert longest == pytest.approx([2, 6, 18, 54, 60], rel=0.01)


def test_delays_use_the_whole_range() -> None:
    """Full jitter: tasks that failed together do not come back together."""
    policy = RetryPolicy(initial_delay_s=10.0)
    drawn = [policy.delay_s(1, Random(seed)) for seed in range(2_000)]

    assert min(drawn) < 0.1
    assert sum(drawn) / len(drawn) == pytest.approx(5.0, abs=0.3)


def test_the_first_failure_is_number_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RetryPolicy().delay_s(0, Random(1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_retries": -1},
        {"max_retries": 101},
        {"initial_delay_s": -0.1},
        {"initial_delay_s": 86_401},
        {"max_delay_s": -1},
        {"max_delay_s": 604_801},
        {"backoff_factor": 0.99},
        {"backoff_factor": float("nan")},
        {"initial_delay_s": float("nan")},
        {"max_delay_s": float("inf")},
    ],
)
def test_numbers_outside_their_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetryPolicy(**wrong)  # type: ignore[arg-type]


def test_both_ends_of_each_range_are_accepted() -> None:
    assert RetryPolicy(0, 0, 0, 1).delay_s(7, Random(1)) == 0
    assert RetryPolicy(100, 86_400, 604_800, 100).max_retries == 100
