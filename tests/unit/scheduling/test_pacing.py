from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stubs.quotas import Bucket, FixedWindow, ProviderQuota, SlidingWindow

from llm_scheduler.ports.provider import Quota
from llm_scheduler.scheduling.pacing import (
    BUCKET_RESERVE,
    BURST_S,
    FASTEST,
    RETURN_S,
    SLOWEST,
    Counting,
    Gauge,
    Mark,
    Rate,
    Reading,
    observed,
    rate_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT = 600
PER_S = LIMIT / 60
COUNTS = st.integers(0, 10_000)
SECONDS = st.floats(0, 1e5, allow_nan=False)
READINGS = st.builds(
    Reading,
    st.builds(Quota, st.none() | st.integers(1, 10_000), COUNTS, st.none() | SECONDS),
    st.floats(0, 1e9, allow_nan=False),
    SECONDS,
)


def known(readings: Sequence[Reading], configured: float | None = None) -> Gauge:
    gauge: Gauge | None = None
    for reading in readings:
        gauge = observed(gauge, reading, configured)
    assert gauge is not None
    return gauge


def reading(remaining: int, spent: float, at_s: float, reset_s: float | None = None) -> Reading:
    return Reading(Quota(LIMIT, remaining, reset_s), spent, at_s)


@given(readings=st.lists(READINGS, min_size=1, max_size=20), spent=SECONDS, later_s=SECONDS)
def test_whatever_is_read_the_pace_stays_within_its_bounds(
    readings: list[Reading], spent: float, later_s: float
) -> None:
    gauge = known(readings)

    rate = rate_of(gauge, spent, gauge.last.at_s + later_s)

    assert SLOWEST * gauge.per_s <= rate.per_s
    assert rate.per_s <= FASTEST * max(gauge.per_s, gauge.full / gauge.period_s) * 1.000001
    assert 1.0 <= rate.burst <= max(1.0, BURST_S * rate.per_s)
    assert math.isfinite(rate.left)


@given(readings=st.lists(READINGS, min_size=1, max_size=10), old=READINGS)
def test_an_answer_that_comes_late_changes_nothing(readings: list[Reading], old: Reading) -> None:
    """Calls end in another order than they were let in: only the newest word counts."""
    gauge = known(readings)

    assert observed(gauge, old._replace(at_s=min(old.at_s, gauge.last.at_s))) is gauge


@given(more=st.integers(0, 300), less=st.integers(0, 300), spent=st.integers(0, 300), others=st.floats(0, 10))
def test_the_more_is_left_the_faster(more: int, less: int, spent: int, others: float) -> None:
    def pace(remaining: int) -> Rate:
        gauge = Gauge(LIMIT, PER_S, LIMIT, reading_mark(remaining), others_per_s=others)
        return rate_of(gauge, spent, 1.0)

    assert pace(less + more).per_s >= pace(less).per_s


def reading_mark(remaining: int) -> Mark:
    return known([reading(remaining, 0, 0.0)]).last


def test_what_we_spent_since_is_no_longer_left() -> None:
    gauge = known([reading(300, 1000, 5.0)])

    assert rate_of(gauge, 1100, 5.0).left == pytest.approx(200)


def test_a_bucket_at_its_reserve_is_spent_at_the_limit() -> None:
    gauge = known([reading(LIMIT, 0, 0.0), reading(round(BUCKET_RESERVE * LIMIT), 520, 1.0)])

    assert rate_of(gauge, 520, 1.0).per_s == pytest.approx(PER_S, rel=0.02)


def test_a_bucket_above_its_reserve_is_spent_faster_and_below_it_slower() -> None:
    def per_s(remaining: int) -> float:
        return rate_of(known([reading(LIMIT, 0, 0.0), reading(remaining, LIMIT - remaining, 0.5)]), 0, 0.5).per_s

    reserve = round(BUCKET_RESERVE * LIMIT)
    assert per_s(reserve + 100) == pytest.approx(PER_S + 100 / RETURN_S)
    assert per_s(reserve - 60) == pytest.approx(PER_S - 60 / RETURN_S)


def test_a_limit_without_a_name_starts_from_the_configured_one() -> None:
    quota = Quota(None, 50, None)

    assert observed(None, Reading(quota, 0, 0.0), 1200).per_s == pytest.approx(20)
    assert observed(None, Reading(quota, 0, 0.0)).per_s == pytest.approx(50 / 60)


def test_a_reset_far_away_is_a_limit_of_a_day() -> None:
    """Some name their requests of a day in the same headers: 14 400 a day come back at one in six seconds."""
    gauge = known([Reading(Quota(14_400, 14_370, 180.0), 30, 0.0)])

    assert gauge.per_s == pytest.approx(1 / 6)


def test_another_limit_is_another_contract() -> None:
    gauge = known([reading(500, 0, 0.0), Reading(Quota(60, 59, 1.0), 100, 1.0)])

    assert (gauge.per_s, gauge.full) == (1.0, 59)


def test_our_count_may_begin_anew() -> None:
    """The index was lost and with it what it had counted: that is no use of others."""
    gauge = known([reading(500, 100_000, 0.0), reading(490, 10, 1.0), reading(490, 20, 2.0)])

    assert gauge.others_per_s <= 0.0


def test_who_hears_nothing_of_a_true_window_goes_on_asking() -> None:
    """A pace of nearly nothing brings no answer, and without one it stayed so: half a minute passed in silence."""
    gauge = Gauge(LIMIT, PER_S, LIMIT, reading_mark(0), others_per_s=PER_S, counting=Counting.SLIDING)

    for later_s in (0.0, 5.0, 30.0):
        assert rate_of(gauge, 0, later_s).per_s >= 0.2 * PER_S


def test_nothing_starts_that_a_true_window_would_refuse_however_large_calls_are() -> None:
    def most(size: float) -> float:
        gauge = Gauge(LIMIT, PER_S, LIMIT, reading_mark(60), counting=Counting.SLIDING, size=size)
        told = rate_of(gauge, 20, 0.0).most
        assert told is not None
        return told

    assert 30 < most(1.0) < 40
    assert most(20.0) == pytest.approx(most(0.0) - 10)


def test_each_refusal_of_late_keeps_one_call_more_back_and_not_for_ever() -> None:
    first = reading(100, 100, 0.0)._replace(size=4.0)
    refused = first._replace(at_s=1.0, is_refused=True)

    gauge = known([first, refused, refused._replace(at_s=2.0)])
    assert 1.9 < gauge.caution <= 2.0
    calm = observed(gauge, first._replace(at_s=600.0))

    assert (rate_of(gauge, 100, 2.0).most or 0) < (rate_of(known([first]), 100, 2.0).most or 0) - 7
    assert calm.caution < 0.02


def played(quota: ProviderQuota, *, says: str, others_per_s: float = 0.0, seconds: float = 300.0) -> Gauge:
    """We follow the pace in steps of a tenth of a second, and somebody else takes his part."""
    gauge: Gauge | None = None
    spent, credit, theirs, pace = 0, 0.0, 0.0, PER_S
    for step in range(round(seconds * 10)):
        now_s = step / 10
        theirs += others_per_s / 10
        if theirs >= 1 and quota.has_room(now_s, 1):
            quota.add(now_s, 1)
            theirs -= 1
        credit = min(credit + pace / 10, 5.0)
        while credit >= 1 and quota.has_room(now_s, 1):
            quota.add(now_s, 1)
            spent, credit = spent + 1, credit - 1
        said = quota.said(now_s)
        told = Quota(said.limit if "limit" in says else None, said.remaining, said.reset_s if "reset" in says else None)
        gauge = observed(gauge, Reading(told, spent, now_s), LIMIT)
        pace = rate_of(gauge, spent, now_s).per_s
    assert gauge is not None
    return gauge


@pytest.mark.parametrize(
    ("quota", "says", "counting"),
    [
        (Bucket(LIMIT), "limit reset", Counting.BUCKET),
        (Bucket(LIMIT, depth_s=6), "limit reset", Counting.BUCKET),
        (Bucket(LIMIT), "", Counting.BUCKET),
        (FixedWindow(LIMIT), "limit reset", Counting.WINDOW),
        (FixedWindow(LIMIT), "", Counting.WINDOW),
        (FixedWindow(LIMIT, span_s=10), "", Counting.WINDOW),
        (SlidingWindow(LIMIT), "limit reset", Counting.SLIDING),
    ],
)
def test_the_way_of_counting_is_found_out(quota: ProviderQuota, says: str, counting: Counting) -> None:
    assert played(quota, says=says).counting is counting


def test_a_window_that_is_not_named_is_measured() -> None:
    assert played(FixedWindow(LIMIT, span_s=10), says="").period_s == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("others_per_s", [0.0, 3.0, 6.0])
def test_what_others_use_is_seen(others_per_s: float) -> None:
    gauge = played(Bucket(LIMIT), says="limit reset", others_per_s=others_per_s)

    assert gauge.others_per_s == pytest.approx(others_per_s, abs=0.7)
