"""How fast one limit of a provider may be spent, by what the provider's answers say is left of it.

Three ways of counting are told apart, because what "left" means for the next minute differs:
a bucket refills evenly, however full it is; a fixed window gives all back at one instant; a true window gives back
what was spent one window ago. Somebody else may draw on the same limit: what is missing and was not ours, was theirs.

Instants are monotonic seconds; amounts are in the limit's own unit (requests or tokens).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from llm_scheduler.ports.provider import Quota

MINUTE_S: Final = 60.0
OTHERS_TAU_S: Final = 10.0
"""Time constant of the moving average of what others use."""
RETURN_S: Final = 20.0
"""Within about so long the level is brought back to its target."""
BUCKET_RESERVE: Final = 0.15
"""Of a bucket, left for others and for what is on its way; it costs nothing, since a bucket refills at any level."""
WINDOW_RESERVE: Final = 0.01
LEAST_CALLS: Final = 0.5
"""Nothing starts that would leave less than so many calls' worth. What is not known of a level is what the calls on
their way will really take, and that grows with their size."""
SLIDING_LEAST: Final = 0.004
"""So much more of a true window is left."""
SLIDING_RESERVE: Final = 0.002
"""And so much more the pace aims to leave."""
SLIDING_RETURN_S: Final = 4.0
"""A true window does not refill by itself: its level is brought back sooner."""
SLIDING_SOON_S: Final = 5.0
"""So far ahead is looked at what it will give back."""
SLIDING_EVENNESS: Final = 0.35
"""How much of the pace is the even one; the rest follows what comes back, so that gaps of a minute ago close slowly."""
SLIDING_SLOWEST: Final = 0.2
"""Who sends nothing hears nothing: so much of the limit's pace is kept up, and a refusal tells as much as an answer."""
SLIDING_SEEN_S: Final = 3.0
"""Time constant with which what others used is trusted to go on, after the last reading."""
CAUTION: Final = 1.0
MOST_CAUTION: Final = 2.0
"""Calls' worth that is left besides for each refusal of late, and in all."""
CAUTION_TAU_S: Final = 120.0
"""A refusal leaves a gap that comes back a minute later: each one widens the reserve for so long."""
SIZE_WEIGHT: Final = 0.05
"""Of one call in the mean size of all."""
SLOWEST, FASTEST = 0.02, 2.0
"""Bounds of the pace, as shares of the limit's own."""
BURST_S: Final = 5.0
"""So many seconds of the pace may start at once after a silence."""
USUAL_WINDOWS_S: Final = (1.0, 10.0, 60.0)
"""Windows that providers are known to count in; what is measured near one is taken for it."""
_SAMPLE_S: Final = 1.0
"""What others use is looked at no oftener, so that calls that start together do not blur it."""
_JUDGED_S: Final = 5.0
"""The way of counting is judged after so much use, in seconds of the limit's pace: resets come in whole seconds."""
_VOTES: Final = 2
_LONGEST_OF_A_MINUTE_S: Final = 65.0
"""A reset further away belongs to a limit of an hour or a day."""
_ROLL_SHARE: Final = 0.2
_ANEW_SHARE: Final = 0.6
"""A sudden gain of the first part of the whole, to more than the second, is a window that began anew."""


class Counting(StrEnum):
    """How the provider counts."""

    BUCKET = "bucket"
    WINDOW = "window"
    SLIDING = "sliding"


class Reading(NamedTuple):
    """What one answer said.

    `spent` and `at_s` are those of the instant at which its call was let in or refused: all that we had ever spent of
    the limit then, the call itself included if it was let in.
    """

    quota: Quota
    spent: float
    at_s: float
    is_refused: bool = False
    size: float = 0.0


class Mark(NamedTuple):
    """A reading that later ones are compared with."""

    at_s: float
    spent: float
    remaining: float
    reset_at_s: float | None


@dataclass(frozen=True, slots=True)
class Gauge:
    """What is known of one limit. All rates are per second.

    `per_s`: the limit itself. `full`: the most that ever was left. `others_per_s`: what is used besides us, may be
    a little below zero from noise. `reset_at_s`: when a fixed window begins anew, of `period_s` seconds.
    """

    limit: float | None
    per_s: float
    full: float
    last: Mark
    others_per_s: float = 0.0
    counting: Counting = Counting.BUCKET
    reset_at_s: float = 0.0
    period_s: float = MINUTE_S
    sampled: Mark | None = None
    judged: Mark | None = None
    candidate: Counting = Counting.BUCKET
    votes: int = 0
    rolled_at_s: float | None = None
    is_long: bool = False
    size: float = 0.0
    """What one call takes, in the mean."""
    caution: float = 0.0
    """So many calls' worth is kept back since calls were refused; fades."""
    trail: tuple[tuple[float, float], ...] = ()
    """What we had spent at instants of the last minute, oldest first."""


