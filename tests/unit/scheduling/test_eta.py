"""When a task will start."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.domain.placement import ShareRule
from llm_scheduler.scheduling.eta import MEMORY_S, Ahead, ArrivalLoad, expected_wait

COSTS = st.floats(0, 1e9)
LOADS = st.floats(0, 2)
RULES = st.sampled_from(ShareRule)


def ahead(earlier_ms: float = 0, band_ms: float = 0, own_ms: float | None = None, next_ms: float = 0) -> Ahead:
    return Ahead(earlier_ms, band_ms, band_ms if own_ms is None else own_ms, next_ms)


@given(COSTS, COSTS, COSTS, LOADS, RULES, st.one_of(st.none(), st.floats(1, 1e6)))
def test_a_range_is_one(
    earlier: float, band: float, next_: float, load: float, rule: ShareRule, starve: float | None
) -> None:
    wait = expected_wait(ahead(earlier, band, band / 2, next_), load, rule, starve)

    assert 0 <= wait.earliest_s <= wait.likely_s <= wait.latest_s


@given(COSTS, COSTS, LOADS, RULES)
def test_more_before_it_never_means_sooner(first: float, more: float, load: float, rule: ShareRule) -> None:
    less, longer = (expected_wait(ahead(band_ms=cost), load, rule) for cost in (first, first + more))

    assert all(a <= b for a, b in zip(less, longer, strict=True))


def test_the_queue_of_one_order_is_got_through_at_a_second_a_second() -> None:
    wait = expected_wait(ahead(band_ms=60_000, next_ms=500), 0.0, ShareRule.HEAD_ORDER)

    assert wait.likely_s == pytest.approx(60.5)
    assert (wait.earliest_s, wait.latest_s) == pytest.approx((42.35, 78.65))


def test_later_arrivals_of_earlier_bands_lengthen_it() -> None:
    wait = expected_wait(ahead(earlier_ms=10_000, band_ms=10_000), 0.6, ShareRule.HEAD_ORDER)

    assert wait.likely_s == pytest.approx(50)


def test_by_virtual_time_it_may_come_as_soon_as_its_own_share_allows() -> None:
    wait = expected_wait(ahead(band_ms=100_000, own_ms=0), 0.0, ShareRule.VIRTUAL_TIME)

    assert wait.earliest_s == 0
    assert wait.likely_s == pytest.approx(100)


def test_an_overload_of_earlier_bands_is_ended_by_the_reserve() -> None:
    """Without the reserve the estimate would be twenty times the backlog, and the truth for ever."""
    without = expected_wait(ahead(band_ms=10_000), 1.2, ShareRule.HEAD_ORDER)
    with_it = expected_wait(ahead(band_ms=10_000), 1.2, ShareRule.HEAD_ORDER, starve_after_s=30, waited_s=10)

    assert without.likely_s == pytest.approx(500)
    assert with_it.likely_s == pytest.approx(120)


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
