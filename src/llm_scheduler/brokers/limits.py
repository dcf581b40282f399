"""The limits of one lane or one gate that pass with time: requests and tokens per minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from llm_scheduler.brokers.bucket import UNITS
from llm_scheduler.brokers.gcra import MINUTE_US, Pace, share_of_minute_us
from llm_scheduler.brokers.window import TokenWindow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_scheduler.brokers.bucket import Paces

Amounts: TypeAlias = "tuple[int, int, int, int]"
"""What one call is, in each unit: 1 request, tokens, those of them that go in, and those that come out."""


class Limit:
    """So many of one unit a minute: by pace, and where one call may be many units by window, too."""

    __slots__ = ("_pace", "_window", "per_minute")

    def __init__(self, *, is_windowed: bool) -> None:
        self.per_minute: int | None = None
        self._pace = Pace()
        self._window = TokenWindow() if is_windowed else None

    def wait_us(self, now_us: int, units: int) -> int:
        """How long until a call of so many units fits; 0 or less = now."""
        wait_us = self._pace.wait_us(now_us)
        if self._window is None or not self.per_minute:
            return wait_us
        return max(wait_us, self._window.wait_us(now_us, units, self.per_minute))

    def charge(self, now_us: int, units: int, *, is_paced: bool) -> None:
        """Count a start.

        While another pace is in force nobody keeps to this one; its debt is bounded by a minute then, as is
        what the window knows, so that it counts when it counts again.
        """
        if self.per_minute:
            self._pace.charge(now_us, share_of_minute_us(units, self.per_minute))
            if is_paced:
                self._pace.cap(now_us + MINUTE_US)
        if self._window is not None:
            self._window.add(now_us, units)

    def correct(self, now_us: int, slice_: int, reserved: int, used: int) -> None:
        """A start in that slice used more or fewer units than it was charged with."""
        if self.per_minute:
            self._pace.correct(
                share_of_minute_us(used, self.per_minute) - share_of_minute_us(reserved, self.per_minute)
            )
        if self._window is not None:
            self._window.correct(now_us, slice_, used - reserved)


class RateLimits:
    """A limit for each unit; None = no such limit. Where a pace is in force, it decides instead."""

    __slots__ = ("_limits", "is_on")

    def __init__(self) -> None:
        self.is_on = False
        """There is a limit: without, and without paces, the other calls do nothing."""
        self._limits: list[Limit | None] = [None] * len(UNITS)

    def change(self, per_minute: Sequence[int | None]) -> None:
        """Other limits from now on, in the order of `UNITS`; what was spent stays spent."""
        for unit, most in enumerate(per_minute):
            limit = self._limits[unit]
            if limit is None and most is not None:
                limit = self._limits[unit] = Limit(is_windowed=unit > 0)
            if limit is not None:
                limit.per_minute = most
        self.is_on = any(most is not None for most in per_minute)

    def forget(self) -> None:
        """As if nothing had started yet."""
        before, self._limits = self._limits, [None] * len(UNITS)
        self.change([None if limit is None else limit.per_minute for limit in before])

    def wait_us(self, now_us: int, amounts: Amounts, paces: Paces | None) -> int:
        """How long until such a call may start; 0 or less = now."""
        return max((wait_us for _, wait_us in self.waits_us(now_us, amounts, paces)), default=0)

    def waits_us(self, now_us: int, amounts: Amounts, paces: Paces | None) -> Iterator[tuple[int, int]]:
        """The same for each unit that is limited."""
        for unit, limit in enumerate(self._limits):
            bucket = paces.in_force(unit, now_us) if paces is not None else None
            if bucket is not None:
                yield unit, bucket.wait_us(now_us, amounts[unit])
            elif limit is not None and limit.per_minute is not None:
                yield unit, limit.wait_us(now_us, amounts[unit])

    def charge(self, now_us: int, amounts: Amounts, paces: Paces | None) -> tuple[int, int]:
        """A call starts. The answer says where it was counted, for `settle`: bits of units of limits and of paces."""
        counted = paced = 0
        for unit, limit in enumerate(self._limits):
            bucket = paces.in_force(unit, now_us) if paces is not None else None
            if bucket is not None:
                bucket.charge(now_us, amounts[unit])
                paced |= 1 << unit
            if limit is not None and limit.per_minute is not None:
                limit.charge(now_us, amounts[unit], is_paced=bucket is not None)
                counted |= 1 << unit
        return counted, paced

    def settle(
        self, now_us: int, start: tuple[int, int, int], reserved: Amounts, used: Amounts, paces: Paces | None
    ) -> None:
        """A call that reserved these amounts used those; requests are never given back.

        `start`: the slice in which it began, and what `charge` answered. Where it was never counted (its slot was
        adopted from the record, or there was no limit then), its use counts from now on.
        """
        slice_, counted, paced = start
        for unit in range(1, len(UNITS)):
            limit, bucket = self._limits[unit], paces.in_force(unit, now_us) if paces is not None else None
            if bucket is not None and paced >> unit & 1:
                bucket.correct(reserved[unit], used[unit])
            elif bucket is not None:
                bucket.charge(now_us, used[unit])
            if limit is None or limit.per_minute is None:
                continue
            if counted >> unit & 1:
                limit.correct(now_us, slice_, reserved[unit], used[unit])
            else:
                limit.charge(now_us, used[unit], is_paced=bucket is not None)