class Rate(NamedTuple):
    """How fast to go on, and how much at once."""

    per_s: float
    burst: float
    left: float
    """What should be left of the limit now."""
    most: float | None = None
    """How much of that may go at once, if that is not to be left to the pace."""


def observed(gauge: Gauge | None, reading: Reading, configured: float | None = None) -> Gauge:
    """What is known after one more answer; one that is older than what is known changes nothing.

    Args:
        gauge: what was known; None = nothing yet.
        reading: the answer's word.
        configured: the limit per minute that an operator gave, for providers that do not name theirs.
    """
    quota, at_s = reading.quota, reading.at_s
    mark = Mark(at_s, reading.spent, quota.remaining, None if quota.reset_s is None else at_s + quota.reset_s)
    if gauge is None:
        return _first(mark, quota, configured)
    if at_s <= gauge.last.at_s:
        return gauge
    if gauge.limit != quota.limit or reading.spent < gauge.last.spent - gauge.full:
        # Another contract, or our count began anew (the index was lost).
        return _first(mark, quota, configured)
    gauge = replace(gauge, full=max(gauge.full, quota.remaining))
    gauge = _rolled(gauge, mark)
    gauge = _with_limit(gauge, mark, quota)
    gauge = _with_others(gauge, mark)
    gauge = _judged(gauge, mark)
    caution = gauge.caution * math.exp(-(at_s - gauge.last.at_s) / CAUTION_TAU_S) + CAUTION * reading.is_refused
    caution = min(caution, MOST_CAUTION)
    size = gauge.size + SIZE_WEIGHT * (reading.size - gauge.size) if gauge.size else reading.size
    return replace(gauge, last=mark, size=size, caution=caution, trail=_lengthened(gauge.trail, mark))


def rate_of(gauge: Gauge, spent: float, now_s: float) -> Rate:
    """The pace from now on.

    Args:
        gauge: what is known.
        spent: all that we have spent of the limit by now, as far as known.
        now_s: later than the gauge's last reading.

    A bucket: limit/60 less what others use, plus what is left beyond a reserve, spread over RETURN_S. A fixed window:
    what is left, spread over the time until it begins anew. A true window: see `_of_true_window`.
    """
    age_s = max(0.0, now_s - gauge.last.at_s)
    remaining = gauge.last.remaining - max(0.0, spent - gauge.last.spent)
    others_per_s = max(0.0, gauge.others_per_s)
    most_per_s, most = gauge.per_s, None
    if gauge.counting is Counting.WINDOW:
        per_window = gauge.full / gauge.period_s
        most_per_s = max(most_per_s, per_window)
        left = remaining - WINDOW_RESERVE * gauge.full
        time_left_s = gauge.reset_at_s - now_s
        if time_left_s <= 0:  # the word is of a window that is over
            per_s, left = (1 - 2 * WINDOW_RESERVE) * per_window, gauge.full
        else:
            per_s = left / max(time_left_s, _SAMPLE_S) - others_per_s
    elif gauge.counting is Counting.SLIDING:
        return _of_true_window(gauge, remaining, now_s)
    else:
        own_per_s = gauge.per_s - others_per_s
        left = min(gauge.full, remaining + own_per_s * age_s)
        per_s = own_per_s + (left - BUCKET_RESERVE * gauge.full) / RETURN_S
        most = left - (LEAST_CALLS + gauge.caution) * gauge.size
    per_s = min(max(per_s, SLOWEST * gauge.per_s), FASTEST * most_per_s)
    return Rate(per_s, max(min(BURST_S * per_s, left), 1.0), left, most)


