"""Paces that a provider's answers told: token buckets, each one number.

A bucket is full at `idle_at_us`; what is missing in it is the time until then. A call that costs more than the
whole bucket goes when it is full, into debt. The arithmetic is one multiplication of doubles, rounded up to whole
microseconds at once: IEEE 754 gives the same result in Python and in Lua, so both decide alike.
"""

from __future__ import annotations

from math import ceil, floor, isfinite
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.ports.broker import Unit

if TYPE_CHECKING:
    from llm_scheduler.ports.broker import Pace, Spent

UNITS: Final = tuple(Unit)
"""What limits and paces count, in the order in which amounts stand."""
MOST_US: Final = 10_000_000_000_000
"""Four months: what takes longer takes that long. It keeps all sums exact in a double."""


class Terms(NamedTuple):
    """A pace in microseconds: one unit's cost, what the bucket holds, what is given once, how long it is valid.

    `most` stays in units, since what was spent since `counted` goes off it.
    """

    unit: int
    each_us: float
    burst_us: int
    bonus_us: int
    valid_us: int
    most: float | None
    counted: int


def terms_of(pace: Pace) -> Terms:
    """The pace as both brokers reckon with it.

    Raises:
        ValueError: `per_s` is not above 0, or a number is not finite.
    """
    numbers = pace.per_s, pace.burst, pace.bonus, pace.most or 0.0
    if not (all(map(isfinite, numbers)) and pace.per_s > 0):
        raise ValueError(f"a pace needs per_s above 0 and finite numbers, not {pace}; give a small per_s to slow down")
    each_us = min(1_000_000 / pace.per_s, float(MOST_US))
    return Terms(
        UNITS.index(pace.unit),
        each_us,
        floor(min(max(pace.burst, 0.0) * each_us, MOST_US)),
        floor(max(-MOST_US, min(pace.bonus * each_us, MOST_US))),
        min(max(pace.valid_ms, 0) * 1000, MOST_US),
        None if pace.most is None else float(pace.most),
        pace.counted,
    )


class Bucket:
    """One unit's pace while it is valid."""

    __slots__ = ("_burst_us", "_each_us", "_idle_at_us", "ends_at_us")

    def __init__(self, terms: Terms, now_us: int, before: Bucket | None, spent: int) -> None:
        _, self._each_us, self._burst_us, bonus_us, valid_us, most, counted = terms
        self.ends_at_us = now_us + valid_us
        level_us = self._burst_us
        if before is not None:
            left_us = before._burst_us - max(0, before._idle_at_us - now_us)
            level_us = floor(left_us * (self._each_us / before._each_us))
        level_us = max(-MOST_US, min(level_us + bonus_us, self._burst_us))
        if most is not None:
            most_us = (most - (spent - counted)) * self._each_us
            level_us = min(level_us, floor(max(-MOST_US, min(most_us, MOST_US))))
        self._idle_at_us = now_us + self._burst_us - level_us

    def wait_us(self, now_us: int, units: int) -> int:
        """How long until a call of so many units fits; 0 or less = now."""
        return self._idle_at_us - max(0, self._burst_us - self._cost_us(units)) - now_us

    def charge(self, now_us: int, units: int) -> None:
        """Count a start."""
        self._idle_at_us = max(now_us, self._idle_at_us) + self._cost_us(units)

    def correct(self, reserved: int, used: int) -> None:
        """A start that was charged with so many units used so many."""
        self._idle_at_us += self._cost_us(used) - self._cost_us(reserved)

    def _cost_us(self, units: int) -> int:
        return min(ceil(units * self._each_us), MOST_US)


class Paces:
    """The paces of one gate, by unit."""

    __slots__ = ("_buckets", "is_on")

    def __init__(self) -> None:
        self.is_on = False
        """There was ever a pace: the other calls matter only then."""
        self._buckets: list[Bucket | None] = [None] * len(UNITS)

    def set(self, terms: Terms, now_us: int, spent: Spent) -> None:
        """In force from now on; `spent`: what ever went through the gate."""
        self.is_on = True
        self._buckets[terms.unit] = Bucket(terms, now_us, self.in_force(terms.unit, now_us), spent[terms.unit])

    def in_force(self, unit: int, now_us: int) -> Bucket | None:
        """The bucket of a unit, if its pace is valid."""
        bucket = self._buckets[unit]
        return bucket if bucket is not None and now_us < bucket.ends_at_us else None
