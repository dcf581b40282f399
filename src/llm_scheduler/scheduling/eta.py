"""When a waiting task will start: from what stands before it, as a range.

Costs are milliseconds of the bottleneck (see the strategies): while work waits, a lane gets through a thousand of
them in a second. What comes later but goes first, because its band is an earlier one, lengthens the wait by the
share of the lane that such arrivals take.

Source of the forms: the backlog divided by the capacity that is left, as in the M/G/1 queue with priorities
(Cobham, "Priority Assignment in Waiting Line Problems", 1954).
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from llm_scheduler.domain.placement import ShareRule

MOST_LOAD: Final = 0.98
"""Arrivals of earlier bands are not believed to take more: it would wait for ever, which is no answer."""
MEMORY_S: Final = 180.0
"""Arrivals fade with this time constant: long enough to be a mean, short enough to follow the hour."""
RESERVE_EVERY: Final = 10
"""A starving band gets every so-manieth start."""
_GLOBAL_SPREAD: Final = (0.7, 1.3)
"""Seen on traces, one band, one order: three in four waits lie within 30 % of the estimate."""
_BANDED_SPREAD: Final = (0.5, 2.0)
"""Seen on traces where later arrivals of earlier bands overtake."""


class Ahead(NamedTuple):
    """What is to be got through first, in milliseconds of the bottleneck.

    `earlier_ms`: all that waits in earlier bands. `band_ms`: what stands before the task in its own band.
    `own_ms`: the part of that which is of its own share, the same where the order is one for all shares.
    `next_ms`: until anything may start at all (a limit, a pause, a call that must end).
    `running_ms`: by how much the running calls keep the lane longer than in the mean; negative if shorter.
    """

    earlier_ms: float
    band_ms: float
    own_ms: float
    next_ms: float = 0.0
    running_ms: float = 0.0


class Wait(NamedTuple):
    """Seconds until the start; `earliest_s` <= `likely_s` <= `latest_s`."""

    earliest_s: float
    likely_s: float
    latest_s: float


def first_end_ms(service_s: float, running: int) -> float:
    """Milliseconds until the first of the running calls ends, where all slots are taken.

    They are at evenly spread places of their way: the first of n ends after an n-th of one, in the mean.
    """
    return service_s * 1000 / (max(1, running) + 1)


def expected_wait(
    ahead: Ahead, higher_load: float, share_rule: ShareRule, starve_after_s: float | None = None, waited_s: float = 0.0
) -> Wait:
    """How long a task will still wait.

    Args:
        ahead: what goes first.
        higher_load: share of the lane that arrivals in earlier bands take, 0 to 1 and above.
        share_rule: how shares of a band take turns. By virtual time a task may start as soon as its own share's
            earlier ones have, or only after everybody's: the range spans both.
        starve_after_s: the reserve acts on a head that has waited so long; None = there is none.
        waited_s: how long the task has waited already.
    """
    load = min(MOST_LOAD, max(0.0, higher_load))
    backlog_ms = ahead.earlier_ms + ahead.band_ms
    # The next one to start feels the first of the running calls to end only, a later one more and more of them.
    running_ms = min(max(ahead.running_ms, -backlog_ms), backlog_ms)
    through_s = (backlog_ms + running_ms) / 1000 / (1 - load)
    likely_s = through_s + ahead.next_ms / 1000
    has_earlier = load > 0 or ahead.earlier_ms > 0
    low, high = _BANDED_SPREAD if has_earlier else _GLOBAL_SPREAD
    earliest_s, latest_s = likely_s * low, likely_s * high
    if share_rule is ShareRule.VIRTUAL_TIME and ahead.own_ms < ahead.band_ms:
        alone_s = (ahead.earlier_ms + ahead.own_ms) / 1000 / (1 - load) + ahead.next_ms / 1000
        earliest_s = min(earliest_s, alone_s * low)
    if has_earlier and starve_after_s is not None:
        # Its band starves at the latest then, and gets a tenth of the starts from there on.
        reserved_s = max(0.0, starve_after_s - waited_s) + (ahead.band_ms * RESERVE_EVERY + ahead.next_ms) / 1000
        likely_s, latest_s = min(likely_s, reserved_s), min(latest_s, reserved_s * _GLOBAL_SPREAD[1])
    latest_s = max(latest_s, likely_s)
    return Wait(min(earliest_s, likely_s), likely_s, latest_s)


class ArrivalLoad:
    """What share of the lane the arrivals of each band take, as an exponentially fading mean."""

    def __init__(self) -> None:
        self._loads: dict[int, tuple[float, float]] = {}
        self._since_s: float | None = None

    def note(self, band: int, cost_ms: float, now_s: float) -> None:
        """A task has come that takes the lane so long."""
        if self._since_s is None:
            self._since_s = now_s
        self._loads[band] = (self._faded(band, now_s) + cost_ms / 1000, now_s)

    def share_before(self, band: int, now_s: float) -> float:
        """The share of the lane, from 0 to MOST_LOAD, that bands before this one will take."""
        if self._since_s is None:
            return 0.0
        total_s = sum(self._faded(one, now_s) for one in self._loads if one < band)
        # While there is less history than the memory, the mean is over what there is.
        known_s = MEMORY_S * (1 - math.exp(-(now_s - self._since_s) / MEMORY_S))
        return min(MOST_LOAD, total_s / known_s) if known_s > 1 else 0.0

    def _faded(self, band: int, now_s: float) -> float:
        total_s, at_s = self._loads.get(band, (0.0, now_s))
        return total_s * math.exp(-(now_s - at_s) / MEMORY_S)