def _of_true_window(gauge: Gauge, remaining: float, now_s: float) -> Rate:
    """The pace in a true window, and how much of what is left may go: what we spent a minute ago comes back now.

    The even pace and what comes back soon, mixed, less what others use, plus what is left beyond a reserve, spread
    over SLIDING_RETURN_S. Others' part that comes back is seen only in what remains, so `others_per_s` is what they
    take beyond it.
    """
    gone_s, age_s = now_s - MINUTE_S, now_s - gauge.last.at_s
    back = _spent_at(gauge, gone_s) - _spent_at(gauge, gauge.last.at_s - MINUTE_S)
    unseen = gauge.others_per_s * SLIDING_SEEN_S * (1 - math.exp(-age_s / SLIDING_SEEN_S))
    left = min(gauge.full, remaining + back - unseen)
    soon_per_s = (_spent_at(gauge, gone_s + SLIDING_SOON_S) - _spent_at(gauge, gone_s)) / SLIDING_SOON_S
    per_s = SLIDING_EVENNESS * gauge.per_s + (1 - SLIDING_EVENNESS) * soon_per_s - gauge.others_per_s
    most = left - SLIDING_LEAST * gauge.full - (LEAST_CALLS + gauge.caution) * gauge.size
    per_s += (most - SLIDING_RESERVE * gauge.full) / SLIDING_RETURN_S
    per_s = min(max(per_s, SLIDING_SLOWEST * gauge.per_s), FASTEST * gauge.per_s)
    return Rate(per_s, max(BURST_S * per_s, 1.0), left, most)


def _first(mark: Mark, quota: Quota, configured: float | None) -> Gauge:
    limit = quota.limit or configured or max(1.0, mark.remaining)
    reset_at_s = mark.at_s + (MINUTE_S if quota.reset_s is None else quota.reset_s)
    gauge = Gauge(
        quota.limit,
        limit / MINUTE_S,
        max(1.0, mark.remaining),
        mark,
        reset_at_s=reset_at_s,
        sampled=mark,
        judged=mark,
        trail=(mark[:2],),
    )
    return _with_limit(gauge, mark, quota)


def _with_limit(gauge: Gauge, mark: Mark, quota: Quota) -> Gauge:
    """A reset that is further off than a minute tells the real pace: what is missing comes back until then."""
    reset_s = quota.reset_s
    if quota.limit is None or reset_s is None or reset_s <= _LONGEST_OF_A_MINUTE_S:
        return gauge
    missing = max(1.0, quota.limit - mark.remaining)
    period_s = max(reset_s, gauge.period_s if gauge.is_long else 0.0)
    return replace(gauge, per_s=missing / reset_s, period_s=period_s, is_long=True)


def _rolled(gauge: Gauge, mark: Mark) -> Gauge:
    """Take in a window that began anew since the last reading, and when the present one ends."""
    last, full = gauge.last, gauge.full
    gained = mark.remaining - last.remaining + (mark.spent - last.spent)
    if gauge.counting is Counting.WINDOW:  # inside of it nothing comes back
        has_gained = gained > _ROLL_SHARE / 4 * full
    else:
        has_gained = gained > max(_ROLL_SHARE * full, 3 * gauge.per_s * (mark.at_s - last.at_s))
    has_rolled = has_gained and mark.remaining > _ANEW_SHARE * full
    if mark.reset_at_s is not None:
        jumped_s = mark.reset_at_s - gauge.reset_at_s
        if gauge.counting is Counting.WINDOW:
            if has_rolled and jumped_s > _SAMPLE_S:
                gauge = replace(gauge, period_s=jumped_s)
            elif mark.at_s > gauge.reset_at_s + _SAMPLE_S and not has_rolled and mark.remaining < full / 2:
                # What was said to be the end of a window did not give all back.
                gauge = replace(gauge, counting=Counting.SLIDING, votes=0)
        gauge = replace(gauge, reset_at_s=mark.reset_at_s)
    elif has_rolled:
        gauge = _voted(_seen_to_begin(gauge, mark), Counting.WINDOW)
    elif mark.at_s >= gauge.reset_at_s:  # it should have begun anew, unseen
        rounds = 1 + (mark.at_s - gauge.reset_at_s) // gauge.period_s
        gauge = replace(gauge, reset_at_s=gauge.reset_at_s + rounds * gauge.period_s)
    return replace(gauge, sampled=mark, judged=mark) if has_rolled else gauge


def _seen_to_begin(gauge: Gauge, mark: Mark) -> Gauge:
    """A window of a provider that does not say when: it began between the last reading and this one."""
    began_s, period_s = mark.at_s, gauge.period_s
    if gauge.rolled_at_s is not None:
        between_s = mark.at_s - gauge.rolled_at_s
        rounds = max(1, round(between_s / period_s))
        period_s = between_s / rounds if between_s < 0.75 * period_s else period_s
        period_s = next((usual for usual in USUAL_WINDOWS_S if abs(period_s / usual - 1) < 0.2), period_s)
        expected_s = gauge.rolled_at_s + max(1, round(between_s / period_s)) * period_s
        # The true instant is no later than any that was seen: what the rhythm says is the sharper one.
        if gauge.last.at_s < expected_s < mark.at_s:
            began_s = expected_s
    return replace(gauge, rolled_at_s=began_s, period_s=period_s, reset_at_s=began_s + period_s)


def _lengthened(trail: tuple[tuple[float, float], ...], mark: Mark) -> tuple[tuple[float, float], ...]:
    if trail and mark.at_s < trail[-1][0] + _SAMPLE_S:
        return trail
    first = 0
    while first + 1 < len(trail) and trail[first + 1][0] < mark.at_s - MINUTE_S - 2 * _SAMPLE_S:
        first += 1
    return (*trail[first:], (mark.at_s, mark.spent))


def _spent_at(gauge: Gauge, at_s: float) -> float:
    """What we had spent at an instant of the last minute, in between evenly; before the first known one, as then."""
    trail = gauge.trail
    after = bisect_left(trail, (at_s, 0.0))
    if after == 0:
        return trail[0][1] if trail else gauge.last.spent
    (from_s, spent), (to_s, then) = trail[after - 1], trail[after] if after < len(trail) else gauge.last[:2]
    if to_s <= from_s:
        return spent
    return spent + (then - spent) * min(1.0, (at_s - from_s) / (to_s - from_s))


def _refill(gauge: Gauge, since: Mark, mark: Mark) -> float:
    """What should have come back between two readings."""
    match gauge.counting:
        case Counting.BUCKET:
            return gauge.per_s * (mark.at_s - since.at_s)
        case Counting.WINDOW:
            return 0.0
        case Counting.SLIDING:
            return _spent_at(gauge, mark.at_s - MINUTE_S) - _spent_at(gauge, since.at_s - MINUTE_S)


def _with_others(gauge: Gauge, mark: Mark) -> Gauge:
    sampled = gauge.sampled or mark
    dt_s = mark.at_s - sampled.at_s
    if dt_s < _SAMPLE_S:
        return gauge
    refill = _refill(gauge, sampled, mark)
    # What a full bucket would have gained is lost, and was used by nobody.
    expected = min(gauge.full, sampled.remaining + refill - (mark.spent - sampled.spent))
    per_s = (expected - mark.remaining) / dt_s
    weight = 1 - math.exp(-dt_s / OTHERS_TAU_S)
    others = gauge.others_per_s + weight * (per_s - gauge.others_per_s)
    # Less than nobody is only noise; but out of a true window others' part comes back.
    least = -gauge.per_s if gauge.counting is Counting.SLIDING else -0.1 * gauge.per_s
    others = min(max(others, least), gauge.per_s)
    return replace(gauge, others_per_s=others, sampled=mark)


def _judged(gauge: Gauge, mark: Mark) -> Gauge:
    """Judge the way of counting by what happened to the reset (or, without one, to the level) while we spent."""
    judged = gauge.judged or mark
    used_s, dt_s = (mark.spent - judged.spent) / gauge.per_s, mark.at_s - judged.at_s
    if min(used_s, dt_s) < _JUDGED_S:
        return gauge
    gauge = replace(gauge, judged=mark)
    if mark.reset_at_s is not None and judged.reset_at_s is not None:
        moved_s = mark.reset_at_s - judged.reset_at_s
        if moved_s < 0.3 * min(used_s, dt_s):  # it stands still although we spend: everything comes back then
            return _voted(gauge, Counting.WINDOW)
        if moved_s > 1.6 * max(used_s, dt_s):
            return gauge
        missing_s = (gauge.full - mark.remaining) / gauge.per_s
        is_sliding = missing_s > _JUDGED_S and mark.reset_at_s - mark.at_s < missing_s / 2
        return _voted(gauge, Counting.SLIDING if is_sliding else Counting.BUCKET)
    refilled = mark.remaining - judged.remaining + (mark.spent - judged.spent)
    is_still = refilled < 0.3 * gauge.per_s * (mark.at_s - judged.at_s)
    return _voted(gauge, Counting.WINDOW if is_still else Counting.BUCKET)


def _voted(gauge: Gauge, counting: Counting) -> Gauge:
    """The judgement changes only when it was the same twice in a row."""
    if counting is gauge.counting:
        return replace(gauge, candidate=counting, votes=0)
    votes = gauge.votes + 1 if counting is gauge.candidate else 1
    if votes < _VOTES:
        return replace(gauge, candidate=counting, votes=votes)
    return replace(gauge, counting=counting, candidate=counting, votes=0, others_per_s=0.0)
